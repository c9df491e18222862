"""The courier where no process can be one: a thread of this program, waited for as inline ones are.

It begins with the first run, since Python 3.12 and later start none at the interpreter's end, and
waits for errands. A second thread makes its requests and can be left behind in any of them. Both
are stopped before a fork, and begin again when they are next needed. Neither imports anything: a
program that forked meanwhile would leave its child with half a module, or hang on an import's lock.
"""

from __future__ import annotations

import queue
import sys
import threading
import time
from functools import partial

from migas import host, log
from migas.courier import main as courier
from migas.courier.drain import Clock
from migas.courier.sender import Sender
from migas.host import environment
from migas.host.threads import ProgramThread
from migas.settings import permission
from migas.spool.servers import of_this_user
from migas.transport.deadlines import Worker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from migas.courier.drain import Drain

_FORK_SECONDS = 0.2
"""How long a fork waits for the answer to the one request that is being made."""

_STOP_SECONDS = 1.0
"""How long it waits then for what nothing but the machine's own slowness can hold up."""

_PAUSED_SECONDS = 0.5
"""After so long in all, forks wait for no thread any more before the program needs it again."""

_FORMER_SECONDS = 5.0
_LOCK_SECONDS = 0.1

_SHARE = 0.9
"""Of the time that the program waits; the rest is for putting back what was not sent."""


class CourierThread:
    """The thread, and the errands that it is sent on, one after the other."""

    def __init__(self) -> None:
        self._errands: queue.SimpleQueue[Errand | None] = queue.SimpleQueue()
        self._thread: ProgramThread | None = None
        self._worker: Worker | None = None
        self._current: Errand | None = None
        self._former: ProgramThread | None = None
        self._stopping: tuple[ProgramThread, queue.SimpleQueue[Errand | None]] | None = None
        self._paused_seconds = 0.0

    def dispatch(self, payload: bytes | None, *, patience: float) -> Errand | None:
        """Have what waits sent, and return at once.

        Args:
            payload: A record that could not be spooled.
            patience: Seconds that the program waits at its end.

        Returns:
            The errand, or None where no thread can be started for it.
        """
        if not self.ensure_running() or not _import_all():
            return None
        errand = Errand(payload, patience)
        self._errands.put(errand)
        return errand

    def ensure_running(self) -> bool:
        """Start the thread, also again after a fork; whether there is one."""
        if self._thread is None:
            try:
                self._worker = worker = Worker()
                # It is told which are its own: a fork may come before its first line.
                serve = partial(self._serve, self._errands, worker)
                self._thread = ProgramThread(serve, "migas-courier")
            except RuntimeError as error:
                log.debug("no thread can be started: %s", error)
                self._end_worker()
                for errand in _left_in(self._errands):
                    errand.be_over()
        return self._thread is not None

    def pause(self) -> None:
        """Stop before a fork; an errand that is not over begins anew when this is next needed.

        What interrupts this, a Ctrl-C for instance, leaves the rest to the next call.
        """
        if self._thread is not None:
            self._stopping = (self._thread, self._errands)
            self._thread, self._errands = None, queue.SimpleQueue()
        if self._stopping is not None:
            began = time.monotonic()
            self._stop(*self._stopping)
            self._stopping = None
            self._paused_seconds += time.monotonic() - began

    def resume(self) -> None:
        """Go on after a fork with what was not over, unless forks have waited for that enough.

        Python 3.12 and 3.13 count threads only after a fork's hooks, and would warn of it: there it
        waits until the program next needs it, or is left to a later run.
        """
        is_counted = (3, 12) <= sys.version_info < (3, 14)
        if not self._errands.empty() and self._paused_seconds < _PAUSED_SECONDS and not is_counted:
            self.ensure_running()

    def _stop(self, thread: ProgramThread, before: queue.SimpleQueue[Errand | None]) -> None:
        before.put(None)
        current = self._current
        if current is not None:
            current.stop()
        is_gone = thread.join(_FORK_SECONDS)
        if not is_gone and self._worker is not None:
            if not self._worker.is_abandoned:
                self._worker.cut_short("broken off")
            is_gone = thread.join(_STOP_SECONDS)
        if is_gone:
            self._end_worker()
        self._worker = None
        interrupted, self._current = self._current, None
        self._former = thread
        if interrupted is not None and is_gone:
            interrupted.begin_anew()
            self._errands.put(interrupted)
        for errand in _left_in(before):
            self._errands.put(errand)

    def _end_worker(self) -> None:
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.end()

    def _serve(self, errands: queue.SimpleQueue[Errand | None], worker: Worker) -> None:
        if self._former is not None:
            self._former.join(_FORMER_SECONDS)  # on a slow machine it may still hold the lease
        while (errand := errands.get()) is not None:
            self._current = errand
            if self._errands is errands:
                if worker.is_abandoned:
                    worker = self._worker = _new_worker() or worker
                errand.run(worker)
            if self._errands is not errands:
                return  # stopped before a fork, and the errand is not over
            self._current = None


class Errand:
    """One time of sending what waits; to who waits for it, it is what a courier's process is.

    Args:
        payload: A record that could not be spooled.
        patience: Seconds that the program waits at its end.
    """

    def __init__(self, payload: bytes | None, patience: float) -> None:
        self._payload = payload
        self._patience = patience
        self._until = time.monotonic() + courier.LIFE_SECONDS
        self._worker: Worker | None = None
        self._sender: Sender | None = None
        self._drain: Drain | None = None
        self._clock = _WakingClock()
        self._is_stopped = False
        # A lock rather than an event: a signal's handler may wait while another one waits.
        self._is_running = threading.Lock()
        self._is_running.acquire()

    def run(self, worker: Worker) -> None:
        """Do it, in the courier's thread; the worker makes the requests."""
        self._worker = worker
        try:
            if permission.refusal_by_user() is None:
                self._run(worker)
        except Exception as error:  # noqa: BLE001  a thread of ours must print nothing
            log.debug("what waits could not be sent: %r", error)
        finally:
            self.be_over()

    def be_over(self) -> None:
        """Have those who wait go on, whether it was done or not."""
        if self._is_running.locked():
            self._is_running.release()

    def begin_anew(self) -> None:
        """Be as new after it was stopped."""
        self._drain = self._sender = None
        self._clock = _WakingClock()
        self._is_stopped = False
        # Whoever waits may have it, but only to give it back.
        self._is_running.acquire(timeout=_LOCK_SECONDS)

    def _run(self, worker: Worker) -> None:
        sender = self._sender = Sender(
            courier.ANSWER_SECONDS,
            self._until,
            worker=worker,
            servers=of_this_user(),
            keeps_thread=False,
        )
        try:
            if environment.is_array_task():
                self._clock.sleep(courier.spread(self._patience))
            if self._payload is not None:
                courier.send_payload(sender, self._payload)
                self._payload = None
            drain = self._drain = courier.drain_for(
                sender, clock=self._clock, patience=self._patience
            )
            if drain is not None and not self._is_stopped:
                drain.run(self._clock.now() + self._until - time.monotonic())
        finally:
            sender.close()

    def stop(self) -> None:
        """Have it end as soon as the request that is being made has its answer."""
        self._is_stopped = True
        if self._drain is not None:
            self._drain.stop()
        self._clock.wake()

    def wait(self, seconds: float) -> bool:
        """Wait until it is over; what it is doing then is broken off.

        Args:
            seconds: At most this long.

        Returns:
            Whether it is over.
        """
        if seconds <= 0:
            return self._is_over_within(0.0)
        self._hurry(time.monotonic() + seconds)
        if self._is_over_within(seconds * _SHARE):
            return True
        self.kill()
        return self._is_over_within(seconds * (1 - _SHARE))

    def kill(self) -> None:
        """Have it end now: what cannot be broken off ends with the interpreter."""
        self.stop()
        worker = self._worker
        if worker is not None and not worker.is_abandoned and not self._is_over_within(0.0):
            worker.cut_short()

    def forget(self) -> None:
        """Let it go on alone."""

    def _hurry(self, until: float) -> None:
        self._until = until
        if self._sender is not None:
            self._sender.until = until
        if self._drain is not None:
            self._drain.hurry(self._clock.now() + until - time.monotonic())

    def _is_over_within(self, seconds: float) -> bool:
        is_over = self._is_running.acquire(timeout=max(seconds, 0.0))
        if is_over:
            self._is_running.release()
        return is_over


class _WakingClock(Clock):
    """A clock whose sleeper can be woken, once and for all."""

    def __init__(self) -> None:
        super().__init__()
        self._is_asleep = threading.Lock()
        self._is_asleep.acquire()

    def sleep(self, seconds: float) -> None:
        if self._is_asleep.acquire(timeout=seconds):
            self._is_asleep.release()

    def wake(self) -> None:
        if self._is_asleep.locked():
            self._is_asleep.release()


def _left_in(errands: queue.SimpleQueue[Errand | None]) -> Iterator[Errand]:
    while not errands.empty():
        if (errand := errands.get()) is not None:
            yield errand


def _import_all() -> bool:
    """Import what the thread needs, in the thread that asks it; whether all is there."""
    try:
        if "migas.transport.client" not in sys.modules:
            with host.forks_held_off():
                import random  # noqa: F401

                from migas.transport import client, connections  # noqa: F401

                connections.import_what_proxies_take()
    except Exception as error:  # noqa: BLE001  a bundle may lack anything
        log.debug("nothing can be sent from here: %r", error)
        return False
    return True


def _new_worker() -> Worker | None:
    try:
        return Worker()
    except RuntimeError as error:
        log.debug("no thread can be started: %s", error)
        return None
