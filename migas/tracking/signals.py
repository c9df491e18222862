"""Signals that a program asked to have reported: one registry serves all open runs.

Only the main thread can set handlers, a signal that is ignored stays so, a previous handler is
called, and where there was none the process dies by that same signal.
"""

from __future__ import annotations

import os
import signal
import threading

from migas import host, log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import FrameType
    from typing import Any, Protocol

    class Run(Protocol):
        """What is to be known of a run that signals may end."""

        @property
        def signals(self) -> tuple[int, ...]:
            """The numbers of those that do."""

        @property
        def is_open(self) -> bool:
            """Whether it has begun and not ended."""

        def signal_arrived(self, name: str, error: BaseException) -> None:
            """Note what a signal's handler raised."""

        def end_by_signal(self, name: str) -> None:
            """End it by a signal that is about to end the process."""


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


class _Handler:
    """What we set for a signal, over what was set before.

    A program may set its own over it and call it from there, also when its runs have ended: so
    each knows for good what came before it.
    """

    def __init__(self, number: int, previous: Any) -> None:
        self.number = number
        self.previous = previous
        self.runs: list[Run] = []

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if not callable(self.previous):
            self._die()
            return
        try:
            self.previous(number, frame)
        except BaseException as error:
            # The program ends itself because of the signal; a run that survives reports its end.
            name = signal.Signals(number).name
            for run in _served_by(number):
                run.signal_arrived(name, error)
            host.drop_own_frame(error)
            raise

    def _die(self) -> None:
        name = signal.Signals(self.number).name
        for run in _served_by(self.number):
            run.end_by_signal(name)
        from migas.delivery import hooks

        hooks.send_before_death()
        signal.signal(self.number, signal.SIG_DFL)
        os.kill(os.getpid(), self.number)


_handlers: dict[int, list[_Handler]] = {}
"""By signal what we have set and not taken back; more than one where the program set its own."""


def numbers(wanted: Iterable[str | int]) -> tuple[int, ...]:
    """The numbers of signals given by name or number.

    Raises:
        TypeError: It is nothing that holds signals.
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
    return tuple(dict.fromkeys(found))


def serve(run: Run) -> None:
    """Have the signals that a run asked for end it, from now until `release`."""
    if threading.current_thread() is not threading.main_thread():
        log.debug("signals can only be served for runs that open in the main thread")
        return
    for number in run.signals:
        handler = _handler_for(number)
        if handler is not None:
            handler.runs.append(run)


def release(run: Run) -> None:
    """Stop serving a run; what no run needs any more is taken back where it is still ours."""
    for number in run.signals:
        for handler in _handlers.get(number, ()):
            if run in handler.runs:
                handler.runs.remove(run)
        if threading.current_thread() is threading.main_thread():
            _take_back(number)


def _handler_for(number: int) -> _Handler | None:
    """Our handler, set now unless it is what the signal finds already."""
    previous: Any = signal.getsignal(number)
    ours = _handlers.setdefault(number, [])
    is_ours = bool(ours) and previous is ours[-1]
    if is_ours:
        return ours[-1]
    # None: a handler that was not set from Python and could not be called from it.
    if previous is None or previous == signal.SIG_IGN:
        return None
    if previous == signal.SIG_DFL and os.getpid() == 1:
        return None  # the kernel ignores it for process 1; a handler would make it deadly
    handler = _Handler(number, previous)
    signal.signal(number, handler)
    ours.append(handler)
    return handler


def _take_back(number: int) -> None:
    ours = _handlers.get(number, [])
    while ours and not ours[-1].runs:
        handler = ours.pop()
        present: Any = signal.getsignal(number)
        if present is handler:
            signal.signal(number, handler.previous)


def _served_by(number: int) -> list[Run]:
    handlers = list(_handlers.get(number, ()))
    return [run for handler in handlers for run in handler.runs if run.is_open]
