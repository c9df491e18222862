"""The settings in force: one immutable value, replaced whole and never changed in place.

Whoever reads `settings()` once holds one consistent set, whatever `setup()` does meanwhile in
another thread. A run can therefore never leave for a server that only half of a `setup()` names.
Which source of a setting wins is decided here, too.
"""

from __future__ import annotations

import os

from migas import host, log
from migas.settings import (
    DELIVERIES,
    DELIVERY,
    ENDPOINT,
    ERROR_TEXT,
    ERROR_TEXTS,
    EXIT_TIMEOUT,
    RANKS,
    TIMEOUT,
    TIMING,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import ModuleType
    from typing import Any, Never, Self

    from migas.settings import Delivery, Setting

    BeforeSend = Callable[[dict[str, Any]], Mapping[str, Any] | None]


class Settings:
    """What this process was told, resolved; by default what holds before the first `setup()`.

    Written out because importing `dataclasses` costs a run 10 ms.
    """

    is_set_up: bool = False
    enabled: bool = True
    endpoint: str = ENDPOINT.default
    endpoint_error: str | None = None
    """Why there is no endpoint that may be used."""
    is_forbidden: bool = False
    """Whether the program that started this one has switched reporting off."""
    given_user_id: str | None = None
    session_id: str | None = None
    """The session shared by all runs, of `setup()` or a parent."""
    drawn: dict[str, str]
    """Ids that are drawn when they are first needed and hold from then on."""
    timeout: float = TIMEOUT.default
    given_timeout: float | None = None
    exit_timeout: float = EXIT_TIMEOUT.default
    error_text: str = ERROR_TEXT.default
    timing: bool = TIMING.default
    redact: tuple[Callable[[str], str], ...] = ()
    before_send: tuple[BeforeSend, ...] = ()
    ranks: str = RANKS.default
    asked_by_user: bool = False
    """A person's command asks: it may, whatever programs are told."""
    captured_by_test: bool = False
    """A test looks on: nothing touches disk or network."""

    def __init__(self, **changes: Any) -> None:
        if unknown := changes.keys() - type(self).__annotations__.keys():
            raise TypeError(f"{', '.join(sorted(unknown))}: there is no such setting")
        vars(self).update({"drawn": {}} | changes)

    def __setattr__(self, name: str, value: object) -> Never:
        raise AttributeError(f"Settings are a value: make another one with replace({name}=…).")

    def replace(self, **changes: Any) -> Self:
        """The same settings but for some."""
        return type(self)(**vars(self) | changes)


_published = Settings()
_changing = host.RLock()
if hasattr(os, "register_at_fork"):
    # Another thread may hold it in the moment of a fork, and does not exist in the child.
    os.register_at_fork(after_in_child=_changing._at_fork_reinit)  # type: ignore[attr-defined]  # noqa: SLF001


def settings() -> Settings:
    """The settings in force."""
    return _published


def publish(value: Settings) -> Settings:
    """Put settings in force, by one assignment.

    Returns:
        Those that were in force before.
    """
    global _published
    previous, _published = _published, value
    return previous


def changing() -> host.RLock:
    """What to hold, as a context manager, from reading the settings to publishing others.

    So of two threads that change something neither undoes what the other said. Reading needs no
    lock: a run never waits for a `setup()` that reads a file.
    """
    return _changing


def change(**changes: Any) -> None:
    """Put the settings in force with some of them changed."""
    with changing():
        publish(_published.replace(**changes))


_policy: ModuleType | None = None


def policy() -> ModuleType:
    """What people decided in files; whoever is opted out by a variable never loads it."""
    global _policy  # noqa: PLW0603  asked for many times in a run
    if _policy is None:
        with host.forks_held_off():
            from migas.settings import policy as loaded
        _policy = loaded
    return _policy


def delivery() -> Delivery:
    """The way of delivery in force, of `settings.DELIVERIES`; the default where a test captures."""
    if _published.captured_by_test:
        return "auto"
    decided: Delivery | None = policy().site("delivery")
    if decided is None and (asked := host.variable("MIGAS_DELIVERY")):
        if asked in DELIVERIES:
            return asked
        if asked := asked.strip().lower():
            decided = meant("MIGAS_DELIVERY", asked, DELIVERY)
    return decided or policy().user("delivery") or "auto"


def meant(name: str, value: object, setting: Setting) -> Any:
    """What a value means; one that cannot be meant is a warning, and the setting's fallback.

    Args:
        name: How the value is called where it was said.
        value: It.
        setting: Its row of the table.
    """
    problem = setting.problem(name, value)
    if problem is None:
        return setting.parse(value)
    log.warning("%s.", problem)
    return setting.fallback


def endpoint_named(argument: str | None = None, inherited: str | None = None) -> str | None:
    """The server that reports are to go to, of all that name one.

    Args:
        argument: What the program says.
        inherited: What a parent that was set up uses.

    Returns:
        What was named first in the order of precedence, unchecked, or None when nothing was.
    """
    decided = policy().site("endpoint")
    if decided is None and argument is not None:
        return argument  # an empty one, too: a mistake that must not lead to another server
    return decided or os.environ.get("MIGAS_ENDPOINT") or inherited or policy().user("endpoint")


def timeout_named(argument: float | None) -> float:
    """Seconds that an explicit call waits, of all that say it."""
    decided = policy().site("timeout")
    if decided is not None:
        return float(decided)
    if argument is not None:
        return argument
    from_environment = os.environ.get("MIGAS_TIMEOUT", "").strip()
    if from_environment:
        return float(meant("MIGAS_TIMEOUT", from_environment, TIMEOUT))
    by_user = policy().user("timeout")
    return float(TIMEOUT.default if by_user is None else by_user)


def error_text_wished(before: str, argument: str | None) -> str:
    """What is said of an error; of several wishes the one for less wins."""
    wishes = {before, policy().site("error_text"), policy().user("error_text")}
    if argument is not None:
        wishes.add(meant("error_text", argument, ERROR_TEXT))
    return next(wish for wish in ERROR_TEXTS if wish in wishes)


def timing_wished(before: bool = True, argument: bool | None = None) -> bool:
    """Whether a server that asks is told when a run ended; of several wishes a no wins."""
    wishes = [before, policy().site("timing"), policy().user("timing")]
    if argument is not None:
        wishes.append(meant("timing", argument, TIMING))
    return False not in wishes
