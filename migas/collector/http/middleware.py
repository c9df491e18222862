"""What every request passes through, whichever way in it takes."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, PlainTextResponse, Response

from migas.collector.database.outage import cause, is_outage
from migas.collector.ingestion.timing import TOLD, Timing
from migas.message import ACCEPTS_HEADER, TIMING_HEADERS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

FURTHER_REQUESTS = "migas.further_requests"
"""The key of a scope under which an answer says for how many more requests it stands."""

_log = logging.getLogger("migas.collector")


class Middleware:
    """What stands before an application and looks at each request.

    Args:
        app: What answers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serve what comes, as ASGI has it; what is no request goes by."""
        serve = self._serve if scope["type"] == "http" else self._app
        return serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it on."""
        raise NotImplementedError


class RootPath(Middleware):
    """Serves everything below a path of a host that is shared with others.

    A proxy may hand that path on or take it away. Whatever it does, behind this the path is there,
    and named as `root_path`, as ASGI has it.

    Args:
        root: The path, without a slash at its end.
    """

    def __init__(self, app: ASGIApp, root: str) -> None:
        super().__init__(app)
        self._root = root

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        inner = scope["path"]
        if f"{inner}/".startswith(f"{self._root}/"):
            inner = inner.removeprefix(self._root) or "/"
        scope = {**scope, "root_path": self._root, "path": self._root + inner}
        await self._app(scope, receive, send)


def root_path(scope: Scope) -> str:
    """The path of a shared host below which all is; empty where the host is ours."""
    return str(scope.get("root_path", ""))


def route_path(scope: Scope) -> str:
    """The path that a request is for, as if the host were ours."""
    return str(scope["path"]).removeprefix(root_path(scope))


def header(scope: Scope, name: bytes) -> str | None:
    """The first header of a request that has a name, which is in small letters.

    Every request is asked for several; Starlette's `Headers` take four times as long for each.
    """
    for other, value in scope["headers"]:
        if other == name:
            text: str = value.decode("latin-1")
            return text
    return None


class SignedAnswers(Middleware):
    """Puts `X-Backend-Server` on every answer, the answer to a crash included.

    Clients take an answer without it for that of a stranger, a captive portal say, and keep
    their breadcrumbs. Beside it stands what else they may tell, which `ToldTiming` reads.

    Args:
        signature: The header's value, `migas@<version>`.
    """

    def __init__(self, app: ASGIApp, signature: str) -> None:
        super().__init__(app)
        self._headers = (
            (b"x-backend-server", signature.encode()),
            (ACCEPTS_HEADER.lower().encode(), ", ".join(TIMING_HEADERS).encode()),
        )

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def signed_send(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                # Not to the list itself: it belongs to an answer that others get, too.
                message = {**message, "headers": [*message["headers"], *self._headers]}
            await send(message)

        try:
            await self._app(scope, receive, signed_send)
        except Exception as error:
            answer = PlainTextResponse("Internal Server Error", 500)
            if is_outage(error):
                _log.error("%s %s failed: %s", scope["method"], scope["path"], cause(error))
                answer = PlainTextResponse("The database does not answer. Try again later.", 503)
            else:
                _log.exception("%s %s failed", scope["method"], scope["path"])
            if started:
                raise
            await answer(scope, receive, signed_send)


class ToldTiming(Middleware):
    """Notes what a request says beside a breadcrumb, for whatever stores that."""

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        TOLD.set(Timing.told(*(header(scope, name) for name in _TIMING)))
        await self._app(scope, receive, send)


_TIMING = [name.lower().encode() for name in TIMING_HEADERS.values()]


class BodyLimit(Middleware):
    """Reads a request's body, as far as it is small and plain, before anything else sees it.

    Args:
        limit: The most bytes that a body may have.
    """

    def __init__(self, app: ASGIApp, limit: int) -> None:
        super().__init__(app)
        self._limit = limit

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (header(scope, b"content-encoding") or "identity").lower() != "identity":
            await _compressed(scope)(scope, receive, send)
            return
        announced = header(scope, b"content-length") or ""
        size = int(announced) if announced.isdecimal() else 0
        body = b""
        while size <= self._limit:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            size = max(size, len(body))
            if not message.get("more_body", False):
                break
        if size > self._limit:
            problem = f"Request body ({size}) exceeds maximum size ({self._limit})"
            await refusal(scope, 413, problem)(scope, receive, send)
            return
        await self._app(scope, replaying(body, receive), send)


def refusal(
    scope: Scope, status: int, problem: str, headers: Mapping[str, str] | None = None
) -> Response:
    """An answer to a request that nothing looks at, in the form that errors have on its way in."""
    told = {"data": None, "errors": [{"message": problem}]}
    return JSONResponse(told if is_graphql(scope) else {"detail": problem}, status, headers)


def _compressed(scope: Scope) -> Response:
    if is_graphql(scope):  # the wire's own answer, by which clients know this server's limits
        return PlainTextResponse("Internal Server Error", 500)
    return refusal(scope, 415, "A request body must not be compressed.")


def replaying(body: bytes, receive: Receive) -> Receive:
    """What gives a body that was read to the next one who asks, as one message."""
    unread: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return unread.pop() if unread else await receive()

    return replay


def is_graphql(scope: Scope) -> bool:
    """Whether a request goes to GraphQL, whose errors have a form of their own."""
    return route_path(scope).rstrip("/") == "/graphql"
