"""The wire's GraphQL schema, and what its operations do."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from importlib import resources
from typing import TYPE_CHECKING, Any, cast

from graphql import (
    GraphQLError,
    GraphQLInputObjectType,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLSchema,
    build_schema,
    is_non_null_type,
    is_required_input_field,
)

from migas.collector.errors import NotStoredError
from migas.collector.http.access import UnauthorizedError, access_of, collector_of
from migas.collector.ingestion.crumb import checked, is_storable, lenient
from migas.collector.projects.names import NO_PROJECT_NAME, is_project_name
from migas.collector.projects.versions import project_answer, strict_version

if TYPE_CHECKING:
    from graphql import GraphQLResolveInfo
    from starlette.requests import Request

    from migas.collector.collector import Collector

    Info = GraphQLResolveInfo[Request]

_DATE_FORM = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}:[0-9]{2}Z)?")


async def get_projects(_root: None, info: Info) -> list[str]:
    """The projects whose breadcrumbs are taken, in the order of their registration."""
    return await collector_of(info.context).projects.names()


async def check_project(
    _root: None, info: Info, project: str, project_version: str
) -> dict[str, Any]:
    """How a version stands among those that the project's maintainer named."""
    release = await collector_of(info.context).projects.release(project)
    return {
        "success": release.is_known,
        "latest": release.latest,
        "flagged": release.flags(project_version),
        "message": "" if release.is_known else f'No version of "{project}" is known',
    }


async def get_usage(
    _root: None,
    info: Info,
    project: str,
    start: datetime,
    end: datetime | None,
    unique: bool,
) -> dict[str, Any]:
    """Count breadcrumbs, or users, from `start` on, and until `end` where one is given."""
    collector = collector_of(info.context)
    registered = await collector.projects.is_registered(project)
    hits, message = 0, f'Project "{project}" is not being tracked'
    if registered:
        last = None if end is None else int(end.timestamp())
        hits = await collector.reports.hits(project, int(start.timestamp()), last, unique)
        message = ""
    return {"hits": hits, "message": message, "unique": unique, "success": registered}


async def add_breadcrumb(_root: None, info: Info, **breadcrumb: Any) -> dict[str, Any]:
    """Store a breadcrumb in parts."""
    if not is_project_name(breadcrumb["project"]):
        return _answer(NO_PROJECT_NAME)
    stored = await collector_of(info.context).ingestion.record(lenient(**breadcrumb)) is not None
    return _answer("" if stored else "Project is not yet registered.", success=stored)


async def add_project(_root: None, info: Info, p: dict[str, Any]) -> dict[str, Any]:
    """Store a breadcrumb, and tell what is known about the project's versions."""
    if not is_project_name(p["project"]):
        return {"success": False}
    return project_answer(await collector_of(info.context).ingestion.record(checked(**p)))


async def register_project(_root: None, info: Info, project: str) -> dict[str, Any]:
    """Take breadcrumbs of a project from now on; for administrators."""
    collector = await _administered(info)
    if not is_project_name(project):
        return _answer(NO_PROJECT_NAME)
    known = await collector.projects.is_registered(project)
    await collector.projects.register([project])
    return _answer(f"Project is {'already' if known else 'now'} registered.", success=True)


async def issue_token(
    _root: None, info: Info, project: str, description: str | None
) -> dict[str, Any]:
    """Make a token with which a project can be read; for administrators."""
    collector = await _administered(info)
    if not await collector.projects.is_registered(project):
        return _answer("Project is not registered.")
    if description is not None and not is_storable(description):
        return _answer("Invalid description.")
    token = await collector.tokens.issue(project, description)
    return {"token": token} | _answer("Token issued successfully.", success=True)


async def revoke_token(_root: None, info: Info, token: str) -> bool:
    """End a token, given whole or by its id; for administrators."""
    collector = await _administered(info)
    return await collector.tokens.revoke(token)


async def add_plain(collector: Collector, p: object) -> dict[str, Any] | None:
    """Do what `add_project` does with a variable whose fields all have their own types.

    Nearly all breadcrumbs are such, and the executor would add a sixth to what one costs.

    Returns:
        None where nothing was stored, and the executor has to say why.
    """
    if not isinstance(p, dict) or not _is_plain(p):
        return None
    try:
        crumb = checked(**p | {name: strict_version(p[name]) for name in _VERSIONS})
        return project_answer(await collector.ingestion.record(crumb))
    except (ValueError, NotStoredError):
        return None


def _is_plain(p: dict[str, object]) -> bool:
    return (
        _REQUIRED <= p.keys() <= _FIELDS.keys()
        and isinstance(p.get("is_ci", False), bool)
        and all(
            isinstance(value, str) or (value is None and not is_non_null_type(_FIELDS[name].type))
            for name, value in p.items()
            if name != "is_ci"
        )
        and is_project_name(cast("str", p["project"]))
    )


def parse_datetime(value: object) -> datetime:
    """A moment as the wire writes it: `YYYY-MM-DD`, midnight in UTC, or `YYYY-MM-DDTHH:MM:SSZ`.

    Raises:
        ValueError: It has another form, or is no date of the calendar.
    """
    if not isinstance(value, str) or not _DATE_FORM.fullmatch(value):
        raise ValueError(f"Invalid isoformat string: {value!r}")
    return datetime.fromisoformat(value).replace(tzinfo=UTC)


def _answer(message: str, *, success: bool = False) -> dict[str, Any]:
    return {"success": success, "message": message}


async def _administered(info: Info) -> Collector:
    """The collector, for a request whose token may administer it.

    Raises:
        GraphQLError: It has no token, or another one.
    """
    collector = collector_of(info.context)
    try:
        await access_of(collector.tokens, info.context.headers, root=True)
    except UnauthorizedError as refused:
        raise GraphQLError(refused.detail) from None
    return collector


def _executable_schema() -> GraphQLSchema:
    """The schema as it was recorded, with what reads its scalars and resolves its fields."""
    text = resources.files(__package__).joinpath("schema.graphql").read_text(encoding="utf-8")
    built = build_schema(text)
    for name, parse in (
        ("DateTime", parse_datetime),
        ("SafeStr", str),
        ("Version", strict_version),
    ):
        cast("GraphQLScalarType", built.type_map[name]).coerce_input_value = parse
    for root, resolvers in (
        ("Query", (get_projects, check_project, get_usage)),
        ("Mutation", (add_breadcrumb, add_project, register_project, issue_token, revoke_token)),
    ):
        for resolve in resolvers:
            fields = cast("GraphQLObjectType", built.type_map[root]).fields
            fields[resolve.__name__].resolve = resolve
    return built


schema = _executable_schema()
"""The wire's schema, ready to execute; a request is the context of its operation."""

_FIELDS = cast("GraphQLInputObjectType", schema.type_map["ProjectInput"]).fields
_REQUIRED = {name for name, field in _FIELDS.items() if is_required_input_field(field)}
_VERSIONS = ("project_version", "language_version")
