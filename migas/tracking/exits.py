"""`track_exit`: a run that ends with the interpreter, for programs with no function to decorate.

At its end the interpreter tells nobody which exit status it takes along: of an exception there is
`sys.last_value`, of a `SystemExit` no trace. So a plain function stands in for `sys.exit` and hands
everything on. It leaves a departure in its frame, which the exception's traceback keeps alive: one
that dies with no frame below it belonged to an exit that nobody caught.

How long a program waits at its end: `delivery/couriers.py`.
"""

from __future__ import annotations

import sys
import threading
from types import TracebackType

from migas import log
from migas.message import FIELDS
from migas.settings import identity, permission, values
from migas.tracking import Plan
from migas.tracking.session import Session, open_sessions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import FrameType
    from typing import Any

    from migas.message.outcome import Outcome
    from migas.tracking.handlers import ErrorHandler, HandlerSpec

_is_installed = False


def track_exit(
    project: str,
    version: str,
    error_funcs: Mapping[Any, ErrorHandler] | None = None,
    *,
    error_handlers: HandlerSpec | Sequence[HandlerSpec] | None = None,
    **fields: Any,
) -> None:
    """Have the end of this program reported as the end of a run, however it comes.

    From the first call on a plain function stands in for `sys.exit` and hands everything on. An
    exit that nobody catches in the main thread counts, with the exception that was being handled
    if one was; a bare `raise SystemExit(3)` cannot be seen here, only by `track`. Nothing is
    raised.

    Args:
        project: `owner/repo`, as the server knows it.
        version: The project's version.
        error_funcs: A dict of exception class or class name to function(type, message, traceback)
            that returns fields of the breadcrumb.
        error_handlers: The same, or a preset's name (`'nipype'`), or a list of both.
        **fields: Further fields of the breadcrumb, such as `user_type='dev'`.
    """
    try:
        handlers = _members(error_handlers) + _members(error_funcs)
        known = {name: value for name, value in fields.items() if name in FIELDS[4:]}
        end_with_program(
            Plan(project, version, error_handlers=handlers, init_ping=False, fields=known)
        )
    except Exception as error:  # noqa: BLE001  telemetry must never break a program
        log.warning("track_exit(%r, …) is ignored: %s", project, error)


def end_with_program(plan: Plan) -> None:
    """Have a run of which no more is said than what is asked of it end with this program."""
    if permission.refusal_by_user() is not None:
        return
    if values.settings().is_set_up and permission.refusal() is not None:
        return
    _ExitSession(plan).start()
    _stand_in()


def _members(handlers: Any) -> list[Any]:
    if handlers is None:
        return []
    return list(handlers) if isinstance(handlers, list | tuple) else [handlers]


class _ExitSession(Session):
    """A run that ends with the interpreter."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self.departure: Departure | None = None
        if "session_id" not in plan.fields:
            # The breadcrumbs that such programs leave by themselves are of the same session.
            self.session_id = identity.session_id()

    def end_with_interpreter(self) -> None:
        departure, self.departure = self.departure, None
        if departure is not None and (departure.is_final or _is_last_word(departure)):
            ended = departure.outcomes[id(self)]
            self.place.leave()
            self._guarded(lambda: self._end(ended))
        else:
            super().end_with_interpreter()


class Departure:
    """What a call of `sys.exit` would mean for the open runs, should nobody catch it.

    Args:
        outcomes: How each open run would have ended, by the identity of its session.
    """

    __slots__ = ("is_final", "outcomes")

    def __init__(self, outcomes: dict[int, Outcome]) -> None:
        self.outcomes = outcomes
        self.is_final = False


class _Witness:
    """Lies in the frame of the stand-in and sees where the exception's life ends."""

    __slots__ = ("departure",)

    def __init__(self, departure: Departure) -> None:
        self.departure = departure

    def __del__(self) -> None:
        # No Python code runs below: the interpreter itself has taken the exception.
        self.departure.is_final = sys._getframe().f_back is None  # noqa: SLF001


def _stand_in() -> None:
    global _is_installed  # noqa: PLW0603  a function of the interpreter is replaced once
    if _is_installed:
        return
    _is_installed = True
    previous: Callable[[Any], Any] = sys.exit

    def stand_in(status: Any = None, /) -> Any:
        _witness = _depart(status)  # lives as long as this frame: as long as the exception
        return previous(status)

    stand_in.__name__ = stand_in.__qualname__ = "exit"
    stand_in.__module__ = "sys"
    stand_in.__annotations__ = {}  # as the real one's signature
    stand_in.__doc__ = sys.exit.__doc__
    sys.exit = stand_in


def _depart(status: object) -> _Witness | None:
    """Note what an exit would mean, in the main thread and for runs that end with it."""
    try:
        if threading.current_thread() is not threading.main_thread():
            return None
        sessions = [session for session in open_sessions() if isinstance(session, _ExitSession)]
        if not sessions:
            return None
        error = status if isinstance(status, SystemExit) else SystemExit(status)
        if error.__traceback__ is None:
            caller = sys._getframe(2)  # noqa: SLF001  who asks to leave says much about why
            error.__traceback__ = TracebackType(None, caller, caller.f_lasti, caller.f_lineno)
        if error.__context__ is None:
            error.__context__ = sys.exception()
        departure = Departure({id(session): session.outcome_of(error) for session in sessions})
        for session in sessions:
            session.departure = departure
        return _Witness(departure)
    except Exception as error:  # noqa: BLE001  telemetry must never break a program
        log.debug("an exit could not be noted: %r", error)
        return None


def _is_last_word(departure: Departure) -> bool:
    """Whether an exit whose exception is still alive at the interpreter's end was caught by nobody.

    Something keeps it, as an asyncio task does. Then its traceback reaches up to the outermost
    frame, and that frame ran not one instruction after it. Before Python 3.12 a traceback reaches
    only as far up as a frame had a look at the exception.
    """
    import gc

    may_end_below = sys.version_info < (3, 12)

    for error in gc.get_objects():
        if type(error) is SystemExit:
            traceback = error.__traceback__
            if traceback is not None and _was_seen_by(traceback, departure):
                outermost: FrameType = traceback.tb_frame
                is_outermost = outermost.f_back is None or may_end_below
                return is_outermost and outermost.f_lasti == traceback.tb_lasti
    return False


def _was_seen_by(traceback: TracebackType, departure: Departure) -> bool:
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    witness = traceback.tb_frame.f_locals.get("_witness")
    return isinstance(witness, _Witness) and witness.departure is departure
