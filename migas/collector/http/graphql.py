"""`POST /graphql`: the five operations that migas clients know."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any, cast

import strawberry
from graphql import GraphQLError, GraphQLSyntaxError
from strawberry.extensions import (
    AddValidationRules,
    MaskErrors,
    MaxAliasesLimiter,
    MaxTokensLimiter,
    ParserCache,
    QueryDepthLimiter,
    ValidationCache,
)
from strawberry.fastapi import GraphQLRouter
from strawberry.scalars import JSON
from strawberry.schema.config import StrawberryConfig

from migas.collector.database.outage import cause, is_outage
from migas.collector.errors import NotStoredError, UnstorableError
from migas.collector.http.access import UnauthorizedError, access_of
from migas.collector.http.graphql_types import (
    SCALARS,
    BreadcrumbResult,
    CheckProjectResult,
    ContextInput,
    DateTime,
    ProcessInput,
    ProjectInput,
    TokenResult,
)
from migas.collector.ingestion.crumb import checked, is_storable
from migas.collector.projects.names import NO_PROJECT_NAME, is_project_name
from migas.collector.projects.versions import lenient_version, project_answer

if TYPE_CHECKING:
    from fastapi import Request
    from strawberry.http import GraphQLHTTPResponse
    from strawberry.types import ExecutionContext, ExecutionResult

    from migas.collector.collector import Collector

MAX_DEPTH = 8
MAX_ALIASES = 10
MAX_TOKENS = 500
"""Tokens in one document: a breadcrumb written inline has about a hundred."""

_log = logging.getLogger("migas.collector")


@strawberry.type
class Query:
    """What can be asked."""

    @strawberry.field
    async def get_projects(self, info: strawberry.Info) -> list[str]:
        """The projects whose breadcrumbs are taken, in the order of their registration."""
        return await _collector(info).projects.names()

    @strawberry.field
    async def check_project(
        self, info: strawberry.Info, project: str, project_version: str
    ) -> CheckProjectResult:
        """How a version stands among those that the project's maintainer named."""
        release = await _collector(info).projects.release(project)
        return CheckProjectResult(
            success=release.is_known,
            latest=release.latest,
            flagged=release.flags(project_version),
            message="" if release.is_known else f'No version of "{project}" is known',
        )

    @strawberry.field
    async def get_usage(
        self,
        info: strawberry.Info,
        project: str,
        start: DateTime,
        end: DateTime | None = None,
        unique: bool = False,
    ) -> JSON:
        """Count breadcrumbs, or users, from `start` on, and until `end` where one is given."""
        collector = _collector(info)
        registered = await collector.projects.is_registered(project)
        hits, message = 0, f'Project "{project}" is not being tracked'
        if registered:
            last = None if end is None else int(end.timestamp())
            hits, message = (
                await collector.reports.hits(project, int(start.timestamp()), last, unique),
                "",
            )
        return JSON({"hits": hits, "message": message, "unique": unique, "success": registered})


@strawberry.type
class Mutation:
    """What can be told."""

    @strawberry.mutation
    async def add_breadcrumb(
        self,
        info: strawberry.Info,
        *,
        project: str,
        project_version: str,
        language: str,
        language_version: str,
        ctx: ContextInput,
        proc: ProcessInput,
    ) -> BreadcrumbResult:
        """Store a breadcrumb; versions may have any form, and every user counts as `general`."""
        if not is_project_name(project):
            return BreadcrumbResult(success=False, message=NO_PROJECT_NAME)
        crumb = checked(
            project=project,
            project_version=lenient_version(project_version),
            language=language,
            language_version=lenient_version(language_version),
            session_id=ctx.session_id,
            user_id=ctx.user_id,
            platform=ctx.platform,
            container=ctx.container.value,
            is_ci=ctx.is_ci,
            status=proc.status.value,
            status_desc=proc.status_desc,
            error_type=proc.error_type,
            error_desc=proc.error_desc,
        )
        if await _collector(info).ingestion.record(crumb) is None:
            return BreadcrumbResult(success=False, message="Project is not yet registered.")
        return BreadcrumbResult(success=True)

    @strawberry.mutation
    async def add_project(self, info: strawberry.Info, p: ProjectInput) -> JSON:
        """Store a breadcrumb, and tell what is known about the project's versions."""
        if not is_project_name(p.project):
            return JSON({"success": False})
        crumb = checked(
            project=p.project,
            project_version=p.project_version,
            language=p.language,
            language_version=p.language_version,
            session_id=p.session_id,
            user_id=p.user_id,
            user_type=p.user_type.value,
            platform=p.platform,
            container=p.container.value,
            is_ci=p.is_ci,
            status=p.status.value,
            status_desc=p.status_desc,
            error_type=p.error_type,
            error_desc=p.error_desc,
        )
        release = await _collector(info).ingestion.record(crumb)
        return JSON(project_answer(release))

    @strawberry.mutation
    async def register_project(self, info: strawberry.Info, project: str) -> JSON:
        """Take breadcrumbs of a project from now on; for administrators."""
        collector = await _administered(info)
        if not is_project_name(project):
            return JSON({"success": False, "message": NO_PROJECT_NAME})
        known = await collector.projects.is_registered(project)
        await collector.projects.register([project])
        state = "already" if known else "now"
        return JSON({"success": True, "message": f"Project is {state} registered."})

    @strawberry.mutation
    async def issue_token(
        self, info: strawberry.Info, project: str, description: str | None = None
    ) -> TokenResult:
        """Make a token with which a project can be read; for administrators."""
        collector = await _administered(info)
        if not await collector.projects.is_registered(project):
            return TokenResult(token=None, success=False, message="Project is not registered.")
        if description is not None and not is_storable(description):
            return TokenResult(token=None, success=False, message="Invalid description.")
        token = await collector.tokens.issue(project, description)
        return TokenResult(token=token, success=True, message="Token issued successfully.")

    @strawberry.mutation
    async def revoke_token(self, info: strawberry.Info, token: str) -> bool:
        """End a token, given whole or by its id; for administrators."""
        collector = await _administered(info)
        return await collector.tokens.revoke(token)


class CollectorSchema(strawberry.Schema):
    """A schema whose log holds our own failures only: a client's mistakes are the client's."""

    def process_errors(
        self,
        errors: list[GraphQLError],
        execution_context: ExecutionContext | None = None,  # noqa: ARG002  strawberry passes it
    ) -> None:
        """Log the errors that no client could have caused."""
        for error in errors:
            if _is_internal(error):
                failure = error.original_error
                if failure is not None and is_outage(failure):
                    _log.error("a resolver failed: %s", cause(failure))
                else:
                    _log.error("a resolver failed", exc_info=failure)


def _is_internal(error: GraphQLError) -> bool:
    """Whether an error's text is meant for the log rather than for the sender.

    An error without a path comes from parsing, validating or coercing what the sender wrote.
    """
    known = (UnstorableError, NotStoredError, GraphQLError)
    return (
        error.path is not None
        and error.original_error is not None
        and not isinstance(error.original_error, known)
    )


_LIMITS = [
    *QueryDepthLimiter(max_depth=MAX_DEPTH).validation_rules,
    *MaxAliasesLimiter(max_alias_count=MAX_ALIASES).validation_rules,
]
# Made once: a limiter makes new rules for each request, and the validation cache, which goes by
# the rules too, would never know a document again (1 ms instead of 6 for a breadcrumb).

schema = CollectorSchema(
    query=Query,
    mutation=Mutation,
    config=StrawberryConfig(auto_camel_case=False, scalar_map=SCALARS),
    extensions=[
        lambda: MaxTokensLimiter(max_token_count=MAX_TOKENS),
        lambda: AddValidationRules(_LIMITS),
        lambda: MaskErrors(should_mask_error=_is_internal, error_message="Internal error."),
        ParserCache,
        ValidationCache,
    ],
)
"""The wire's schema."""


class CollectorRouter(GraphQLRouter[dict[str, Any], None]):
    """GraphQL over HTTP in the wire's manner."""

    def decode_json(self, data: str | bytes) -> object:
        """Read a request body; whatever cannot be read is answered as malformed JSON."""
        try:
            decoded: object = json.loads(data)
        except (UnicodeDecodeError, RecursionError) as error:
            raise json.JSONDecodeError(str(error), "", 0) from error
        if not isinstance(decoded, dict | list):
            raise json.JSONDecodeError("no object", "", 0)
        return decoded

    async def process_result(
        self, request: Request, result: ExecutionResult
    ) -> GraphQLHTTPResponse:
        """Build the body of an answer; a document that cannot be read has no locations in it."""
        response = await super().process_result(request, result)
        for error in result.errors or ():
            if isinstance(error, GraphQLSyntaxError):
                response["errors"] = [{"message": _with_position(error)}]
        return response


router = CollectorRouter(
    schema,
    path="/graphql",
    graphql_ide=None,  # it would load scripts from another site
    allow_queries_via_get=False,
    subscription_protocols=(),
)


def _with_position(error: GraphQLSyntaxError) -> str:
    (where,) = error.locations or (None,)
    return error.message if where is None else f"{error.message} ({where.line}:{where.column})"


async def _administered(info: strawberry.Info) -> Collector:
    """The collector, for a request whose token may administer it.

    Raises:
        GraphQLError: It has no token, or another one.
    """
    collector = _collector(info)
    try:
        await access_of(collector.tokens, info.context["request"].headers, root=True)
    except UnauthorizedError as refused:
        raise GraphQLError(str(refused)) from None
    return collector


def _collector(info: strawberry.Info) -> Collector:
    return cast("Collector", info.context["request"].app.state.collector)
