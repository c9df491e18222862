"""The delivery of this process, and where Python calls it: at its end, at forks, at an `exec`."""

from __future__ import annotations

import atexit
import os

from migas import host, log
from migas.delivery import Delivery
from migas.settings import values

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, Protocol

    class Run(Protocol):
        """What is to be known of a run that an `exec` may end."""

        def settle_replaced(self) -> None:
            """Have its record say how it ended should another program take this one's place."""

        def update(self) -> None:
            """Have it say again that it goes on."""


_current: Delivery | None = None
_before_exit: list[Callable[[], None]] = []


def current() -> Delivery:
    """The delivery of this process, made at its first use."""
    global _current  # noqa: PLW0603  the one delivery
    if _current is None:
        with host.forks_held_off():
            if _current is None:
                _install_hooks()
                _import_what_runs_need()
                _current = Delivery()
    _current.ensure_running()
    return _current


def _import_what_runs_need() -> None:
    """Import what a run needs while forks wait, rather than one by one in whichever thread."""
    import faulthandler  # noqa: F401

    from migas.delivery import privacy  # noqa: F401
    from migas.host import environment

    environment.telemetry_fields()
    if values.delivery() not in ("log", "spool"):
        from migas.delivery import spawn  # noqa: F401
        from migas.spool import servers  # noqa: F401


def replace(other: Delivery | None) -> Delivery | None:
    """Put another delivery in the place of this process's, as a test that looks on does.

    Returns:
        The one that was there, or None when none had been made yet.
    """
    global _current
    _current, previous = other, _current
    return previous


def call_before_exit(function: Callable[[], None]) -> None:
    """Have a function called at the interpreter's end before the last courier is sent."""
    if function not in _before_exit:
        _before_exit.append(function)


_hooks_installed = False


def _install_hooks() -> None:
    global _hooks_installed  # noqa: PLW0603  hooks cannot be removed, so they are installed once
    if _hooks_installed:
        return
    _hooks_installed = True
    atexit.register(_at_exit)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(
            before=_before_fork,
            after_in_parent=_after_fork_in_parent,
            after_in_child=_after_fork_in_child,
        )


def _at_exit() -> None:
    try:
        for function in reversed(_before_exit):
            function()
        if _current is not None:
            _current.at_exit()
    except BaseException as error:  # noqa: BLE001  nothing of ours may show at exit, Ctrl-C neither
        log.debug("delivery at exit failed: %r", error)


def _before_fork() -> None:
    if _current is not None:
        try:
            _current.prepare_fork()
        except BaseException as error:  # noqa: BLE001  an error here would be printed by the interpreter
            log.debug("the thread could not be stopped before a fork: %r", error)


def _after_fork_in_parent() -> None:
    if _current is not None:
        try:
            _current.after_fork()
        except BaseException as error:  # noqa: BLE001  it would be printed, too
            log.debug("signals could not be let through after a fork: %r", error)


def _after_fork_in_child() -> None:
    global _current
    inherited, _current = _current, None
    if inherited is not None:
        try:
            inherited.leave_to_parent()
        except BaseException as error:  # noqa: BLE001
            log.debug("a forked child could not let go: %r", error)


def send_before_death() -> None:
    """Send what waits because the process is about to die without coming to its end."""
    if _current is not None:
        try:
            _current.at_exit()
        except Exception as error:  # noqa: BLE001  death must not wait for our mistakes
            log.debug("delivery before death failed: %r", error)


def call_at_execs(open_runs: Callable[[], Sequence[Run]]) -> None:
    """Have the open runs end with an `exec` from now on.

    The kernel asks nobody, and afterwards nothing of ours is there to speak. So plain functions
    stand in for the two that all others call, have the open records say how the runs ended, and
    hand on.

    Args:
        open_runs: Gives the runs that this process speaks for.
    """
    for name in ("execv", "execve"):
        stand_in = _stand_in(getattr(os, name), open_runs)
        if getattr(os, name) in os.supports_fd:
            os.supports_fd.add(stand_in)
        setattr(os, name, stand_in)


def _stand_in(
    previous: Callable[..., Any], open_runs: Callable[[], Sequence[Run]]
) -> Callable[..., Any]:
    def stand_in(*arguments: Any, **named: Any) -> Any:
        runs = open_runs() if _may_succeed(*arguments, **named) else []
        for run in runs:
            run.settle_replaced()
        try:
            return previous(*arguments, **named)
        except BaseException as error:
            for run in runs:
                run.update()
            host.drop_own_frame(error)
            raise

    for name in ("__name__", "__qualname__", "__module__", "__doc__"):
        setattr(stand_in, name, getattr(previous, name, None))
    stand_in.__wrapped__ = previous  # type: ignore[attr-defined]  # for the signature
    return stand_in


def _may_succeed(path: Any = None, *_arguments: Any, **_named: Any) -> bool:
    """Whether there is a program at all: `os.execvp` tries one folder after the other."""
    try:
        return os.access(path, os.X_OK)
    except (TypeError, ValueError):
        return True
