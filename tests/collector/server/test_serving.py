"""`migas serve` as it is run for real: several processes, TLS, proxies, slow clients."""

from __future__ import annotations

import http.client
import json
import os
import resource
import signal
import socket
import ssl
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from migas.collector.server import slow_clients
from migas.collector.server.serve import MAX_FILES
from tests.support.certificates import PrivateAuthority
from tests.support.collector import CollectorProcess, running_collector
from tests.support.desk import wait_until
from tests.support.postgres import running_postgres

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.collector.databases import Database
    from tests.collector.live import LiveCollector, LiveServer

pytestmark = pytest.mark.slow

BREADCRUMB = json.dumps({"project": "a/b", "project_version": "1.0"}).encode()


def post(connection: http.client.HTTPConnection, **headers: str) -> int:
    """Send a breadcrumb and return the status of the answer."""
    connection.request(
        "POST", "/api/breadcrumb", BREADCRUMB, {"Content-Type": "application/json"} | headers
    )
    response = connection.getresponse()
    response.read()
    return response.status


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_workers_share_the_work_and_are_replaced(database: Database) -> None:
    collector = CollectorProcess(
        Path(), database_url=database.url, arguments=["--workers", "2", "--rate-limit", "0"]
    )
    collector.start()
    try:
        assert collector.process is not None
        first, second = children(collector.process.pid)
        with closing(http.client.HTTPConnection("127.0.0.1", collector.port, 20)) as connection:
            assert post(connection) == 202

        os.kill(first, signal.SIGKILL)
        deadline = time.monotonic() + 30
        while len(set(children(collector.process.pid)) - {first}) < 2:
            assert time.monotonic() < deadline, "the worker was not replaced"
            time.sleep(0.05)
        with closing(http.client.HTTPConnection("127.0.0.1", collector.port, 20)) as connection:
            for _ in range(5):
                assert post(connection) == 202
        workers = children(collector.process.pid)
        assert second in workers
        assert collector.stop() == 0
    finally:
        collector.kill()
    assert not [worker for worker in workers if Path(f"/proc/{worker}").exists()]
    assert database.value("SELECT count(*) FROM crumbs") == 6


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_worker_that_dies_while_the_database_is_away_is_replaced_afterwards() -> None:
    with running_postgres(durable=False) as postgres:
        collector = CollectorProcess(
            Path(), database_url=postgres.url(), arguments=["--workers", "2", "--rate-limit", "0"]
        )
        collector.start()
        try:
            process = collector.process
            assert process is not None
            first, second = children(process.pid)
            postgres.kill()
            os.kill(first, signal.SIGKILL)
            # Two attempts to replace it have begun: one, at least, was in vain.
            tried: set[int] = set()

            def are_tried() -> bool:
                tried.update(children(process.pid))
                return len(tried) >= 4

            wait_until(are_tried)
            postgres.start()
            wait_until(lambda: len(children(process.pid)) == 2)
            with closing(http.client.HTTPConnection("127.0.0.1", collector.port, 20)) as connection:
                assert post(connection) == 202
            assert second in children(process.pid)
            assert collector.stop() == 0
        finally:
            collector.kill()


def test_tls_is_served_with_a_certificate(tmp_path: Path) -> None:
    authority = PrivateAuthority(str(tmp_path))
    authority.server_context()
    collector = CollectorProcess(
        tmp_path / "db.sqlite", arguments=["--ssl-certfile", str(tmp_path / "valid.pem")]
    )
    collector.start()
    try:
        assert collector.url.startswith("https://127.0.0.1:")
        trust = ssl.create_default_context(cafile=authority.path)
        with closing(
            http.client.HTTPSConnection("127.0.0.1", collector.port, timeout=20, context=trust)
        ) as connection:
            assert post(connection) == 202
    finally:
        collector.stop()


def test_an_address_behind_a_proxy_is_the_one_it_names(tmp_path: Path) -> None:
    arguments = ["--rate-limit", "1", "--forwarded-allow-ips", "127.0.0.1"]
    collector = CollectorProcess(tmp_path / "db.sqlite", arguments=arguments)
    collector.start()
    try:
        with closing(http.client.HTTPConnection("127.0.0.1", collector.port, 20)) as connection:
            sent = [("192.0.2.1", 202), ("192.0.2.2", 202), ("192.0.2.1", 429)]
            for address, status in sent:
                assert post(connection, **{"X-Forwarded-For": address}) == status
    finally:
        collector.stop()
    for file in tmp_path.iterdir():
        assert b"192.0.2" not in file.read_bytes()


def test_without_a_proxy_nobody_chooses_an_address(live_collector_limit: LiveCollector) -> None:
    with closing(
        http.client.HTTPConnection("127.0.0.1", live_collector_limit.port, timeout=20)
    ) as connection:
        statuses = [post(connection, **{"X-Forwarded-For": f"192.0.2.{n}"}) for n in range(3)]
    assert statuses[-1] == 429


@pytest.fixture
def live_collector_limit(live_server: LiveServer, database: Database) -> Iterator[LiveCollector]:
    with live_server.collector(database, limit=2) as running:
        yield running


def test_as_many_connections_are_held_as_the_system_allows() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, hard - 1, 200), hard))
    try:
        with running_collector() as collector:
            assert collector.process is not None
            limits = Path(f"/proc/{collector.process.pid}/limits").read_text()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    (line,) = [line for line in limits.splitlines() if line.startswith("Max open files")]
    assert int(line.split()[3]) == min(hard, MAX_FILES)


@pytest.mark.parametrize(
    "said",
    [b"", b"POST /api", b"POST /graphql HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc"],
    ids=["nothing", "half a head", "half a body"],
)
def test_whoever_does_not_end_a_request_is_hung_up_on(
    said: bytes, collector: LiveCollector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slow_clients, "RECEIVE_SECONDS", 0.3)
    with socket.create_connection(("127.0.0.1", collector.port), timeout=20) as connection:
        connection.sendall(said)
        assert connection.recv(100) == b""


def test_whoever_drips_is_hung_up_on(
    collector: LiveCollector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slow_clients, "RECEIVE_SECONDS", 0.5)
    began = time.monotonic()
    with (
        socket.create_connection(("127.0.0.1", collector.port), timeout=20) as connection,
        suppress(ConnectionError),
    ):
        connection.sendall(b"GET /healthz HTTP/1.1\r\n")
        while time.monotonic() < began + 20:
            connection.sendall(b"x")
            time.sleep(0.02)
    assert time.monotonic() < began + 20


@pytest.mark.parametrize("reads", [False, True])
def test_whoever_does_not_read_its_answers_is_hung_up_on(
    reads: bool, sqlite: Database, live_server: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slow_clients, "SEND_SECONDS", 0.3)
    asked = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n"
    number = 600
    answers = bytearray()
    with (
        live_server.collector(sqlite) as running,
        closing(socket.socket()) as client,
        suppress(ConnectionError),
    ):
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 14)
        client.settimeout(20)
        client.connect(("127.0.0.1", running.port))
        client.sendall((asked + b"\r\n") * (number - 1) + asked + b"Connection: close\r\n\r\n")
        if not reads:
            assert client.recv(1, socket.MSG_PEEK)  # from here on it is known there
            address = client.getsockname()
            wait_until(lambda: not live_server.has_connection(address))
        while chunk := client.recv(1 << 16):
            answers += chunk
    assert (answers.count(b"HTTP/1.1 200") == number) is reads


def test_a_connection_is_kept_for_those_who_use_it(
    collector: LiveCollector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slow_clients, "RECEIVE_SECONDS", 1.0)
    with closing(http.client.HTTPConnection("127.0.0.1", collector.port, timeout=20)) as connection:
        for _ in range(8):
            connection.request("GET", "/healthz")
            assert connection.getresponse().read() == b'{"database":true}'
            time.sleep(0.2)
