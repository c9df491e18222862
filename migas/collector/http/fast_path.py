"""A short way for the two requests that nearly all clients send, with the same answers.

A breadcrumb by `add_project` with variables, or by `POST /api/breadcrumb`, needs none of what the
frameworks can do. Here it is recognised, checked and stored; whatever is unusual about a request,
or wrong with it, goes the long way and is answered there. A test sends every recorded exchange,
and many invented ones, both ways and compares the answers.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import graphql
from fastapi import HTTPException
from pydantic import ValidationError
from starlette.responses import JSONResponse, Response

from migas.collector.errors import NotStoredError, UnstorableError
from migas.collector.http import rest
from migas.collector.http.graphql_types import Container, ProjectInput, Status, User
from migas.collector.http.middleware import route_path
from migas.collector.ingestion.crumb import checked
from migas.collector.projects.names import is_project_name
from migas.collector.projects.versions import cached_version, project_answer

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from migas.collector.collector import Collector
    from migas.collector.ingestion.crumb import Crumb

_REQUIRED = ("project", "project_version", "language", "language_version")
_VERSIONS = ("project_version", "language_version")
_TEXTS = (*_REQUIRED, "platform")
_NULLABLE = ("session_id", "user_id", "status_desc", "error_type", "error_desc")
_CHOICES = {
    "user_type": frozenset(User.__members__),
    "container": frozenset(Container.__members__),
    "status": frozenset(Status.__members__),
}
_FIELDS = frozenset((*_TEXTS, *_NULLABLE, *_CHOICES, "is_ci"))
assert ProjectInput.__annotations__.keys() == _FIELDS


class Shortcut:
    """Answers what it recognises, and hands on the rest.

    Args:
        app: What answers the rest; the application's `state.collector` stores breadcrumbs.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request as ASGI has it; its body comes in one message."""
        answer = _ANSWERS.get(route_path(scope)) if scope["type"] == "http" else None
        if answer is None or scope["method"] != "POST" or not _is_json(scope):
            await self._app(scope, receive, send)
            return
        message = await receive()
        response = await answer(scope, message.get("body", b""))
        if response is not None:
            await response(scope, receive, send)
            return
        unread: list[Message] = [message]

        async def replay() -> Message:
            return unread.pop() if unread else await receive()

        await self._app(scope, replay, send)


async def _answer_rest(scope: Scope, body: bytes) -> Response | None:
    wait = _WAIT.get(scope["query_string"])
    if wait is None:
        return None
    try:
        breadcrumb = rest.BreadcrumbBody.model_validate(json.loads(body))
    except (ValidationError, ValueError, RecursionError):
        return None
    try:
        return await rest.store(breadcrumb, scope["app"].state.collector, wait=wait)
    except HTTPException as refused:
        return JSONResponse({"detail": refused.detail}, refused.status_code)


async def _answer_graphql(scope: Scope, body: bytes) -> Response | None:
    if scope["query_string"]:
        return None
    try:
        message = json.loads(body)
        found = _breadcrumb(message)
    except (UnstorableError, ValueError, RecursionError):
        return None
    if found is None:
        return None
    name, crumb = found
    collector: Collector = scope["app"].state.collector
    try:
        release = await collector.ingestion.record(crumb)
    except NotStoredError:
        return None
    return JSONResponse({"data": {name: project_answer(release)}})


_ANSWERS = {"/graphql": _answer_graphql, "/api/breadcrumb": _answer_rest}
_WAIT = {b"": False, b"wait=true": True, b"wait=false": False}


def _is_json(scope: Scope) -> bool:
    """Whether a request says that it is JSON, as every client does."""
    return any(
        name == b"content-type" and value.partition(b";")[0].strip() == b"application/json"
        for name, value in scope["headers"]
    )


def _breadcrumb(message: Any) -> tuple[str, Crumb] | None:
    """The breadcrumb of a GraphQL request, and the name under which it wants the answer.

    Returns:
        None where the long way is needed.

    Raises:
        UnstorableError: A value does not fit into a row.
        ValueError: A version is none.
    """
    if not isinstance(message, dict) or not message.keys() <= {"query", "variables"}:
        return None
    query, variables = message.get("query"), message.get("variables")
    if not isinstance(query, str) or not isinstance(variables, dict) or len(variables) != 1:
        return None
    plan = _plan(query)
    fields = variables.get(plan[0]) if plan else None
    if plan is None or not isinstance(fields, dict) or not _is_plain(fields):
        return None
    if not is_project_name(fields["project"]):
        return None
    versions = {name: cached_version(fields[name]) for name in _VERSIONS}
    return plan[1], checked(**(fields | versions))


def _is_plain(fields: dict[str, Any]) -> bool:
    """Whether each field is there under its name and has the type that needs no coercion."""
    return (
        fields.keys() <= _FIELDS
        and all(name in fields for name in _REQUIRED)
        and all(isinstance(fields.get(name, ""), str) for name in _TEXTS)
        and all(isinstance(fields.get(name), str | None) for name in _NULLABLE)
        and all(
            isinstance(value := fields.get(name, next(iter(choices))), str) and value in choices
            for name, choices in _CHOICES.items()
        )
        and isinstance(fields.get("is_ci", False), bool)
    )


@lru_cache(maxsize=64)
def _plan(query: str) -> tuple[str, str] | None:
    """What a document asks, if it is one `add_project` with one variable and nothing else.

    Returns:
        The variable's name and the answer's.
    """
    try:
        (operation,) = graphql.parse(query, no_location=True, max_tokens=100).definitions
        assert isinstance(operation, graphql.OperationDefinitionNode)
        (variable,) = operation.variable_definitions or ()
        (field,) = operation.selection_set.selections
        assert isinstance(field, graphql.FieldNode)
        (argument,) = field.arguments or ()
        assert isinstance(argument.value, graphql.VariableNode)
    except (graphql.GraphQLError, ValueError, AssertionError, RecursionError):
        return None
    is_the_one = (
        operation.operation is graphql.OperationType.MUTATION
        and field.name.value == "add_project"
        and argument.name.value == "p"
        and argument.value.name.value == variable.variable.name.value
        and graphql.print_ast(variable.type) == "ProjectInput!"
        and variable.default_value is None
        and field.selection_set is None
        and not (operation.directives or field.directives or variable.directives)
    )
    name = (field.alias or field.name).value
    return (variable.variable.name.value, name) if is_the_one else None
