"""Running the collector as a server, in one process or in several."""

from __future__ import annotations

import asyncio
import gc
import ipaddress
import logging
import os
import re
import signal
import socket
import ssl
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import uvicorn

from migas.collector.app import OWN_PATHS, create_app
from migas.collector.collector import Collector
from migas.collector.errors import CollectorError
from migas.collector.http.access import is_loopback
from migas.collector.http.metrics import SHARED_FOLDER, forget_worker
from migas.collector.http.rate_limit import RateLimiter
from migas.collector.server import upkeep, workers
from migas.collector.server.access_log import AccessLog
from migas.collector.server.slow_clients import SlowClientProtocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastapi import FastAPI

GRACE = 10
"""Seconds that requests under way have to end when the server is told to stop."""

MAX_FILES = 65_536
"""Each connection is an open file, and costs some kilobytes."""

_PATH = r"(/[A-Za-z0-9._~-]+)*"
_ROOT_PATH = re.compile(_PATH, re.ASCII)
_PUBLIC_URL = re.compile(
    rf"https?://([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(:[0-9]{{1,5}})?{_PATH}/?",
    re.ASCII,
)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What `migas serve` was told, under the names of its options, whose help says what each means.

    `rate_limit` is 0 and the others are None where nothing was asked for.
    """

    db: str
    host: str
    port: int
    open: bool
    workers: int
    ssl_certfile: str | None
    ssl_keyfile: str | None
    forwarded_allow_ips: str | None
    rate_limit: int
    retain: int | None
    package_index: str | None
    root_path: str
    public_url: str
    access_log: bool


class AnnouncedServer(uvicorn.Server):
    """A uvicorn server that says, once, when connections are answered."""

    def __init__(self, config: uvicorn.Config, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to answer, then say so."""
        await super().startup(sockets)
        if self.started:
            self._announce()


def serve(settings: Settings, announce: Callable[[str, str], None]) -> None:
    """Run a collector until SIGTERM or SIGINT, after which it ends its requests and returns.

    Args:
        settings: What it was told.
        announce: Called once, when it is ready, with its URL and the name of its database.

    Raises:
        CollectorError: The address, the certificate or the database cannot be used, the settings
            contradict each other, or they would open the collector to strangers.
    """
    _check(settings)
    _allow_many_connections()
    with _listen(settings) as listener:
        description = asyncio.run(_prepare(settings))
        ready = partial(announce, _url(settings, listener), description)
        logging.getLogger("migas.collector").addHandler(logging.StreamHandler())
        os.environ.pop(SHARED_FOLDER, None)
        if settings.workers == 1:
            _run(settings, listener, ready, first=True)
            return

        def work(number: int, worker_ready: Callable[[], None]) -> None:
            _run(settings, listener, worker_ready, first=number == 0)

        with tempfile.TemporaryDirectory(prefix="migas-metrics-") as folder:
            os.environ[SHARED_FOLDER] = folder
            workers.supervise(settings.workers, work, ready, forget_worker, patience=GRACE + 5)


def _check(settings: Settings) -> None:
    """Find what cannot be meant, before anything is opened."""
    if settings.ssl_keyfile is not None and settings.ssl_certfile is None:
        raise CollectorError("--ssl-keyfile is of no use without --ssl-certfile")
    if not _ROOT_PATH.fullmatch(settings.root_path):
        raise CollectorError(f"{settings.root_path!r} is no path: write one like /migas")
    if settings.root_path and settings.root_path.split("/")[1] in OWN_PATHS:
        raise CollectorError(f"{settings.root_path} has another meaning here: choose another path")
    if settings.public_url and not _PUBLIC_URL.fullmatch(settings.public_url):
        raise CollectorError(
            f"{settings.public_url!r} is no address of pages:"
            " write one like https://host.example/migas"
        )
    for proxy in map(str.strip, (settings.forwarded_allow_ips or "").split(",")):
        try:
            if proxy not in ("", "*"):
                ipaddress.ip_network(proxy)
        except ValueError:
            raise CollectorError(
                f"{proxy!r} is no address of a proxy: "
                "write addresses and networks like 127.0.0.1,10.0.0.0/8"
            ) from None


def _allow_many_connections() -> None:
    """Open as many files as this process may: few slow clients would hold the usual 1,024."""
    try:
        import resource
    except ImportError:  # Windows knows no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _run(
    settings: Settings, listener: socket.socket, announce: Callable[[], None], *, first: bool
) -> None:
    """Be one process that answers, until it is told to stop; the first one also tidies up."""
    faster: Callable[[], asyncio.AbstractEventLoop] | None = None
    with suppress(ImportError):  # there is none for Windows
        from uvloop import new_event_loop as faster
    with asyncio.Runner(loop_factory=faster) as runner:
        runner.run(_serve(settings, listener, announce, tidies=first))


async def _prepare(settings: Settings) -> str:
    """Find what cannot work, and bring the database up to date; return what to call it."""
    if settings.ssl_certfile is not None:
        try:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(settings.ssl_certfile, settings.ssl_keyfile)
        except OSError as error:  # ssl.SSLError is one
            raise CollectorError(
                f"cannot use the certificate {settings.ssl_certfile}: {error}"
            ) from error
    async with Collector.open(settings.db) as collector:
        return collector.description


async def _serve(
    settings: Settings,
    listener: socket.socket,
    announce: Callable[[], None],
    *,
    tidies: bool,
) -> None:
    opening = Collector.open(settings.db, open_registration=settings.open)
    async with opening as collector:
        limiter = None
        if settings.rate_limit:
            limiter = RateLimiter(collector.connections, collector.clock, settings.rate_limit)
        log = AccessLog()
        app = create_app(
            collector,
            limiter,
            root_path=settings.root_path,
            access_log=log.write if settings.access_log else None,
        )
        collector.ingestion.watch = app.state.metrics
        server = AnnouncedServer(_config(settings, app), announce)
        _prepare_interpreter()
        tidying: list[asyncio.Task[None]] = []
        if tidies:
            upkept = upkeep.keep_up(collector, settings.retain, settings.package_index)
            pages = settings.public_url.removesuffix("/") or settings.root_path
            telling = upkeep.keep_telling(collector, pages)
            tidying = [asyncio.create_task(work) for work in (upkept, telling)]
        _stop_on_signals(server)
        await server.serve(sockets=[listener])
        log.close()
        for task in tidying:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


def _prepare_interpreter() -> None:
    """Set Python up for many short answers at once."""
    gc.collect()
    gc.freeze()  # what was imported stays; looking through it again and again takes 80 ms each time
    sys.setswitchinterval(0.001)  # SQLite's thread waits for the interpreter twenty times a commit


def _config(settings: Settings, app: FastAPI) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=SlowClientProtocol,
        access_log=False,  # it would hold addresses
        lifespan="off",
        log_level="warning",
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=GRACE,
        ws="none",
        proxy_headers=settings.forwarded_allow_ips is not None,
        forwarded_allow_ips=settings.forwarded_allow_ips or "",
        ssl_certfile=settings.ssl_certfile,
        ssl_keyfile=settings.ssl_keyfile,
    )


def _stop_on_signals(server: uvicorn.Server) -> None:
    """Make SIGTERM and SIGINT a normal end with exit status 0.

    uvicorn puts its own handlers over these and, when it has stopped, raises the signals that it
    caught once more, for the handlers that were there before. These are, and ignore the repetition.
    """

    def stop(_signal: int, _frame: object) -> None:
        server.should_exit = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)


def _listen(settings: Settings) -> socket.socket:
    host, port = settings.host, settings.port
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError) as error:
        raise CollectorError(f"{host!r} is no address to listen on: {error}") from error
    if settings.open and not is_loopback(str(address[0])):
        raise CollectorError(
            f"--open lets anybody register projects, and {host} can be reached from other machines:"
            " leave it out and use `migas project add`, or listen on 127.0.0.1"
        )
    # Not by create_server: its sockets name no protocol, and asyncio sends at once only by TCP's.
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


def _url(settings: Settings, listener: socket.socket) -> str:
    scheme = "https" if settings.ssl_certfile else "http"
    name = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"{scheme}://{name}:{listener.getsockname()[1]}{settings.root_path}"
