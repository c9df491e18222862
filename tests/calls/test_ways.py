"""The ways to a server: proxies, and the authorities whose certificates are trusted."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from typing import TYPE_CHECKING

import pytest

import migas
from migas.transport import connections
from migas.transport.client import Client
from tests.support.fault_server import FaultServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Proxy:
    """A proxy that passes plain requests on and tunnels the others."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._connections: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        for open_one in (self._listener, *self._connections):
            with contextlib.suppress(OSError):
                open_one.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._connections.append(client)
            with client:
                self._pass_on(client)

    def _pass_on(self, client: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            chunk = client.recv(65536)
            if not chunk:
                return
            head += chunk
        line = head.partition(b"\r\n")[0].decode()
        self.asked.append(line)
        method, target, _ = line.split(" ")
        address = target.removeprefix("http://").partition("/")[0]
        host, _, port = address.partition(":")
        with socket.create_connection((host, int(port))) as onward:
            if method == "CONNECT":
                client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            else:
                onward.sendall(head.replace(f"http://{address}".encode(), b"", 1))
            self._shuttle(client, onward)

    def _shuttle(self, client: socket.socket, onward: socket.socket) -> None:
        while True:
            for readable in select.select([client, onward], [], [], 10)[0]:
                data = readable.recv(65536)
                if not data:
                    return
                (onward if readable is client else client).sendall(data)


@contextlib.contextmanager
def running_proxy() -> Iterator[Proxy]:
    proxy = Proxy()
    try:
        yield proxy
    finally:
        proxy.close()


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://127.0.0.1:9",
        "http://localhost",
        "https://Migas.Example.org:8443/below",
        "https://migas.example.org:",
        "http://[::1]:9",
        "http://m%69gas.example.org",
        "http://user_name.example.org",
        "http://straße.example.org",
    ],
)
def test_the_server_is_the_one_that_urllib3_reads_from_the_url(endpoint: str) -> None:
    pool = connections.pool_for(endpoint, "migas")

    assert connections.server_in(pool, endpoint) is pool.connection_from_url(endpoint)


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_a_proxy_from_the_environment_is_asked(
    variable: str, pointed: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_proxy() as proxy:
        monkeypatch.setenv(variable, proxy.url)
        assert migas.add_project("lab/tool", "1.0.0")["success"] is True
    assert proxy.asked == [f"POST {pointed.url}/graphql HTTP/1.1"]


def test_no_proxy_is_asked_for_hosts_that_need_none(
    pointed: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_proxy() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("NO_PROXY", "example.org,127.0.0.1")
        assert migas.add_project("lab/tool", "1.0.0")["success"] is True
    assert proxy.asked == []


def test_a_proxy_that_is_down_is_a_message(
    pointed: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    answer = migas.add_project("lab/tool", "1.0.0")
    assert answer["success"] is False
    assert answer["message"]
    assert pointed.connections == 0


@pytest.fixture
def tls_server(fresh: Path) -> Iterator[FaultServer]:
    """A server with a certificate of a private authority, to which this process reports."""
    with FaultServer(tls=True) as server:
        migas.setup(endpoint=server.url, timeout=5)
        yield server


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
def test_a_private_authority_is_trusted_when_the_environment_names_it(
    variable: str, tls_server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, tls_server.ca_path)
    assert migas.add_project("lab/tool", "1.0.0")["success"] is True


def test_a_private_authority_is_trusted_through_a_proxy(
    tls_server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", tls_server.ca_path)
    with running_proxy() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        assert migas.add_project("lab/tool", "1.0.0")["success"] is True
    assert proxy.asked[0].startswith("CONNECT 127.0.0.1:")


def test_a_private_authority_that_nobody_names_is_not_trusted(tls_server: FaultServer) -> None:
    answer = migas.add_project("lab/tool", "1.0.0")
    assert answer["success"] is False
    assert tls_server.requests == []


@pytest.mark.parametrize("manner", ["wrong-host", "self-signed", "expired"])
def test_a_certificate_that_is_wrong_is_not_accepted(
    manner: str, tls_server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", tls_server.ca_path)
    tls_server.behave(manner)
    assert migas.add_project("lab/tool", "1.0.0")["success"] is False
    assert tls_server.requests == []


def test_a_bundle_that_does_not_exist_is_a_message(
    tls_server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/ca.pem")
    answer = migas.add_project("lab/tool", "1.0.0")
    assert answer["success"] is False
    assert answer["message"]


def test_a_thread_is_kept_for_further_requests_when_there_is_a_second(server: FaultServer) -> None:
    client = Client(server.url, keeps_thread=True)
    kept = []
    for _ in range(3):
        assert client.ask("GET", "/", b"", 5.0).status
        kept.append(sum(one.name == "migas-transport" for one in threading.enumerate()))
    client.close()
    assert kept == [0, 1, 1]
    assert "migas-transport" not in {one.name for one in threading.enumerate()}
