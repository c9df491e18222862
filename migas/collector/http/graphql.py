"""`/graphql`: operations over HTTP, in the wire's manner."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

from graphql import (
    ExecutionResult,
    Executor,
    GraphQLError,
    GraphQLSyntaxError,
    OperationDefinitionNode,
    execute,
)
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from migas.collector.database.outage import cause, is_outage
from migas.collector.errors import NotStoredError, UnstorableError
from migas.collector.http import documents
from migas.collector.http.middleware import (
    FURTHER_REQUESTS,
    Middleware,
    is_graphql,
    root_path,
    route_path,
)
from migas.collector.http.resolvers import add_plain, schema

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

PATH = "/graphql"

_FORMS = {"query": (str, "a string"), "variables": (dict, "an object")}
_FORMS["extensions"] = _FORMS["variables"]
_OUR_OWN = (UnstorableError, NotStoredError, GraphQLError)

_log = logging.getLogger("migas.collector")


class _BadRequestError(Exception):
    """A request has no operation that could be looked at; the message is the wire's."""


class GraphQL(Middleware):
    """Answers `/graphql`, and hands on the rest.

    It stands before the router, of whose work it needs nothing. What is asked is the application's
    `state.collector`.
    """

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = await _respond(Request(scope, receive)) if is_graphql(scope) else self._app
        await answer(scope, receive, send)


async def _respond(request: Request) -> Response:
    """Answer with 200 and data or errors, or with another status what is no request of GraphQL.

    Nothing is asked by GET, and there is no page to ask from: it would load scripts from another
    site.
    """
    if route_path(request.scope) != PATH:
        return RedirectResponse(request.url.replace(path=root_path(request.scope) + PATH))
    if request.method == "GET" and "query" not in request.query_params:
        return PlainTextResponse("Not Found", 404)
    if request.method != "POST":
        return PlainTextResponse("Operations are only taken by POST.", 405, {"Allow": "POST"})
    try:
        content_type = request.headers.get("content-type", "")
        answer = await _answer(request, _message(content_type, await request.body()))
    except _BadRequestError as error:
        return PlainTextResponse(str(error).encode("utf-8", "replace"), 400)
    return Response(json.dumps(answer, separators=(",", ":")), media_type="application/json")


def _message(content_type: str, body: bytes) -> dict[str, Any]:
    """A request's parts, each of its type.

    Raises:
        _BadRequestError: It is of another form.
    """
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise _BadRequestError("Unsupported content type")
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):
        message = None
    if isinstance(message, list):
        raise _BadRequestError("Batching is not enabled")
    if not isinstance(message, dict):
        raise _BadRequestError("Unable to parse request body as JSON")
    for name, (kind, form) in _FORMS.items():
        if not isinstance(message.get(name), kind | None):
            raise _BadRequestError(
                f"The GraphQL operation's `{name}` must be {form} or null, if provided."
            )
    if not message.get("query"):
        raise _BadRequestError("No GraphQL query found in the request")
    return message


async def _answer(request: Request, message: dict[str, Any]) -> dict[str, Any]:
    """Execute what a message asks for.

    Raises:
        _BadRequestError: Its document has no operation of that name.
    """
    try:
        document, errors, breadcrumb, aliases = documents.read(message["query"])
    except GraphQLSyntaxError as error:  # without locations, as the wire has it
        (where,) = error.locations or (None,)
        position = f" ({where.line}:{where.column})" if where else ""
        return {"data": None, "errors": [{"message": error.message + position}]}
    name = message.get("operationName")
    names = [
        node.name.value if node.name else None
        for node in document.definitions
        if isinstance(node, OperationDefinitionNode)
    ]
    if not names:
        raise _BadRequestError("Can't get GraphQL operation type")
    if name is not None and name not in names:
        raise _BadRequestError(f'Unknown operation named "{name}".')
    if errors:
        return {"data": None, "errors": [error.formatted for error in errors]}
    request.scope[FURTHER_REQUESTS] = aliases
    variables = message.get("variables") or {}
    if breadcrumb is not None:
        variable, answer_name = breadcrumb
        added = await add_plain(request.app.state.collector, variables.get(variable))
        if added is not None:
            return {"data": {answer_name: added}}
    result = execute(
        schema,
        document,
        context_value=request,
        variable_values=variables,
        operation_name=names[0] if name is None else name,  # as the wire has it
        executor_class=Executor,  # nothing is delivered bit by bit
    )
    if not isinstance(result, ExecutionResult):
        result = await result
    answer: dict[str, Any] = {"data": result.data}
    if result.errors:
        answer["errors"] = [_shown(error) for error in result.errors]
    return answer


def _shown(error: GraphQLError) -> dict[str, Any]:
    """An error as its sender may see it; the text of an internal one goes to the log instead.

    An error without a path comes from coercing what the sender wrote.
    """
    failure = error.original_error
    if error.path is None or failure is None or isinstance(failure, _OUR_OWN):
        return dict(error.formatted)
    if is_outage(failure):
        _log.error("a resolver failed: %s", cause(failure))
    else:
        _log.error("a resolver failed", exc_info=failure)
    return {**error.formatted, "message": "Internal error."}
