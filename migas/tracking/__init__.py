"""What is asked of a run: the arguments of `track` and `session`, checked once."""

from __future__ import annotations

from migas import log
from migas.settings import permission

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from migas.message.outcome import FindHandler
    from migas.tracking.handlers import HandlerSpec

ANNOUNCE_SECONDS = 10.0
"""How long a run lasts before it announces itself."""


class Plan:
    """What was asked of a run when it was decorated or made; it never changes.

    The arguments, and what is wrong with some, are those of `migas.track`.

    Raises:
        TypeError: The project or the version is no text, or another argument of a wrong type.
        ValueError: An argument has a value that cannot be meant.
    """

    def __init__(
        self,
        project: str,
        version: str,
        *,
        error_handlers: HandlerSpec | Iterable[HandlerSpec] | None = None,
        init_ping: bool = True,
        announce_after: float = ANNOUNCE_SECONDS,
        signals: Iterable[str | int] = (),
        returns_exit_code: bool = False,
        update_notice: bool = False,
        fields: dict[str, Any] | None = None,
    ) -> None:
        self.project = _text("project", project, "owner/repo")
        self.version = _text("version", version, "1.2.3")
        self.init_ping = bool(init_ping)
        self.announce_after = _seconds(announce_after)
        self.returns_exit_code = bool(returns_exit_code)
        self.update_notice = bool(update_notice)
        self.fields = dict(fields or {})
        self.signals: tuple[int, ...] = ()
        self.find_handler: FindHandler | None = None
        try:
            if self.project != _known_project:
                _warn_of(self.project)
            if self.fields:
                _refuse_unknown(self.fields)
            if signals:
                from migas.tracking import signals as signal_registry

                self.signals = signal_registry.numbers(signals)
            if error_handlers is not None:
                self.find_handler = _handler_finder(error_handlers)
        except OSError as error:  # no file can be opened any more
            log.warning("a run of %r is reported with less: %s", self.project, error)


_known_project = ""


def _warn_of(project: str) -> None:
    global _known_project  # noqa: PLW0603  a program mostly has one
    if permission.refusal_by_variable() is not None:
        return
    from migas.message import is_owner_and_repo  # who is opted out needs nothing of a message

    if is_owner_and_repo(project):
        _known_project = project
    else:
        log.warning("No server can know the project %r; it must be 'owner/repo'.", project)


def _refuse_unknown(fields: dict[str, Any]) -> None:
    from migas.message import FIELDS

    unknown = fields.keys() - set(FIELDS)
    if unknown:
        raise TypeError(
            f"{min(unknown)!r} is no field of a breadcrumb; "
            f"it must be one of {', '.join(FIELDS[4:])}."
        )


def _handler_finder(error_handlers: HandlerSpec | Iterable[HandlerSpec]) -> FindHandler:
    from migas.tracking.handlers import find_handler, resolve_error_handlers

    handlers = resolve_error_handlers(error_handlers)  # type: ignore[arg-type]
    return lambda exception_type: find_handler(handlers, exception_type)


def _text(name: str, value: object, example: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise TypeError(f"The {name} is {value!r}; it must be a text such as {example!r}.")
    return value.strip()


def _seconds(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
        raise TypeError(f"announce_after is {value!r}; it must be a number of seconds, 0 or more.")
    return float(value)
