"""A collector in a thread of the test process: the real server over real sockets, ready at once."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import threading
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import uvicorn

from migas.collector.app import create_app
from migas.collector.collector import Collector
from migas.collector.http.metrics import Metrics
from migas.collector.http.rate_limit import RateLimiter
from migas.collector.server.serve import AnnouncedServer
from migas.collector.server.slow_clients import SlowClientProtocol

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Mapping

    from tests.collector.databases import Database

PROJECTS = ("nipreps/nipreps", "mgxd/migas-py", "nipreps/migas-py")
PROJECT = "nipreps/migas-py"
PREPARE_SECONDS = 300.0
"""More than it takes to invent a year of sessions on a busy machine."""

RECORDED_COLUMNS = (
    "project",
    "version",
    "language",
    "language_version",
    "session_id",
    "user_id",
    "status",
    "status_desc",
    "error_type",
    "error_desc",
    "is_ci",
)
ADD_PROJECT = "mutation($p: ProjectInput!){add_project(p:$p)}"


@dataclass(frozen=True)
class Reply:
    """What came back for a request."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class LiveCollector:
    """A running collector and its database."""

    port: int
    database: Database

    def send(
        self,
        path: str,
        body: bytes,
        headers: Mapping[str, str] | None = None,
        method: str = "POST",
    ) -> Reply:
        if headers is None:
            headers = {"Content-Type": "application/json"}
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
            connection.request(method, path, body, dict(headers))
            response = connection.getresponse()
            return Reply(response.status, response.headers, response.read())

    def graphql(self, query: str, *, token: str | None = None, **variables: object) -> Any:
        """The JSON body of a GraphQL answer, whose status is always 200."""
        headers = {"Content-Type": "application/json"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        reply = self.send("/graphql", _encode({"query": query, "variables": variables}), headers)
        assert reply.status == 200, reply
        return reply.json()

    def add_project(self, **fields: object) -> Any:
        return self.graphql(ADD_PROJECT, p=a_breadcrumb() | fields)

    def rest(self, *, wait: bool = False, **fields: Any) -> Reply:
        path = "/api/breadcrumb?wait=true" if wait else "/api/breadcrumb"
        return self.send(path, _encode({"project": PROJECT, "project_version": "1.0"} | fields))

    def rows(self, sql: str) -> list[dict[str, Any]]:
        return self.database.rows(sql)

    def crumbs(self) -> list[dict[str, Any]]:
        """The stored breadcrumbs, in the form that the recorded exchanges have."""
        rows = self.rows(f"SELECT {', '.join(RECORDED_COLUMNS)} FROM crumbs ORDER BY idx")
        return [row | {"is_ci": bool(row["is_ci"])} for row in rows]

    def users(self) -> list[dict[str, Any]]:
        return self.rows("SELECT * FROM users")

    def execute(self, sql: str) -> None:
        self.database.execute(sql)


def a_breadcrumb() -> dict[str, object]:
    """The fields that every breadcrumb has."""
    return {
        "project": PROJECT,
        "project_version": "1.0",
        "language": "python",
        "language_version": "3.11.7",
    }


class LiveServer:
    """One uvicorn server for a whole test session; each test puts its own database behind it.

    A server takes two tenths of a second to stop, a database a hundredth to make.
    """

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._app = create_app(cast("Collector", None))  # collector() fills the place
        config = uvicorn.Config(
            self._app,
            http=SlowClientProtocol,
            log_config=None,
            lifespan="off",
            ws="none",
            proxy_headers=False,
        )
        ready = threading.Event()
        self._server = AnnouncedServer(config, ready.set)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        assert ready.wait(30)

    @contextmanager
    def collector(
        self,
        database: Database,
        *,
        open_registration: bool = False,
        prepare: Callable[[Collector], Any] | None = None,
        clock: Callable[[], float] = time.time,
        limit: int | None = None,
    ) -> Iterator[LiveCollector]:
        """Serve a database, with the recorded server's projects registered, for a `with` block.

        `prepare` is a coroutine function that puts more into it before it is served; `limit` is
        how many requests an address may make in a minute.
        """
        opening = Collector.open(database.url, open_registration=open_registration, clock=clock)

        async def open_it() -> None:
            collector = await opening.__aenter__()
            await collector.projects.register(PROJECTS)
            if prepare is not None:
                await prepare(collector)
            self._app.state.collector = collector
            self.metrics = self._app.state.metrics = Metrics()  # each test counts from 0
            collector.ingestion.watch = self.metrics
            self._app.state.limiter = limit and RateLimiter(
                collector.connections, collector.clock, limit
            )

        self._wait(open_it())
        try:
            yield LiveCollector(self._listener.getsockname()[1], database)
        finally:
            self._wait(opening.__aexit__(None, None, None))

    def has_connection(self, address: tuple[str, int]) -> bool:
        """Whether a client's address and port are connected by now."""
        return any(
            connection.client == address  # type: ignore[union-attr]
            for connection in list(self._server.server_state.connections)
        )

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(30)
        self._listener.close()

    def _run(self) -> None:
        asyncio.run(self._main())

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        await self._server.serve(sockets=[self._listener])

    def _wait(self, work: Coroutine[Any, Any, object]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(PREPARE_SECONDS)


def _encode(message: object) -> bytes:
    return json.dumps(message).encode()
