"""Two ways to have a request end in time: a thread that does it, and one that breaks it off."""

from __future__ import annotations

import queue
import threading
import time

from migas.host.threads import ProgramThread
from migas.transport import exchanges
from migas.transport.answers import Answer, NoAnswerError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from migas.spool.servers import Failure

_JOIN_SECONDS = 0.2
_LOOK_SECONDS = 0.05


class Worker:
    """A thread that runs one request after another and can be left behind in any of them.

    Attributes:
        is_abandoned: Whether it has been, and takes no more.

    Raises:
        RuntimeError: The interpreter is shutting down, or the system has no thread left.
    """

    def __init__(self) -> None:
        self.is_abandoned = False
        self._tasks: queue.SimpleQueue[Callable[[], Answer] | None] = queue.SimpleQueue()
        self._outcomes: queue.SimpleQueue[Answer | NoAnswerError] = queue.SimpleQueue()
        self._thread = ProgramThread(self._serve, "migas-transport")

    def run(self, task: Callable[[], Answer], timeout: float) -> Answer | NoAnswerError | None:
        """Run a task and wait; None when the time is up, after which only `abandon` may follow."""
        self._tasks.put(task)
        try:
            return self._outcomes.get(timeout=timeout)
        except queue.Empty:
            return None

    def abandon(self) -> Failure:
        """Break off what it is doing; what to call this, as in `NoAnswerError`."""
        self.is_abandoned = True
        self._tasks.put(None)
        was_connected = exchanges.break_off(self._thread.ident)
        self._thread.join(_JOIN_SECONDS if was_connected else 0.0)
        return "timeout" if was_connected else "no route"

    def cut_short(self, kind: Failure | None = None) -> None:
        """Abandon it from another thread than the one that waits in `run`, which goes on.

        Args:
            kind: What that one is told, as in `NoAnswerError`; None for what `abandon` says.
        """
        if kind is None:
            kind = "timeout" if exchanges.socket_of(self._thread.ident) else "no route"
        self._outcomes.put(NoAnswerError("Nobody waits for the answer any more", kind))
        self.abandon()

    def end(self) -> None:
        """Let the thread end, and wait until it has."""
        self._tasks.put(None)
        self._thread.join(_JOIN_SECONDS)

    def _serve(self) -> None:
        try:
            while (task := self._tasks.get()) is not None:
                try:
                    outcome: Answer | NoAnswerError = task()
                except NoAnswerError as error:
                    outcome = error
                except Exception as error:  # noqa: BLE001  a thread of ours must print nothing
                    outcome = NoAnswerError(repr(error), "failed")
                self._outcomes.put(outcome)
        finally:
            exchanges.forget(threading.get_ident())


class Guard:
    """A thread that breaks off what the thread that made it does beyond its time."""

    def __init__(self) -> None:
        self.has_broken_off = False
        self._guarded = threading.get_ident()
        self._changed = threading.Condition()
        self._deadline: float | None = None
        self._is_over = False
        self._thread = ProgramThread(self._serve, "migas-transport")

    def begin(self, seconds: float) -> None:
        """Guard what begins now for so many seconds."""
        self._deadline = time.monotonic() + seconds

    def finish(self) -> None:
        """What was guarded has ended."""
        with self._changed:  # it may be being broken off just now
            self._deadline = None
        exchanges.forget(self._guarded)

    def end(self) -> None:
        """End the thread."""
        with self._changed:
            self._is_over = True
            self._changed.notify()
        self._thread.join(_JOIN_SECONDS)

    def _serve(self) -> None:
        # It looks now and then rather than being told of each request, which would cost both.
        with self._changed:
            while not self._is_over:
                deadline = self._deadline
                if deadline is not None and time.monotonic() >= deadline:
                    self._deadline = None
                    self.has_broken_off = True
                    exchanges.break_off(self._guarded)
                self._changed.wait(_LOOK_SECONDS)
