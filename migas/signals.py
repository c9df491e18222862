"""Signals that a program asked to have reported: one registry serves all open runs.

Only the main thread can set handlers, a signal that is ignored stays so, a previous handler is
called, and where there was none the process dies by that same signal.
"""

from __future__ import annotations

import os
import signal
import threading

from migas import log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import FrameType
    from typing import Any

    from migas.runs import Session

_NOT_ENDING = (
    "SIGKILL",
    "SIGSTOP",
    "SIGTSTP",
    "SIGTTIN",
    "SIGTTOU",
    "SIGCONT",
    "SIGCHLD",
    "SIGURG",
)

_serving: dict[int, list[Session]] = {}
_previous: dict[int, Any] = {}


def numbers(wanted: Iterable[str | int]) -> tuple[int, ...]:
    """The numbers of signals given by name or number.

    Raises:
        TypeError: It is a single text, or holds something that names no signal.
        ValueError: This system has no such signal, or it cannot end a process or be handled.
    """
    if isinstance(wanted, str | int):
        wanted = (wanted,)
    found = []
    for one in wanted:
        try:
            number = signal.Signals[one] if isinstance(one, str) else signal.Signals(one)
        except (KeyError, ValueError, TypeError):
            raise ValueError(
                f"signals holds {one!r}; it must be a name such as 'SIGTERM' or its number."
            ) from None
        if number.name in _NOT_ENDING:
            raise ValueError(f"signals holds {number.name}, which ends no process by a handler.")
        found.append(int(number))
    return tuple(found)


def serve(session: Session) -> None:
    """Have the signals that a run asked for end it, from now until `release`."""
    if threading.current_thread() is not threading.main_thread():
        log.debug("signals can only be served for runs that open in the main thread")
        return
    for number in session.signals:
        if number not in _serving and not _install(number):
            continue
        _serving[number].append(session)


def release(session: Session) -> None:
    """Stop serving a run; the last one restores what is still ours."""
    for number in session.signals:
        sessions = _serving.get(number)
        if not sessions or session not in sessions:
            continue
        sessions.remove(session)
        if not sessions and threading.current_thread() is threading.main_thread():
            _restore(number)


def _install(number: int) -> bool:
    previous = signal.getsignal(number)
    # None: a handler that was not set from Python and could not be called from it.
    if previous is None or previous == signal.SIG_IGN:
        return False
    if previous == signal.SIG_DFL and os.getpid() == 1:
        return False  # the kernel ignores it for process 1; a handler would make it deadly
    _previous[number] = previous
    _serving[number] = []
    signal.signal(number, _handle)
    return True


def _restore(number: int) -> None:
    previous = _previous.pop(number)
    del _serving[number]
    if signal.getsignal(number) is _handle:
        signal.signal(number, previous)


def _handle(number: int, frame: FrameType | None) -> None:
    name = signal.Signals(number).name
    sessions = [session for session in _serving.get(number, ()) if session.is_open]
    previous = _previous.get(number, signal.SIG_DFL)
    if callable(previous):
        _call_previous(previous, number, frame, sessions, name)
        return
    for session in sessions:
        session.end_by_signal(name)
    from migas import delivery

    delivery.send_before_death()
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def _call_previous(
    previous: Callable[[int, FrameType | None], object],
    number: int,
    frame: FrameType | None,
    sessions: list[Session],
    name: str,
) -> None:
    try:
        previous(number, frame)
    except BaseException:
        # The program ends itself because of the signal; a run that survives reports its real end.
        for session in sessions:
            session.signal_arrived(name)
        raise
