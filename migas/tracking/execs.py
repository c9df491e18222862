"""`os.exec…` inside a run: another program takes this one's place, and the run is not lost by that.

The kernel asks nobody, and afterwards nothing of ours is there to speak. So plain functions stand
in for the two that all others call, have the open records say how the runs ended, and hand on.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from migas.tracking.session import Session


def watch(open_sessions: Callable[[], list[Session]]) -> None:
    """Have the open runs end with an `exec` from now on.

    Args:
        open_sessions: Gives the runs that this process speaks for.
    """
    for name in ("execv", "execve"):
        stand_in = _stand_in(getattr(os, name), open_sessions)
        if getattr(os, name) in os.supports_fd:
            os.supports_fd.add(stand_in)
        setattr(os, name, stand_in)


def _stand_in(
    previous: Callable[..., Any], open_sessions: Callable[[], list[Session]]
) -> Callable[..., Any]:
    def stand_in(*arguments: Any, **named: Any) -> Any:
        sessions = open_sessions() if _may_succeed(*arguments, **named) else []
        for session in sessions:
            session.settle_replaced()
        try:
            return previous(*arguments, **named)
        except BaseException as error:
            for session in sessions:
                session.update()
            if error.__traceback__ is not None:
                error.__traceback__ = error.__traceback__.tb_next  # our own frame
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
