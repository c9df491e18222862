"""The settings of this process: one object, its defaults, and how a given value becomes one."""

from __future__ import annotations

from migas import log
from migas.message.breadcrumb import canonical_uuid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    BeforeSend = Callable[[dict[str, Any]], Mapping[str, Any] | None]

DEFAULT_ENDPOINT = "https://migas.nipreps.org"
DEFAULT_TIMEOUT = 5.0
DEFAULT_EXIT_TIMEOUT = 1.0
OFFICIAL_HOST = "migas.nipreps.org"

VARIABLES = {
    "MIGAS_OPTOUT": "Any non-empty value: nothing is sent, written or started.",
    "DO_NOT_TRACK": "Any non-empty value but 0, false, no and off: the same.",
    "MIGAS_ENDPOINT": "Base URL of the server, with or without /graphql.",
    "MIGAS_TIMEOUT": "Seconds to wait for a server's answer, in total. Default 5; 0 never waits.",
    "MIGAS_DELIVERY": "auto (default), detached, inline, spool or log.",
    "MIGAS_STATE_DIR": "Folder for what waits to be sent.",
    "MIGAS_LOG_LEVEL": "Log to stderr at this level: DEBUG, INFO, WARNING, ERROR.",
}
"""Every environment variable that the client reads, and what it means."""


class Settings:
    """What this process was told by `setup()`; one object, changed in place."""

    __slots__ = (
        "before_send",
        "enabled",
        "endpoint",
        "endpoint_error",
        "error_text",
        "exit_timeout",
        "given_timeout",
        "given_user_id",
        "is_by_hand",
        "is_captured",
        "is_forbidden",
        "is_set_up",
        "own_session_id",
        "ranks",
        "redact",
        "session_id",
        "timeout",
    )

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget everything, as before the first `setup()`."""
        self.is_set_up = False
        self.enabled = True
        self.endpoint: str = DEFAULT_ENDPOINT
        self.endpoint_error: str | None = None
        self.is_forbidden = False
        self.given_user_id: str | None = None
        self.session_id: str | None = None
        self.timeout: float = DEFAULT_TIMEOUT
        self.given_timeout: float | None = None
        self.exit_timeout: float = DEFAULT_EXIT_TIMEOUT
        self.error_text: str = "redacted"
        self.redact: tuple[Callable[[str], str], ...] = ()
        self.before_send: tuple[BeforeSend, ...] = ()
        self.ranks: str = "first"
        self.own_session_id: str | None = None
        self.is_by_hand = False  # a person's command asks: it may, whatever programs are told
        self.is_captured = False  # a test looks on: nothing touches disk or network


settings = Settings()


def as_uuid(name: str, value: object) -> str | None:
    """A value as a UUID; one that is none is a warning, and None."""
    if value is None:
        return None
    canonical = canonical_uuid(value)
    if canonical is None:
        log.warning("setup(%s=%r) is ignored: it must be a UUID.", name, value)
    return canonical


def seconds(name: str, value: object, default: float) -> float:
    """A value as seconds, 0 or more; another one is a warning, and the default."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        number = -1.0
    if not 0 <= number < float("inf"):
        log.warning("%s is %r; it must be a number of seconds, 0 or more.", name, value)
        return default
    return number


def choice(name: str, value: object, choices: tuple[str, ...], fallback: str) -> str:
    """A value that must be one of several; another one is a warning, and the fallback."""
    if isinstance(value, str) and value in choices:
        return value
    log.warning("%s is %r; it must be one of %s.", name, value, ", ".join(choices))
    return fallback
