"""Our threads inside somebody else's program: they take no signal, and are gone before a fork."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_POLL_SECONDS = 0.001
_POLLS = 50


def start(function: Callable[[], None], name: str) -> threading.Thread:
    """Start a daemon thread in which all signals are blocked.

    A signal must reach the thread that the program expects: one that blocks SIGTERM and waits for
    it with `sigwait` would die if a thread of ours took it.

    Raises:
        RuntimeError: The interpreter is shutting down, or the system has no thread left.
    """
    thread = threading.Thread(target=function, name=name, daemon=True)
    if not hasattr(signal, "pthread_sigmask"):
        thread.start()
        return thread
    # A thread begins with the mask of the one that makes it.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        thread.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    return thread


def join(thread: threading.Thread, seconds: float) -> None:
    """Wait until a thread is gone, also for the kernel, which counts it a moment longer."""
    thread.join(seconds)
    if thread.native_id is None or not sys.platform.startswith("linux") or thread.is_alive():
        return
    for _attempt in range(_POLLS):
        if not os.path.exists(f"/proc/self/task/{thread.native_id}"):
            return
        time.sleep(_POLL_SECONDS)
