"""What a breadcrumb must be before it may be stored: one check for every way in.

The wire's other server answers `success` first and loses what its database refuses. Here nothing
reaches the database that could be refused, and whoever sends such a value is told so.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple, Self

from migas.collector.counts.sessions import NO_SESSION
from migas.collector.database.tables import MAX_PROJECT_CHARS
from migas.collector.errors import UnstorableError
from migas.collector.ingestion.timing import UNTOLD, Timing
from migas.collector.projects.versions import lenient_version, stored_version
from migas.message import (
    CONTAINERS,
    MAX_LANGUAGE_CHARS,
    MAX_PLATFORM_CHARS,
    STATUSES,
    USER_TYPES,
    canonical_uuid,
)

_UNSTORABLE_CHARACTER = re.compile("[\0\ud800-\udfff]")


class Crumb(NamedTuple):
    """A breadcrumb that fits into its row; `checked` makes one.

    All but the last two are columns of that row. `user_type`, `platform` and `container` describe
    the user and are stored once per user. A digest depends on the order.
    """

    project: str
    version: str
    language: str
    language_version: str
    session_id: str | None
    user_id: str | None
    status: str
    status_desc: str | None
    error_type: str | None
    error_desc: str | None
    is_ci: bool
    platform: str
    container: str
    user_type: str
    timing: Timing = UNTOLD

    def timed(self, timing: Timing) -> Self:
        """The same with its run's time, if it tells of a run's end: others have none."""
        is_end = self.session_id is not None and self.status != "R"
        return self._replace(timing=timing) if is_end and timing != UNTOLD else self


def is_storable(text: str) -> bool:
    """Whether both kinds of databases can hold a text."""
    return _UNSTORABLE_CHARACTER.search(text) is None


def checked(
    *,
    project: str,
    project_version: str,
    language: str,
    language_version: str,
    session_id: str | None = None,
    user_id: str | None = None,
    user_type: str = "general",
    platform: str = "unknown",
    container: str = "unknown",
    is_ci: bool = False,
    status: str = "R",
    status_desc: str | None = None,
    error_type: str | None = None,
    error_desc: str | None = None,
) -> Crumb:
    """Turn the fields of a breadcrumb, in the wire's names, into one that can be stored.

    Returns:
        The breadcrumb with its ids in canonical form, its versions cut and its status a letter.

    Raises:
        UnstorableError: A value is not what its field holds. Nothing is repaired here: a sender
            that is told can mend its value, one that is not would go on sending it.
    """
    return Crumb(
        project=_text("project", project, MAX_PROJECT_CHARS),
        version=stored_version(_text("project_version", project_version)),
        language=_text("language", language, MAX_LANGUAGE_CHARS),
        language_version=stored_version(_text("language_version", language_version)),
        session_id=_session(session_id),
        user_id=_uuid("user_id", user_id),
        status=_status(status),
        status_desc=_optional_text("status_desc", status_desc),
        error_type=_optional_text("error_type", error_type),
        error_desc=_optional_text("error_desc", error_desc),
        is_ci=is_ci,
        user_type=_one_of("user_type", user_type, USER_TYPES),
        platform=_text("platform", platform, MAX_PLATFORM_CHARS),
        container=_one_of("container", container, CONTAINERS),
    )


def lenient(
    *,
    project: str,
    project_version: str,
    language: str,
    language_version: str,
    ctx: dict[str, Any],
    proc: dict[str, Any],
) -> Crumb:
    """The same of a breadcrumb in parts: versions may have any form, all users are `general`.

    Raises:
        UnstorableError: As of `checked`.
    """
    return checked(
        project=project,
        project_version=lenient_version(project_version),
        language=language,
        language_version=lenient_version(language_version),
        **(ctx | proc | {"user_type": "general"}),
    )


def _text(field: str, value: str, limit: int | None = None) -> str:
    if not is_storable(value):
        raise UnstorableError(field, "must not contain NUL or a lone surrogate.")
    if limit is not None and len(value) > limit:
        raise UnstorableError(field, f"must have at most {limit} characters, not {len(value)}.")
    return value


def _optional_text(field: str, value: str | None) -> str | None:
    return None if value is None else _text(field, value)


def _uuid(field: str, value: str | None) -> str | None:
    if value is None:
        return None
    canonical = canonical_uuid(value)
    if canonical is None:
        raise UnstorableError(field, "must be a UUID, or be left out.")
    return canonical


def _session(value: str | None) -> str | None:
    """A session's id; one of those that stand for no session is no session either."""
    canonical = _uuid("session_id", value)
    return None if canonical is None or canonical.startswith(NO_SESSION) else canonical


def _status(value: str) -> str:
    try:
        return STATUSES[value]
    except KeyError:
        raise UnstorableError("status", "must be one of R, C, F, S.") from None


def _one_of(field: str, value: str, choices: tuple[str, ...]) -> str:
    if value not in choices:
        raise UnstorableError(field, f"must be one of {', '.join(choices)}.")
    return value
