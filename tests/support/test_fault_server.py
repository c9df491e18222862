"""The fault server itself: each manner is seen by a plain client as it is meant."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
import urllib3

from tests.support.fault_server import CERTIFICATES, MANNERS, Answer, FaultServer

if TYPE_CHECKING:
    from collections.abc import Iterator

ADD_PROJECT = "mutation($p: ProjectInput!){add_project(p:$p)}"
FIELDS = {
    "project": "owner/repo",
    "project_version": "1.0",
    "language": "python",
    "language_version": "3.11.7",
    "session_id": "35ecdd23-f0b6-593a-8d5b-108982c1126d",
    "status": "F",
    "is_ci": False,
}
NESTED = {
    **{name: FIELDS[name] for name in ("project", "project_version")},
    "ctx": {"session_id": FIELDS["session_id"]},
    "proc": {"status": "F"},
}


@contextlib.contextmanager
def client(server: FaultServer) -> Iterator[urllib3.PoolManager]:
    with urllib3.PoolManager(
        retries=False,
        timeout=urllib3.Timeout(connect=0.5, read=0.5),
        ca_certs=server.ca_path if server.tls else None,
    ) as pool:
        yield pool


def post(server: FaultServer, path: str = "/graphql", **options: Any) -> urllib3.BaseHTTPResponse:
    with client(server) as pool:
        return pool.request("POST", server.url + path, **options)


def add_project(server: FaultServer, **fields: object) -> urllib3.BaseHTTPResponse:
    return post(server, json={"query": ADD_PROJECT, "variables": {"p": {**FIELDS, **fields}}})


def query(server: FaultServer, text: str, **variables: object) -> Any:
    return post(server, json={"query": text, "variables": variables}).json()


def connected(server: FaultServer, timeout: float = 5.0) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout)


def test_a_good_server_stores_what_add_project_says() -> None:
    with FaultServer() as server:
        answer = add_project(server)
        assert answer.status == 200
        assert answer.headers["X-Backend-Server"] == "migas@0.9"
        assert answer.json()["data"]["add_project"]["success"] is True
        assert server.breadcrumbs == [FIELDS]


def test_a_good_server_reads_fields_written_into_the_query() -> None:
    with FaultServer() as server:
        query(
            server,
            'mutation{add_project(p:{project:"a/b",project_version:"1",status:F,'
            'error_desc:"say \\"no\\"",language:"python",language_version:"3.11.7"})}',
        )
        (breadcrumb,) = server.breadcrumbs
        assert breadcrumb["project"] == "a/b"
        assert breadcrumb["status"] == "F"
        assert breadcrumb["error_desc"] == 'say "no"'


def test_a_good_server_stores_nested_breadcrumbs_flat() -> None:
    with FaultServer() as server:
        assert post(server, "/api/breadcrumb", json=NESTED).status == 202
        assert post(server, "/api/breadcrumb?wait=true", json=NESTED).status == 200
        result = query(server, "mutation(){add_breadcrumb(){success message}}", **NESTED)
        assert result["data"]["add_breadcrumb"] == {"success": True, "message": ""}
        expected = {n: FIELDS[n] for n in ("project", "project_version", "session_id", "status")}
        assert server.breadcrumbs == [expected] * 3


def test_a_good_server_refuses_as_migas_does() -> None:
    with FaultServer() as server:
        assert add_project(server, project="nothing").json()["data"]["add_project"] == {
            "success": False
        }
        assert "Invalid version" in add_project(server, project_version="1.2.x-dirty").data.decode()
        assert add_project(server, error_desc="x" * 2500).status == 413
        assert post(server, body=b"{").status == 400
        assert post(server, "/api/breadcrumb", json={**NESTED, "project": "x"}).status == 400
        assert post(server, "/graphql/", body=b"{}", redirect=False).status == 307
        assert server.breadcrumbs == []


def test_a_good_server_answers_questions_about_what_it_stored() -> None:
    with FaultServer() as server:
        add_project(server, user_id="u")
        add_project(server, user_id="u")
        assert query(server, "{get_projects}")["data"]["get_projects"] == ["owner/repo"]
        usage = 'query{get_usage(project:"owner/repo",start:"2026-01-01")}'
        assert query(server, usage)["data"]["get_usage"]["hits"] == 2
        usage = "query($p:String!,$u:Boolean){get_usage(project:$p,start:$s,unique:$u)}"
        result = query(server, usage, p="owner/repo", u=True)["data"]["get_usage"]
        assert (result["hits"], result["unique"]) == (1, True)
        check = 'query{check_project(project:"owner/repo",project_version:"1.0"){success}}'
        assert query(server, check)["data"]["check_project"]["flagged"] is False


def test_one_connection_carries_many_requests() -> None:
    with FaultServer() as server, client(server) as pool:
        for _ in range(3):
            pool.request("POST", server.url + "/api/breadcrumb", json=NESTED)
        assert server.connections == 1
        assert len(server.requests) == 3


def test_an_idle_connection_is_closed() -> None:
    with FaultServer(keep_alive=0.05) as server, connected(server) as connection:
        assert connection.recv(1) == b""


def test_requests_are_recorded_with_their_time_headers_and_body() -> None:
    with FaultServer("500") as server:
        before = time.time()
        assert post(server, "/any?x=1", json={"a": 1}, headers={"X-Mine": "yes"}).status == 500
        (request,) = server.requests
        assert (request.method, request.path, request.json()) == ("POST", "/any?x=1", {"a": 1})
        assert request.headers["x-mine"] == "yes"
        assert before <= request.time <= time.time()
        server.clear()
        assert (server.requests, server.connections) == ([], 0)


@pytest.mark.parametrize(("manner", "delay"), [("300ms", 0.3), ("2s", 2.0)])
def test_a_late_server_answers_well_after_its_delay(manner: str, delay: float) -> None:
    with FaultServer(manner) as server, urllib3.PoolManager() as pool:
        start = time.monotonic()
        answer = pool.request("POST", server.url + "/api/breadcrumb", json=NESTED)
        assert time.monotonic() - start >= delay
        assert answer.status == 202


def test_a_late_server_forgets_a_graphql_request_whose_client_hung_up() -> None:
    with FaultServer("300ms") as server:
        for path, message in (
            ("/graphql", {"query": ADD_PROJECT, "variables": {"p": FIELDS}}),
            ("/api/breadcrumb", {**NESTED, "project": "by/rest"}),
        ):
            body = json.dumps(message)
            with connected(server) as connection:
                head = f"POST {path} HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n"
                connection.sendall((head + body).encode())
        server.wait_for_requests(2)
        time.sleep(0.5)
        assert [breadcrumb["project"] for breadcrumb in server.breadcrumbs] == ["by/rest"]


def test_refused() -> None:
    with FaultServer("refused") as server, pytest.raises(ConnectionRefusedError):
        connected(server).close()


def test_dropped_packets_make_connecting_hang() -> None:
    with FaultServer("dropped") as server, pytest.raises(TimeoutError):
        socket.create_connection(("127.0.0.1", server.port), timeout=0.5).close()


def test_silent() -> None:
    with FaultServer("silent") as server, pytest.raises(urllib3.exceptions.ReadTimeoutError):
        post(server, body=b"{}")


def test_reset() -> None:
    with FaultServer("reset") as server:
        with pytest.raises(urllib3.exceptions.ProtocolError) as caught:
            post(server, body=b"{}")
        assert isinstance(caught.value.args[1], ConnectionResetError)
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("manner", "status", "body", "from_migas"),
    [
        ("500", 500, b"Internal Server Error", False),
        ("503", 503, b"<html>", False),
        ("portal", 403, b"<html>", False),
        ("portal-200", 200, b"<html>", False),
        ("403", 403, b'{"detail"', True),
        ("429", 429, b'{"data": null', True),
        ("429-retry-after", 429, b'{"data": null', True),
        ("413", 413, b'{"detail"', True),
        ("list", 200, b"[]", True),
        ("string", 200, b'"success"', True),
        ("null-data", 200, b'{"data": null}', True),
        ("invalid-json", 200, b'{"data"', True),
    ],
)
def test_canned_answers(manner: str, status: int, body: bytes, from_migas: bool) -> None:
    with FaultServer(manner) as server:
        answer = add_project(server)
        assert answer.status == status
        assert answer.data.startswith(body)
        assert ("X-Backend-Server" in answer.headers) == from_migas
        assert ("Retry-After" in answer.headers) == (manner == "429-retry-after")
        assert server.breadcrumbs == []


def test_invalid_json_is_invalid() -> None:
    with FaultServer("invalid-json") as server, pytest.raises(ValueError, match="Unterminated"):
        add_project(server).json()


def test_graphql_errors_leave_rest_working() -> None:
    with FaultServer("graphql-errors") as server:
        assert add_project(server).json()["errors"][0]["path"] == ["add_project"]
        assert server.breadcrumbs == []
        assert post(server, "/api/breadcrumb", json=NESTED).status == 202
        assert len(server.breadcrumbs) == 1


def test_endless() -> None:
    with FaultServer("endless") as server, client(server) as pool:
        answer = pool.request("POST", server.url, body=b"{}", preload_content=False)
        assert sum(len(answer.read(65536)) for _ in range(50)) >= 50 * 65536
        answer.close()


def test_drip() -> None:
    with FaultServer("drip") as server, connected(server) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
        start = time.monotonic()
        assert [connection.recv(100) for _ in range(3)] == [b"H", b"T", b"T"]
        assert time.monotonic() - start >= 1.9


def test_redirect_loop() -> None:
    with FaultServer("redirect-loop") as server:
        with pytest.raises(urllib3.exceptions.MaxRetryError):
            post(server, body=b"{}", retries=5)
        assert {request.path for request in server.requests} == {"/graphql"}
        assert len(server.requests) == 6


def test_redirect_elsewhere_shows_who_follows() -> None:
    with FaultServer("redirect-elsewhere") as server:
        assert add_project(server).headers["Location"].startswith("http://localhost:")
        assert server.breadcrumbs == []
        post(server, "/api/breadcrumb", json=NESTED, redirect=True, retries=1)
        assert len(server.breadcrumbs) == 1
        assert server.requests[-1].headers["host"].startswith("localhost")


def test_not_http() -> None:
    with FaultServer("not-http") as server, connected(server) as connection:
        assert connection.recv(100).startswith(b"SSH-2.0-")


def test_a_private_authority_vouches_for_the_server() -> None:
    with FaultServer("private-ca") as server:
        assert server.url.startswith("https://")
        add_project(server)
        assert server.breadcrumbs == [FIELDS]
        with pytest.raises(ssl.SSLCertVerificationError):
            ssl.create_default_context().wrap_socket(connected(server), server_hostname="127.0.0.1")


@pytest.mark.parametrize(
    ("manner", "reason"),
    [("wrong-host", "mismatch"), ("self-signed", "self[- ]signed"), ("expired", "expired")],
)
def test_bad_certificates_are_bad_until_they_are_renewed(manner: str, reason: str) -> None:
    with FaultServer(manner) as server:
        with pytest.raises(urllib3.exceptions.SSLError, match=reason):
            add_project(server)
        server.behave("ok")
        add_project(server)
        assert server.breadcrumbs == [FIELDS]


@pytest.mark.parametrize(("manner", "stored"), [("closes", 1), ("loses", 0)])
def test_closing_right_after_the_answer(manner: str, stored: int) -> None:
    body = json.dumps(NESTED)
    with FaultServer(manner) as server, connected(server) as connection:
        head = f"POST /api/breadcrumb HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall((head + body).encode())
        answer = b"".join(iter(lambda: connection.recv(1024), b""))
        assert b'"success": true' in answer
        assert b"Connection: close" not in answer
        assert len(server.breadcrumbs) == stored


@pytest.mark.parametrize("manner", [name for name in MANNERS if name not in CERTIFICATES])
def test_every_manner_recovers_on_the_same_port(manner: str) -> None:
    with FaultServer(manner) as server:
        url = server.url
        with contextlib.suppress(OSError), connected(server, timeout=0.2) as connection:
            connection.sendall(b"POST /graphql HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}")
            connection.recv(1)
        server.behave("ok")
        server.clear()
        add_project(server)
        assert (server.url, server.breadcrumbs) == (url, [FIELDS])


@pytest.mark.parametrize("manner", ["refused", "dropped", "silent", "500"])
def test_a_good_server_can_fail_later(manner: str) -> None:
    with FaultServer() as server, client(server) as pool:
        pool.request("POST", server.url + "/api/breadcrumb", json=NESTED)
        server.behave(manner)
        with contextlib.suppress(urllib3.exceptions.HTTPError):
            assert pool.request("POST", server.url + "/api/breadcrumb", json=NESTED).status == 500
        assert len(server.breadcrumbs) == 1


def test_a_manner_of_the_tests_own() -> None:
    answers = iter([Answer(429, {}), None])
    with FaultServer(lambda request: next(answers)) as server:
        assert [add_project(server).status for _ in range(2)] == [429, 200]
        assert len(server.breadcrumbs) == 1


def test_waiting_ends_when_the_breadcrumb_is_there() -> None:
    with FaultServer("300ms") as server:
        thread = threading.Thread(target=add_project, args=(server,))
        thread.start()
        assert server.wait_for_breadcrumbs(1) == [FIELDS]
        assert server.wait_for_breadcrumbs(2, timeout=0.01) == [FIELDS]
        thread.join()


def test_closing_leaves_no_thread_and_cuts_whoever_hangs() -> None:
    with FaultServer("silent") as server, connected(server) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
        server.wait_for_requests(1)
        server.close()
        assert connection.recv(1) == b""
    assert not [thread for thread in threading.enumerate() if thread.name == "fault-server"]


def test_unknown_manners_are_refused() -> None:
    with pytest.raises(ValueError, match="no such manner"):
        FaultServer("sulking")
    with FaultServer() as server, pytest.raises(ValueError, match="tls=True"):
        server.behave("expired")


def test_a_taken_port_is_refused() -> None:
    with FaultServer() as server, pytest.raises(OSError, match="in use"):
        FaultServer(port=server.port)


def test_it_runs_as_a_program() -> None:
    command = [sys.executable, "-m", "tests.support.fault_server", "403"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        url = program.stdout.readline().strip()
        assert urllib3.request("POST", url, body=b"{}").status == 403
        program.terminate()
    assert program.returncode == 0
