"""The types of the GraphQL schema: names, defaults and descriptions are the wire's own."""

from __future__ import annotations

import enum
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NewType

import strawberry

from migas.collector.projects.versions import strict_version

if TYPE_CHECKING:
    from strawberry.types.scalar import ScalarDefinition

DateTime = NewType("DateTime", datetime)
SafeStr = NewType("SafeStr", str)
Version = NewType("Version", str)

_DATE_FORM = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}:[0-9]{2}Z)?")


def parse_datetime(value: object) -> datetime:
    """A moment as the wire writes it: `YYYY-MM-DD`, midnight in UTC, or `YYYY-MM-DDTHH:MM:SSZ`.

    Raises:
        ValueError: It has another form, or is no date of the calendar.
    """
    if not isinstance(value, str) or not _DATE_FORM.fullmatch(value):
        raise ValueError(f"Invalid isoformat string: {value!r}")
    return datetime.fromisoformat(value).replace(tzinfo=UTC)


SCALARS: dict[object, ScalarDefinition] = {
    DateTime: strawberry.scalar(
        name="DateTime",
        description="Date and time information in UTC, compliant with ISO-8601",
        serialize=str,
        parse_value=parse_datetime,
    ),
    SafeStr: strawberry.scalar(
        name="SafeStr",
        description="String value that safely coerces non-string types",
        serialize=str,
        parse_value=str,
    ),
    Version: strawberry.scalar(
        name="Version",
        description="Version information (PEP440 compliant)",
        serialize=str,
        parse_value=strict_version,
    ),
}
"""How the schema reads its scalars."""


@strawberry.enum
class Status(enum.Enum):
    """Where a run stands; the long names are older spellings of the letters."""

    R = "R"
    running = "running"
    C = "C"
    completed = "completed"
    F = "F"
    failed = "failed"
    S = "S"
    suspended = "suspended"
    pending = strawberry.enum_value("pending", deprecation_reason="Pending is now running")
    success = strawberry.enum_value("success", deprecation_reason="Success is now completed")
    error = strawberry.enum_value("error", deprecation_reason="Error is now failed")


@strawberry.enum
class User(enum.Enum):
    """In which role somebody runs a program."""

    general = "general"
    dev = "dev"
    ci = "ci"


@strawberry.enum
class Container(enum.Enum):
    """What kind of container a program runs in."""

    unknown = "unknown"
    docker = "docker"
    apptainer = "apptainer"


_SESSION_ID = "Unique identifier for telemetry session"
_USER_ID = "Unique identifier for migas client"
_USER_TYPE = "Identifier of user role"
_PLATFORM = "Client platform type"
_CONTAINER = "Check if client pings from inside a container"
_IS_CI = "Client is pinging from continous integration"
_STATUS = "For timeseries pings, the current process status"
_STATUS_DESC = "Description of status ping"
_ERROR_TYPE = "Type of error encountered"
_ERROR_DESC = "Description of error"


@strawberry.input
class ContextInput:
    """Who runs a program, and where."""

    session_id: str | None = strawberry.field(default=None, description=_SESSION_ID)
    user_id: str | None = strawberry.field(default=None, description=_USER_ID)
    user_type: User = strawberry.field(default=User.general, description=_USER_TYPE)
    platform: str = strawberry.field(default="unknown", description=_PLATFORM)
    container: Container = strawberry.field(default=Container.unknown, description=_CONTAINER)
    is_ci: bool = strawberry.field(default=False, description=_IS_CI)


@strawberry.input
class ProcessInput:
    """How a run is going, or how it ended."""

    status: Status = strawberry.field(default=Status.R, description=_STATUS)
    status_desc: SafeStr | None = strawberry.field(default=None, description=_STATUS_DESC)
    error_type: SafeStr | None = strawberry.field(default=None, description=_ERROR_TYPE)
    error_desc: SafeStr | None = strawberry.field(default=None, description=_ERROR_DESC)


@strawberry.input
class ProjectInput:
    """A whole breadcrumb in one flat record."""

    project: str = strawberry.field(description="GitHub project in the form of 'owner/repo'")
    project_version: Version = strawberry.field(description="Project version being used")
    language: str = strawberry.field(description="Programming language of project")
    language_version: Version = strawberry.field(description="Programming language version")
    session_id: str | None = strawberry.field(default=None, description=_SESSION_ID)
    user_id: str | None = strawberry.field(default=None, description=_USER_ID)
    user_type: User = strawberry.field(default=User.general, description=_USER_TYPE)
    platform: str = strawberry.field(default="unknown", description=_PLATFORM)
    container: Container = strawberry.field(default=Container.unknown, description=_CONTAINER)
    is_ci: bool = strawberry.field(default=False, description=_IS_CI)
    status: Status = strawberry.field(default=Status.R, description=_STATUS)
    status_desc: SafeStr | None = strawberry.field(default=None, description=_STATUS_DESC)
    error_type: SafeStr | None = strawberry.field(default=None, description=_ERROR_TYPE)
    error_desc: SafeStr | None = strawberry.field(default=None, description=_ERROR_DESC)


@strawberry.type
class BreadcrumbResult:
    """Whether a breadcrumb was stored."""

    success: bool
    message: str = ""


@strawberry.type
class TokenResult:
    """A token that was issued: the only time that anybody sees it."""

    token: str | None
    success: bool
    message: str


@strawberry.type
class CheckProjectResult:
    """How a version stands among a project's versions."""

    success: bool
    latest: str
    flagged: bool
    message: str = ""
