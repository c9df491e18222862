"""Having a child for a moment without the program's noticing, or not at all.

A program may wait for whichever child ends next (`os.wait()`), or be told by SIGCHLD that one has.
It must not meet the shell that starts our courier.
"""

from __future__ import annotations

import os
import signal
import threading
from contextlib import contextmanager

from migas.host import process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def unnoticed() -> Iterator[bool]:
    """Have a child that ends within the block; its SIGCHLD does not arrive.

    Yields:
        Whether the program would not notice. If it would, there must be none.
    """
    if not hasattr(signal, "sigtimedwait") or not hasattr(os, "waitid"):
        yield not _is_told()
        return
    if process.is_waiting_for_any_child() or (_is_told() and _others_take_signals()):
        yield False
        return
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    was_pending = signal.SIGCHLD in signal.sigpending()
    try:
        yield True
    finally:
        if not was_pending and signal.sigtimedwait({signal.SIGCHLD}, 0) and _has_ended_child():
            # Two signals of a kind that wait are one: this one may have been for the program.
            os.kill(os.getpid(), signal.SIGCHLD)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _is_told() -> bool:
    """Whether a handler of the program's runs when a child ends."""
    return hasattr(signal, "SIGCHLD") and callable(signal.getsignal(signal.SIGCHLD))


def _others_take_signals() -> bool:
    """Whether a signal that this thread blocks would reach another one; ours block all."""
    here = threading.current_thread()
    return here is not threading.main_thread() or any(
        thread is not here and not thread.name.startswith("migas-")
        for thread in threading.enumerate()
    )


def _has_ended_child() -> bool:
    try:
        return os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return False
