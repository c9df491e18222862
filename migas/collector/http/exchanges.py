"""What became of each request, told to whoever counts or writes it down: nothing of who asked."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from migas.collector.http.middleware import Middleware, route_path

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Exchange(NamedTuple):
    """A request and its answer.

    `path` is the one that the route declares, `/p/{owner}/{repo}` say, and not what was asked for,
    where ids and tokens may stand; it is None where nothing is served. `status` is None for a
    client that hung up, `has_errors` of a GraphQL answer whose status does not tell. `seconds` are
    those until the answer was handed over, `size` its bytes without headers.
    """

    method: str
    path: str | None
    status: int | None
    has_errors: bool
    seconds: float
    size: int


class Exchanges(Middleware):
    """Tells of every request that it hands on.

    Args:
        paths: The paths of routes that have no parameters: requests that are refused, or take the
            short way, come to no route.
        observers: Whom to tell; none of them may wait for anything.
    """

    def __init__(
        self, app: ASGIApp, paths: frozenset[str], observers: Sequence[Callable[[Exchange], None]]
    ) -> None:
        super().__init__(app)
        self._paths = paths
        self._observers = observers

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        status: int | None = None
        has_errors = False
        size = 0

        async def watched_send(message: Message) -> None:
            nonlocal status, has_errors, size
            if message["type"] == "http.response.start":
                status = message["status"]
            else:
                body: bytes = message.get("body", b"")
                size += len(body)
                # No text in JSON has a quotation mark that is not escaped.
                has_errors = has_errors or (status == 200 and b'"errors":' in body)
            await send(message)

        try:
            await self._app(scope, receive, watched_send)
        finally:
            path = self._path(scope)
            exchange = Exchange(
                scope["method"],
                path,
                status,
                has_errors and path == "/graphql",
                time.perf_counter() - began,
                size,
            )
            for observe in self._observers:
                observe(exchange)

    def _path(self, scope: Scope) -> str | None:
        route = scope.get("route")
        if route is not None:
            path: str = route.path
            return path
        asked = route_path(scope)
        return asked if asked in self._paths else None
