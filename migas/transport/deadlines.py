"""Two ways to have a request end in time: a thread that does it, and one that breaks it off."""

from __future__ import annotations

import queue
import threading
import time

from migas.host import threads
from migas.transport import connections
from migas.transport.answers import Answer, NoAnswerError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from migas.spool.servers import Failure

_JOIN_SECONDS = 0.2
_LOOK_SECONDS = 0.05


class Worker:
    """A thread that runs one request after another and can be left behind in any of them."""

    def __init__(self) -> None:
        self._tasks: queue.SimpleQueue[Callable[[], Answer] | None] = queue.SimpleQueue()
        self._outcomes: queue.SimpleQueue[Answer | NoAnswerError] = queue.SimpleQueue()
        self._thread = threads.start(self._serve, "migas-transport")

    def run(self, task: Callable[[], Answer], timeout: float) -> Answer | NoAnswerError | None:
        """Run a task and wait; None when the time is up, after which only `abandon` may follow."""
        self._tasks.put(task)
        try:
            return self._outcomes.get(timeout=timeout)
        except queue.Empty:
            return None

    def abandon(self) -> Failure:
        """Break off what it is doing; what to call this, as in `NoAnswerError`."""
        self._tasks.put(None)
        was_connected = connections.break_off(self._thread.ident)
        threads.join(self._thread, _JOIN_SECONDS if was_connected else 0.0)
        return "timeout" if was_connected else "no route"

    def end(self) -> None:
        """Let the thread end, and wait until it has."""
        self._tasks.put(None)
        threads.join(self._thread, _JOIN_SECONDS)

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
            connections.forget(threading.get_ident())


class Guard:
    """A thread that breaks off what the thread that made it does beyond its time."""

    def __init__(self) -> None:
        self.has_broken_off = False
        self._guarded = threading.get_ident()
        self._changed = threading.Condition()
        self._deadline: float | None = None
        self._is_over = False
        self._thread = threads.start(self._serve, "migas-transport")

    def begin(self, seconds: float) -> None:
        """Guard what begins now for so many seconds."""
        self._deadline = time.monotonic() + seconds

    def finish(self) -> None:
        """What was guarded has ended."""
        with self._changed:  # it may be being broken off just now
            self._deadline = None
        connections.forget(self._guarded)

    def end(self) -> None:
        """End the thread."""
        with self._changed:
            self._is_over = True
            self._changed.notify()
        threads.join(self._thread, _JOIN_SECONDS)

    def _serve(self) -> None:
        # It looks now and then rather than being told of each request, which would cost both.
        with self._changed:
            while not self._is_over:
                deadline = self._deadline
                if deadline is not None and time.monotonic() >= deadline:
                    self._deadline = None
                    self.has_broken_off = True
                    connections.break_off(self._guarded)
                self._changed.wait(_LOOK_SECONDS)
