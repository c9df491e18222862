"""Tell the makers of a program how its runs really end, without getting in the way of a run.

Names load when they are first used: a program that only imports migas pays next to nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from migas.calls import add_breadcrumb as add_breadcrumb
    from migas.calls import add_project as add_project
    from migas.calls import check_project as check_project
    from migas.calls import flush as flush
    from migas.calls import get_projects as get_projects
    from migas.calls import get_usage as get_usage
    from migas.config import clear_user_id as clear_user_id
    from migas.config import print_config as print_config
    from migas.settings.setup import setup as setup
    from migas.tracking.decorator import track as track
    from migas.tracking.exits import track_exit as track_exit
    from migas.tracking.session import Session as Session
    from migas.tracking.session import session as session

__version__ = "0.5.0"

__all__ = [
    "Session",
    "__version__",
    "add_breadcrumb",
    "add_project",
    "check_project",
    "clear_user_id",
    "flush",
    "get_projects",
    "get_usage",
    "print_config",
    "session",
    "setup",
    "track",
    "track_exit",
]

_ROOMS = {
    "Session": "tracking.session",
    "add_breadcrumb": "calls",
    "add_project": "calls",
    "check_project": "calls",
    "clear_user_id": "config",
    "flush": "calls",
    "get_projects": "calls",
    "get_usage": "calls",
    "print_config": "config",
    "session": "tracking.session",
    "setup": "settings.setup",
    "track": "tracking.decorator",
    "track_exit": "tracking.exits",
}


def __getattr__(name: str) -> object:
    room = _ROOMS.get(name)
    if room is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        # Not `importlib`, which would be another module to load.
        value = getattr(__import__(f"{__name__}.{room}", fromlist=(name,)), name)
    except OSError as error:
        return _Absent(success=False, message=f"migas cannot be loaded: {error}")
    globals()[name] = value
    return value


class _Absent(dict[str, object]):
    """Stands in for what cannot be loaded, where no more file can be opened: it does nothing.

    It is a decorator that hands its function back, a context manager, a run that sends nothing,
    and a call's answer that says why.
    """

    def __call__(self, *values: object, **_fields: object) -> object:
        is_decorating = len(values) == 1 and callable(values[0])
        return values[0] if is_decorating else self

    def __bool__(self) -> bool:
        return False

    def __missing__(self, _key: str) -> None:
        return None

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __enter__(self) -> object:
        return self

    def __exit__(self, *_error: object) -> None:
        return None

    async def __aenter__(self) -> object:
        return self

    async def __aexit__(self, *_error: object) -> None:
        return None


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
