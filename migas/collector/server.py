"""Running the collector as a server process."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
from typing import TYPE_CHECKING

import uvicorn

from .app import create_app
from .errors import CollectorError
from .storage import Storage

if TYPE_CHECKING:
    from collections.abc import Callable

GRACE = 10
"""Seconds that requests under way have to end when the server is told to stop."""


class AnnouncedServer(uvicorn.Server):
    """A uvicorn server that says when it is ready.

    Args:
        config: As for `uvicorn.Server`.
        announce: Called once, when connections are answered.
    """

    def __init__(self, config: uvicorn.Config, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to answer, then say so."""
        await super().startup(sockets)
        if self.started:
            self._announce()


def serve(database: str, *, host: str, port: int, open_registration: bool) -> None:
    """Run a collector until SIGTERM or SIGINT, after which it ends its requests and returns.

    When it is ready it prints one line, `migas collector on http://… (database …)`.

    Args:
        database: A URL as `engine_url` takes it.
        host: The name or address to listen on.
        port: The port to listen on; 0 takes a free one.
        open_registration: Register an unknown `owner/repo` at its first breadcrumb.

    Raises:
        CollectorError: The address or the database cannot be used.
    """
    with _listen(host, port) as listener:
        asyncio.run(_serve(listener, host, database, open_registration=open_registration))


async def _serve(
    listener: socket.socket, host: str, database: str, *, open_registration: bool
) -> None:
    async with Storage.open(database, open_registration=open_registration) as storage:

        def announce() -> None:
            line = f"migas collector on {_url(host, listener)} (database {storage.description})"
            sys.stdout.write(line + "\n")
            sys.stdout.flush()

        config = uvicorn.Config(
            create_app(storage),
            access_log=False,
            lifespan="off",
            log_level="warning",
            server_header=False,
            timeout_graceful_shutdown=GRACE,
            ws="none",
        )
        server = AnnouncedServer(config, announce)
        logging.getLogger("migas.collector").addHandler(logging.StreamHandler())
        _stop_on_signals(server)
        await server.serve(sockets=[listener])


def _stop_on_signals(server: uvicorn.Server) -> None:
    """Make SIGTERM and SIGINT a normal end with exit status 0.

    uvicorn puts its own handlers over these and, when it has stopped, raises the signals that it
    caught once more for whoever was there before. These are there before, and content.
    """

    def stop(_signal: int, _frame: object) -> None:
        server.should_exit = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)


def _listen(host: str, port: int) -> socket.socket:
    if not 0 <= port <= 65535:
        raise CollectorError(f"{port} is no port: give one from 0 (any free one) to 65535")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError) as error:
        raise CollectorError(f"{host!r} is no address to listen on: {error}") from error
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise CollectorError(
            f"cannot listen on {host} port {port}: {error.strerror}; --port 0 takes a free port"
        ) from error
    return listener


def _url(host: str, listener: socket.socket) -> str:
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{listener.getsockname()[1]}"
