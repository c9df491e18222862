"""Having a child for a moment without the program's noticing, or not at all.

A program may wait for whichever child ends next (`os.wait()`), or be told by SIGCHLD that one has.
It must not meet the shell that starts our courier. Nor must we meet what the program has made of
`subprocess` and `os`: gevent's wait for a SIGCHLD that is kept from it here.
"""

from __future__ import annotations

import _signal
import os
import sys
import time

from migas import host
from migas.host import process
from migas.host.files import out_of_the_way

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

try:
    import posix
    from _posixsubprocess import fork_exec
except ImportError:  # Windows
    fork_exec = None  # type: ignore[assignment]

_LAST_WITH_VFORK_ARGUMENT = (3, 13)
_REAP_SECONDS = (0.0002, 0.02)
"""How long a child that is about to end is left alone between two looks: at first, and at most."""


def start(arguments: Sequence[str], environ: Mapping[str, str], stdin: int, stdout: int) -> int:
    """Start a program in a session of its own and in the root folder.

    It gets these two descriptors, writes its errors nowhere, and inherits nothing else. It was not
    found where its standard output ends without a word.

    Returns:
        Its pid; who has started it waits for it.

    Raises:
        OSError: There can be no further process.
        TypeError: This interpreter starts processes in another way.
    """
    variables = [os.fsencode(f"{name}={text}") for name, text in environ.items()]
    # Who forbids processes by such a hook forbids ours.
    sys.audit("subprocess.Popen", arguments[0], list(arguments), os.sep, dict(environ))
    nowhere = out_of_the_way(posix.open(os.devnull, posix.O_WRONLY | posix.O_CLOEXEC))
    unread = posix.dup(nowhere)
    try:
        # As `subprocess` does it: no descriptor is kept; the six ends of three pipes, and of the
        # one for errors before the program's start, of which the child closes one; its signals
        # restored, a new session; no group, no other user, nothing called in between.
        settings: list[Any] = [True, (), os.sep, variables, stdin, -1, -1, stdout, -1, nowhere]
        settings += [unread, nowhere, True, True, -1, None, None, None, -1, None]
        if sys.version_info[:2] <= _LAST_WITH_VFORK_ARGUMENT:
            settings.append(True)
        return int(fork_exec(list(arguments), (os.fsencode(arguments[0]),), *settings))
    finally:
        posix.close(unread)
        posix.close(nowhere)


def reap(pid: int, deadline: float) -> bool:
    """Wait for a child of ours until a moment of the monotonic clock; whether it has ended."""
    pause, longest = _REAP_SECONDS
    try:
        while posix.waitpid(pid, posix.WNOHANG)[0] == 0:
            if time.monotonic() >= deadline:
                return False
            host.sleep(pause)
            pause = min(pause * 2, longest)
    except ChildProcessError:
        return True  # the program waits for all children, or ignores their end
    return True


class Unnoticed:
    """A block in which a child ends; its SIGCHLD does not arrive.

    Entered, it says whether the program would not notice. If it would, there must be none.
    """

    def __init__(self) -> None:
        self._mask: set[int] | None = None
        self._was_pending = False

    def __enter__(self) -> bool:
        if not hasattr(_signal, "sigtimedwait") or not hasattr(os, "waitid"):
            return not _is_told()
        if process.is_waiting_for_any_child() or (_is_told() and _others_take_signals()):
            return False
        self._mask = _signal.pthread_sigmask(_signal.SIG_BLOCK, {_signal.SIGCHLD})
        self._was_pending = _signal.SIGCHLD in _signal.sigpending()
        return True

    def __exit__(self, *_error: object) -> None:
        if self._mask is None:
            return
        is_told = not self._was_pending and _signal.sigtimedwait({_signal.SIGCHLD}, 0)
        if is_told and _has_ended_child():
            # Two signals of a kind that wait are one: this one may have been for the program.
            posix.kill(posix.getpid(), _signal.SIGCHLD)
        _signal.pthread_sigmask(_signal.SIG_SETMASK, self._mask)


def _is_told() -> bool:
    """Whether a handler of the program's runs when a child ends."""
    if not hasattr(_signal, "SIGCHLD"):
        return False
    # Where gevent waits for children, it alone knows what handler the program has set.
    ask = getattr(sys.modules.get("signal"), "getsignal", _signal.getsignal)
    return callable(ask(_signal.SIGCHLD))


def _others_take_signals() -> bool:
    """Whether a signal that this thread blocks would reach another one; ours block all."""
    here = host.own.get_native_id()
    masks = process.blocked_signals()
    return not masks or any(
        _signal.SIGCHLD not in mask for thread, mask in masks.items() if thread != here
    )


def _has_ended_child() -> bool:
    try:
        options = posix.WEXITED | posix.WNOHANG | posix.WNOWAIT
        return posix.waitid(posix.P_ALL, 0, options) is not None
    except ChildProcessError:
        return False
