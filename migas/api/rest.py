"""A door: what programs for newer clients import from `migas.api.rest`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Self

from migas.calls import add_breadcrumb
from migas.config import Config

__all__ = ["Breadcrumb", "Context", "Process", "add_breadcrumb"]


@dataclass
class Context:
    """Who runs a program, and where."""

    user_id: str | None = None
    session_id: str | None = None
    user_type: str | None = None
    platform: str | None = None
    container: str | None = None
    is_ci: bool | None = None


@dataclass
class Process:
    """How a run is going, or how it ended."""

    status: str | None = None
    status_desc: str | None = None
    error_type: str | None = None
    error_desc: str | None = None


@dataclass
class Breadcrumb:
    """A breadcrumb in the form of the REST call, which `add_breadcrumb` sends."""

    project: str
    project_version: str
    language: str | None = None
    language_version: str | None = None
    ctx: Context | None = None
    proc: Process | None = None

    @classmethod
    def from_config(cls, project: str, project_version: str, **fields: Any) -> Self:
        """A breadcrumb with the facts of this process.

        Args:
            project: `owner/repo`.
            project_version: The running version.
            **fields: Fields of a breadcrumb; they win over the facts.
        """
        known = {**Config.populate(), **fields}

        def part(kind: type[Any]) -> Any:
            values = {name: known.get(name) for name in kind.__dataclass_fields__}
            return kind(**values) if any(value is not None for value in values.values()) else None

        return cls(
            project,
            project_version,
            known.get("language"),
            known.get("language_version"),
            part(Context),
            part(Process),
        )

    def to_dict(self) -> dict[str, Any]:
        """The breadcrumb as nested dicts, without what is not known."""
        return _known(asdict(self))


def _known(values: dict[str, Any]) -> dict[str, Any]:
    return {
        name: _known(value) if isinstance(value, dict) else value
        for name, value in values.items()
        if value is not None
    }
