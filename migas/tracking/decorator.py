"""`track`: how a program says which function, or which block, is a run.

Decorating wraps and does nothing else; each call, and each block, is a session of its own.
"""

from __future__ import annotations

import atexit
import sys
from _weakref import ref  # what `weakref` has, without importing that

from migas import log
from migas.settings import permission
from migas.tracking import ANNOUNCE_SECONDS, Plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, Self, TypeVar

    from migas.tracking.handlers import HandlerSpec
    from migas.tracking.session import Session

    F = TypeVar("F", bound=Callable[..., Any])


class Tracker:
    """What `track(…)` returns: a decorator, and a context manager for a block of its own.

    Where nobody keeps it, `track(…)` stands as a statement of its own, and the run ends with the
    program, as with `track_exit`. That is seen by its being dropped unused at once. One that lies
    in a variable until the interpreter's end may have been meant as a decorator for a function that
    this program never defined: it reports nothing, and the log says what to write.

    Args:
        plan: What is asked of each run.
    """

    def __init__(self, plan: Plan) -> None:
        if permission.refusal_by_user() is None:
            _session_type()
            from migas.tracking.session import preload

            preload()
        self._plan = plan
        self._is_used = False
        self._sessions: list[Session] = []
        self._started: Session | None = None
        _watch_for_use(self)

    @property
    def project(self) -> str:
        """`owner/repo`."""
        return self._plan.project

    @property
    def version(self) -> str:
        """The project's version."""
        return self._plan.version

    def start(self) -> Self:
        """Open a run that lasts until `stop()`, or ends with the interpreter.

        Returns:
            The tracker itself; while its run is open, a second call does nothing.
        """
        self._is_used = True
        if self._started is None or not self._started.is_open:
            self._started = _session_type()(self._plan).start()
        return self

    def stop(self, exc: BaseException | None = None) -> None:
        """End the run that `start()` opened, or one of this moment where it was not called.

        Args:
            exc: The exception that ended it; by default the one that is being handled.
        """
        if self._started is None and self._is_used:
            log.warning("stop() ends what start() opened; each decorated call is its own run.")
            return
        if self._started is None:
            self.start()
        if self._started is not None:
            self._started.stop(exc or sys.exception())

    def __call__(self, function: F) -> F:
        """Decorate a function, method, coroutine function or (async) generator function.

        Returns:
            A wrapper that behaves as the function does; where the environment opts out, the
            function itself.

        Raises:
            TypeError: It is nothing that can be called, or a class.
        """
        self._is_used = True
        is_method = isinstance(function, classmethod | staticmethod)
        if isinstance(function, type) or not (callable(function) or is_method):
            raise TypeError(f"migas.track decorates functions and methods; {function!r} is none.")
        try:
            if permission.refusal_by_user() is not None:
                return function
            from migas.tracking.wrapper import wrap  # wrapt is the dearest of all imports
        except OSError as error:  # no file can be opened any more
            log.warning("calls of %r are not reported: %s", function, error)
            return function

        return wrap(function, self._plan)  # type: ignore[no-any-return]

    def __enter__(self) -> Session:
        self._is_used = True
        session: Session = _session_type()(self._plan)
        self._sessions.append(session)
        return session.start()

    def __exit__(self, _type: object, error: BaseException | None, _trace: object) -> None:
        # Blocks of several threads or tasks may be open at once: this context's is meant.
        session = self._sessions[-1]
        if len(self._sessions) > 1:
            from migas.tracking import nesting

            session = nesting.innermost(self._sessions) or session
        self._sessions.remove(session)
        session.stop(error)

    async def __aenter__(self) -> Session:
        return self.__enter__()

    async def __aexit__(self, _type: object, error: BaseException | None, _trace: object) -> None:
        self.__exit__(_type, error, _trace)

    def __del__(self) -> None:
        if getattr(self, "_is_used", True) or sys.is_finalizing():
            return
        try:
            from migas.tracking import exits

            exits.end_with_program(self._plan)
        except Exception as error:  # noqa: BLE001  telemetry must never break a program
            log.debug("a run could not be opened: %r", error)

    @property
    def is_used(self) -> bool:
        """Whether it was called, entered or started."""
        return self._is_used


def _session_type() -> type[Session]:
    """What a run is; a program that is opted out and decorates functions never loads it."""
    from migas import host

    with host.forks_held_off():
        from migas.tracking.session import Session
    return Session


_made: list[ref[Tracker]] = []


def _watch_for_use(tracker: Tracker) -> None:
    """See at the interpreter's end what was made and never used."""
    if not _made:
        atexit.register(_tell_of_unused)
    _made[:] = [one for one in _made if (made := one()) is not None and not made.is_used]
    _made.append(ref(tracker))


def _tell_of_unused() -> None:
    for tracker in [one() for one in _made]:
        if tracker is not None and not tracker.is_used:
            log.warning(
                "migas.track(%r, …) was made and never used: decorate a function with it, enter "
                "it with a with statement, or call start() and stop().",
                tracker.project,
            )


def track(
    project: str,
    version: str,
    error_handlers: HandlerSpec | Iterable[HandlerSpec] | None = None,
    *,
    init_ping: bool = True,
    announce_after: float = ANNOUNCE_SECONDS,
    signals: Iterable[str | int] = (),
    returns_exit_code: bool = False,
    update_notice: bool = False,
    **fields: Any,
) -> Tracker:
    """Have each call of a function, or a block, reported as a run of a project.

    Args:
        project: `owner/repo`, as the server knows it.
        version: The project's version.
        error_handlers: What describes certain exceptions: a dict of class or class name to
            function(type, message, traceback) that returns fields, a preset's name (`'nipype'`),
            or a list of both.
        init_ping: Whether a run that lasts `announce_after` seconds announces itself once.
        announce_after: Seconds.
        signals: Signals, by name or number, whose arrival ends the run as `Terminated`.
        returns_exit_code: Whether an int that the function returns is its exit code.
        update_notice: Whether, when the server has told of a newer version or that this one is
            flagged, one line at the end says so: on a terminal only, and not in CI. Couriers
            that are waited for, as in containers, are told of none.
        **fields: Further fields of the breadcrumb, such as `user_type='dev'`.

    Returns:
        A decorator that is a context manager, too.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: An argument has a value that cannot be meant.
    """
    return Tracker(
        Plan(
            project,
            version,
            error_handlers=error_handlers,
            init_ping=init_ping,
            announce_after=announce_after,
            signals=signals,
            returns_exit_code=returns_exit_code,
            update_notice=update_notice,
            fields=fields,
        )
    )
