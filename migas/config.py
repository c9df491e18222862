"""A door: what released programs import from `migas.config`.

`Config` was a class that held the settings; here it shows them and holds nothing.
"""

from __future__ import annotations

from migas import log
from migas.settings import identity, permission, places, values
from migas.settings.setup import setup

__all__ = ["Config", "clear_user_id", "gen_uuid", "print_config", "setup", "telemetry_enabled"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, ParamSpec, TypeVar

    P = ParamSpec("P")
    R = TypeVar("R")

_SHOWN = (
    "endpoint",
    "user_id",
    "session_id",
    "language",
    "language_version",
    "platform",
    "container",
    "is_ci",
    "user_type",
)


class _View(type):
    """Reads each attribute of `Config` from where it really is, at the moment it is asked for."""

    @property
    def endpoint(cls) -> str | None:
        """Base URL of the server; None before `setup()`."""
        return values.settings().endpoint if values.settings().is_set_up else None

    @property
    def user_id(cls) -> str | None:
        """The id that breadcrumbs carry; None before `setup()` and where none is kept or may be."""
        return None if permission.refusal() is not None else identity.user_id()

    @property
    def session_id(cls) -> str | None:
        """The session that `setup()` was given or took over from a parent."""
        return values.settings().session_id

    @property
    def user_type(cls) -> str | None:
        """What kind of user runs this; None: a program says it with each breadcrumb."""
        return None

    @property
    def _is_setup(cls) -> bool:
        return values.settings().is_set_up

    def __getattr__(cls, name: str) -> Any:
        if name in _SHOWN:
            from migas.host import environment

            return environment.telemetry_fields().get(name)
        raise AttributeError(f"Config has no attribute {name!r}")


class Config(metaclass=_View):
    """The settings as released clients show them: `Config.endpoint`, `.user_id`, `.session_id`, ….

    It is never instantiated, and nothing is set through it: that is what `setup()` is for.
    """

    @classmethod
    def populate(cls) -> dict[str, Any]:
        """The facts of this process that a breadcrumb carries, as far as they are known."""
        shown = {name: getattr(cls, name) for name in _SHOWN[1:]}
        return {name: value for name, value in shown.items() if value is not None}

    @classmethod
    def _reset(cls) -> None:
        values.publish(values.Settings())


def print_config() -> None:
    """Print the settings of this process, and why nothing is sent where that is so."""
    for name in _SHOWN:
        print(f"{name}: {getattr(Config, name)}")
    print(f"sending: {permission.refusal() or 'enabled'}")


def telemetry_enabled(function: Callable[P, R]) -> Callable[P, R | dict[str, Any]]:
    """Have a function called only where sending is permitted.

    Args:
        function: It is called with what it is given.

    Returns:
        A function that answers with what the given one does, or else with
        `{'success': False, 'errors': [{'message': …}]}`.
    """
    from functools import wraps

    @wraps(function)
    def ask(*args: P.args, **kwargs: P.kwargs) -> R | dict[str, Any]:
        refusal = permission.refusal()
        if refusal is not None:
            return permission.refused(refusal, {})
        return function(*args, **kwargs)

    return ask


def gen_uuid(uuid_factory: str = "safe", container: str | None = None) -> str | None:  # noqa: ARG001
    """A UUID as text.

    Args:
        uuid_factory: `safe` for the user's kept id, where one is kept; `random` for a new one.
        container: Ignored; whether this is a container is found out anyway.

    Returns:
        A UUID; None where the user opted out of having an id read or made.

    Raises:
        NotImplementedError: There is no such factory.
    """
    if uuid_factory not in ("safe", "random"):
        raise NotImplementedError(f"{uuid_factory!r} is no uuid_factory: 'safe' or 'random' is")
    if uuid_factory == "safe":
        if permission.refusal_by_user() is not None:
            return None
        kept = identity.user_id()
        if kept is not None:
            return kept
    return identity.random_uuid()


def clear_user_id() -> None:
    """Erase the user id that is kept on this machine; the next run makes a new one."""
    values.change(given_user_id=None)
    try:
        identity.forget_user_id(places.config_folder())
    except RuntimeError:
        return  # no home, no id


def __getattr__(name: str) -> object:
    """The released `logger`, made on first use: importing `logging` costs 17 ms."""
    if name == "logger":
        return log.logger()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
