"""Our threads inside somebody else's program: they take no signal, and are gone before a fork."""

from __future__ import annotations

import os
import signal
import sys
import threading  # also so that no thread of ours is the first to: it would be taken for the main

from migas.host import originals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_BEGIN_SECONDS = 0.1
_POLL_SECONDS = 0.001
_POLLS = 50


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
        self._bell = originals.thread.allocate_lock()
        self._bell.acquire()
        self._life = originals.thread.allocate_lock()
        self._life.acquire()
        begun = originals.thread.allocate_lock()
        begun.acquire()
        _without_signals(lambda: originals.thread.start_new_thread(self._run, (begun,)))
        # Python 3.14 takes one that has not begun for freed, and ends a dump of all stacks there.
        begun.acquire(timeout=_BEGIN_SECONDS)

    def is_current(self) -> bool:
        """Whether this is the thread that asks."""
        return bool(self._ident == originals.thread.get_ident())

    def wait(self, seconds: float) -> None:
        """In the thread: sleep until it is woken, at most so long."""
        self._bell.acquire(timeout=min(seconds, originals.thread.TIMEOUT_MAX))

    def wake(self) -> None:
        """Have it wait no more, nor the next time if it is awake."""
        try:
            self._bell.release()
        except RuntimeError:
            return  # it was to be woken already

    def join(self, seconds: float) -> bool:
        """Wait until it is gone, also for the kernel, which counts it a moment longer.

        Returns:
            Whether it is.
        """
        is_gone = self._life.acquire(timeout=seconds)
        if is_gone:
            _wait_for_kernel(self._native_id)
        return bool(is_gone)

    def _run(self, begun: Any) -> None:
        begun.release()
        self._ident = originals.thread.get_ident()
        self._native_id = getattr(originals.thread, "get_native_id", lambda: None)()
        try:
            self._function(self)
        finally:
            self._life.release()


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
        """Wait until it is gone, also for the kernel.

        Returns:
            Whether it is.
        """
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
    if not hasattr(signal, "pthread_sigmask"):
        start()
        return
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _wait_for_kernel(native_id: int | None) -> None:
    if native_id is None or not sys.platform.startswith("linux"):
        return
    for _attempt in range(_POLLS):
        if not os.path.exists(f"/proc/self/task/{native_id}"):
            return
        originals.sleep(_POLL_SECONDS)
