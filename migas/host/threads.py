"""Our threads inside somebody else's program: they take no signal, and are gone before a fork."""

from __future__ import annotations

import _signal  # `signal` makes enumerations of the names in it, which takes 5 ms
import os
import sys
import threading  # also so that no thread of ours is the first to: it would be taken for the main
import time

from migas import host, log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_BEGIN_SECONDS = 0.1
_POLL_SECONDS = (0.00002, 0.00005, 0.0001, 0.0002, *[0.001] * 500)
_JOIN_SECONDS = 1.0


class OwnThread:
    """A daemon thread of the system, also where the program's threads are greenlets.

    The program's `threading` does not know it.

    Args:
        function: Runs in it, and gets the thread.

    Raises:
        RuntimeError: The interpreter is shutting down, or the system has no thread left.
    """

    def __init__(self, function: Callable[[OwnThread], None]) -> None:
        self._function = function
        self._ident: int | None = None
        self._native_id: int | None = None
        self._bell = host.own.allocate_lock()
        self._bell.acquire()
        self._life = host.own.allocate_lock()
        self._life.acquire()
        begun = host.own.allocate_lock()
        begun.acquire()
        _without_signals(lambda: host.own.start_new_thread(self._run, (begun,)))
        # Python 3.14 takes one that has not begun for freed, and ends a dump of all stacks there.
        begun.acquire(timeout=_BEGIN_SECONDS)

    def is_current(self) -> bool:
        """Whether this is the thread that asks."""
        return bool(self._ident == host.own.get_ident())

    def wait(self, seconds: float) -> None:
        """In the thread: sleep until it is woken, at most so long."""
        self._bell.acquire(timeout=min(seconds, host.own.TIMEOUT_MAX))

    def wake(self) -> None:
        """Have it wait no more, nor the next time if it is awake."""
        try:
            self._bell.release()
        except RuntimeError:
            return  # it was to be woken already

    def join(self, seconds: float) -> bool:
        """Wait until it is gone, for the kernel as well, which is a moment later; whether it is."""
        is_gone = self._life.acquire(timeout=seconds)
        if is_gone:
            _wait_for_kernel(self._native_id)
        return bool(is_gone)

    def _run(self, begun: Any) -> None:
        begun.release()
        self._ident = host.own.get_ident()
        self._native_id = getattr(host.own, "get_native_id", lambda: None)()
        try:
            self._function(self)
        finally:
            self._life.release()


class Watch:
    """Calls functions when their time comes, in the one thread of a tracked program.

    Announcing a long run, touching its open record, starting a courier a little later: none of this
    may happen in the program's own time. The thread exists only while something is due. It is
    stopped and joined before a fork, because a live thread makes `os.fork()` warn on Python 3.12
    and later and could hold a lock that the child needs.
    """

    def __init__(self) -> None:
        self._due: dict[object, tuple[float, Callable[[], None]]] = {}
        # Reentrant: a signal's handler may end a run while this very thread holds it.
        self._lock = host.RLock()
        self._thread: OwnThread | None = None
        self._wakes_at = float("inf")
        self._is_closed = False

    def call_later(self, key: object, seconds: float, function: Callable[[], None]) -> None:
        """Call a function once, after a while, unless it is cancelled.

        Args:
            key: Names the appointment; a new one of the same key replaces it.
            seconds: From now.
            function: Runs in the thread; what it raises is logged.
        """
        when = time.monotonic() + seconds
        with self._lock:
            self._due[key] = (when, function)
            self._ensure_thread()
            if when < self._wakes_at and self._thread is not None:
                self._thread.wake()

    def cancel(self, *keys: object) -> None:
        """Forget appointments; an unknown key is fine."""
        with self._lock:
            for key in keys:
                self._due.pop(key, None)

    def ensure_running(self) -> None:
        """Start the thread again after a fork stopped it, when something is due."""
        if self._due and self._thread is None:
            with self._lock:
                self._ensure_thread()

    def pause(self) -> bool:
        """Stop the thread and wait until the system counts it no more.

        Returns:
            Whether anything is due, which nobody does before it runs again.
        """
        thread = self._thread
        if thread is not None and not thread.is_current():
            with self._lock:
                self._thread = None
            thread.wake()
            thread.join(_JOIN_SECONDS)
        return self._thread is None and bool(self._due)

    def close(self) -> None:
        """Stop for good, at the interpreter's end."""
        self._is_closed = True
        self.pause()

    def _ensure_thread(self) -> None:
        if self._thread is None and not self._is_closed and self._due:
            try:
                self._thread = OwnThread(self._serve)
            except RuntimeError as error:
                # The interpreter is shutting down, or the system has no thread left.
                log.debug("no thread can be started: %s", error)

    def _serve(self, here: OwnThread) -> None:
        while True:
            with self._lock:
                if self._thread is not here:
                    return
                if not self._due:
                    self._thread = None
                    return
                key, (when, function) = min(self._due.items(), key=lambda item: item[1][0])
                left = when - time.monotonic()
                self._wakes_at = when if left > 0 else float("inf")
                if left <= 0:
                    del self._due[key]
            if left > 0:
                here.wait(left)
                continue
            try:
                function()
            except Exception as error:  # noqa: BLE001  the thread must outlive our own mistakes
                log.debug("an appointment failed: %r", error)


class ProgramThread:
    """A daemon thread of the program's own kind, in which all signals are blocked.

    It is for what a program calls and waits for: where its threads are greenlets, so is this one,
    and the others go on meanwhile.

    Args:
        function: Runs in it.
        name: What the program sees of it.

    Raises:
        RuntimeError: The interpreter is shutting down, or the system has no thread left.
    """

    def __init__(self, function: Callable[[], None], name: str) -> None:
        self._function = function
        # From Python 3.13 on a join that is not over in time raises under eventlet.
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        _without_signals(self._thread.start)

    @property
    def ident(self) -> int | None:
        """As `threading.get_ident` says in it."""
        return self._thread.ident

    def join(self, seconds: float) -> bool:
        """Wait until it is gone, also for the kernel; whether it is."""
        is_gone = self._is_over.wait(seconds)
        if is_gone:
            _wait_for_kernel(self._thread.native_id)
        return is_gone

    def _run(self) -> None:
        try:
            self._function()
        finally:
            self._is_over.set()


def _without_signals(start: Callable[[], object]) -> None:
    """Start a thread, which begins with the signal mask of the one that makes it.

    A signal must reach the thread that the program expects: one that blocks SIGTERM and waits for
    it with `sigwait` would die if a thread of ours took it.
    """
    if not hasattr(_signal, "pthread_sigmask"):
        start()
        return
    mask = _signal.pthread_sigmask(_signal.SIG_BLOCK, _signal.valid_signals())
    try:
        start()
    finally:
        _signal.pthread_sigmask(_signal.SIG_SETMASK, mask)


def _wait_for_kernel(native_id: int | None) -> None:
    if native_id is None or not sys.platform.startswith("linux"):
        return
    for seconds in _POLL_SECONDS:
        if not os.path.exists(f"/proc/self/task/{native_id}"):
            return
        host.sleep(seconds)
