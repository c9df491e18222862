"""The collector as an ASGI application."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.routing import Route

import migas
from migas.collector import pages
from migas.collector.http import administration, graphql, health, metrics, rest, tables, usage
from migas.collector.http.exchanges import Exchanges
from migas.collector.http.metrics import Metrics
from migas.collector.http.middleware import BodyLimit, RootPath, SignedAnswers, ToldTiming
from migas.collector.http.rate_limit import RateLimit
from migas.collector.pages.refusals import RefusalPages
from migas.message import MAX_REQUEST_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    from migas.collector.collector import Collector
    from migas.collector.http.exchanges import Exchange
    from migas.collector.http.rate_limit import RateLimiter

_ROUTERS = (
    rest.router,
    usage.router,
    tables.router,
    administration.router,
    health.router,
    metrics.router,
    *pages.routers,
)

_PATHS = frozenset(
    [
        graphql.PATH,
        *(route.path for router in _ROUTERS for route in router.routes if isinstance(route, Route)),
    ]
)
_PLAIN_PATHS = frozenset(path for path in _PATHS if "{" not in path)

OWN_PATHS = frozenset(path.split("/")[1] for path in _PATHS)
"""How the paths of what is served begin. None of them may be the beginning of a root path: nobody
could tell whether a proxy has taken that away."""


def create_app(
    collector: Collector,
    limiter: RateLimiter | None = None,
    *,
    root_path: str = "",
    access_log: Callable[[Exchange], None] | None = None,
) -> FastAPI:
    """Build the application over an open collector; its opener closes it afterwards.

    Args:
        collector: What is served.
        limiter: Counts the requests of each address; none are counted without it.
        root_path: The path of a shared host below which all this is, without a slash at its end.
        access_log: Is told of every request.

    Returns:
        An application with every way in and out.
    """
    shown = f"```python\n{tables.example()}```"
    # The interactive pages load scripts from another site.
    app = FastAPI(
        title="migas collector",
        version=migas.__version__,
        description=f"A project's tables are read with a token:\n\n{shown}",
        docs_url=None,
        redoc_url=None,
        # Nobody is told of requests but by /metrics; to ask OpenTelemetry at each costs a tenth.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.state.collector = collector
    app.state.limiter = limiter
    for router in _ROUTERS:
        app.include_router(router)
    app.exception_handler(RequestValidationError)(_refuse)
    app.add_middleware(graphql.GraphQL)
    app.add_middleware(rest.PlainBreadcrumbs)
    app.add_middleware(ToldTiming)
    app.add_middleware(BodyLimit, limit=MAX_REQUEST_BYTES)
    app.add_middleware(RateLimit)
    app.add_middleware(SignedAnswers, signature=f"migas@{migas.__version__}")
    app.add_middleware(RefusalPages)
    app.state.metrics = Metrics()

    def count(exchange: Exchange) -> None:
        app.state.metrics.answered(exchange)

    observers = [count] if access_log is None else [count, access_log]
    # What FastAPI adds of its own, as /openapi.json, says nothing of its route to who watches.
    described = {route.path for route in app.routes if isinstance(route, Route)} - _PATHS
    app.add_middleware(Exchanges, paths=_PLAIN_PATHS | described, observers=observers)
    if root_path:
        app.add_middleware(RootPath, root=root_path)
    return app


async def _refuse(_request: Request, refused: RequestValidationError) -> Response:
    """Name what is wrong with a request's values, without repeating one that JSON cannot hold."""
    problems = [
        problem | {"input": _echo(problem.get("input")), "ctx": _texts(problem.get("ctx"))}
        for problem in refused.errors()
    ]
    return JSONResponse({"detail": problems}, 422)


def _texts(context: object) -> dict[str, str]:
    items = context.items() if isinstance(context, dict) else ()
    return {str(name): str(value) for name, value in items}


def _echo(value: object) -> object:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    return type(value).__name__
