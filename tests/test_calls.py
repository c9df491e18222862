"""Explicit calls: always a dict of the promised shape, whatever comes in or back."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import select
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest

import migas
from migas import message
from migas.settings import values
from tests.support.answers import Answer, Request
from tests.support.collector import run_command
from tests.support.fault_server import FaultServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support.collector import CollectorProcess

PROJECT_SHAPE = {"bad_versions", "cached", "latest_version", "message", "success"}
CHECK_SHAPE = {"success", "flagged", "latest", "message"}
USAGE_SHAPE = {"success", "hits", "unique", "message"}
PROJECTS_SHAPE = {"success", "message", "projects"}

CALLS: dict[str, tuple[Callable[[], Any], set[str]]] = {
    "add_project": (lambda: migas.add_project("lab/tool", "1.0.0"), PROJECT_SHAPE),
    "add_breadcrumb": (
        lambda: migas.add_breadcrumb("lab/tool", "1.0.0", wait=True),
        {"success", "message"},
    ),
    "check_project": (lambda: migas.check_project("lab/tool", "1.0.0"), CHECK_SHAPE),
    "get_usage": (lambda: migas.get_usage("lab/tool", "2026-11-22"), USAGE_SHAPE),
    "get_projects": (migas.get_projects, PROJECTS_SHAPE),
}
every_call = pytest.mark.parametrize(("call", "shape"), CALLS.values(), ids=CALLS)

NOW = dt.datetime.now(dt.UTC)


@pytest.fixture
def collector(fresh: Path, shared_collector: CollectorProcess) -> CollectorProcess:
    """The shared collector, to which this process reports."""
    migas.setup(endpoint=shared_collector.url)
    return shared_collector


@pytest.fixture
def pointed(fresh: Path, server: FaultServer) -> FaultServer:
    """The fault server, to which this process reports."""
    migas.setup(endpoint=server.url, timeout=5)
    return server


# A server that answers


def release(collector: CollectorProcess, project: str, *arguments: str) -> None:
    """Tell the collector of a project's newest version."""
    migas.add_project(project, "1.0.0")
    database = f"sqlite:///{collector.database}"
    run_command("project", "release", project, *arguments, "--db", database)


@every_call
def test_an_answer_has_the_promised_shape(
    call: Callable[[], Any], shape: set[str], collector: CollectorProcess
) -> None:
    release(collector, "lab/tool", "1.2.0")
    answer = call()
    assert set(answer) == shape
    assert answer["success"] is True


def test_a_check_tells_the_newest_version_and_whether_this_one_is_flagged(
    collector: CollectorProcess,
) -> None:
    release(collector, "lab/new", "1.2.0", "--flag", "1.1.0")
    answer = migas.check_project("lab/new", "1.1.0")
    assert (answer["flagged"], answer["latest"]) == (True, "1.2.0")


def test_what_is_added_is_stored(collector: CollectorProcess) -> None:
    given = "00000000-0000-4000-8000-0000000000a1"
    migas.add_project("lab/tool", "1.2.0", session_id=given, status="F", error_desc="odd")
    row = next(crumb for crumb in collector.crumbs() if crumb["session_id"] == given)
    assert (row["version"], row["status"], row["error_desc"]) == ("1.2.0", "F", "odd")


def test_a_breadcrumb_that_is_waited_for_is_stored(collector: CollectorProcess) -> None:
    given = "00000000-0000-4000-8000-0000000000a2"
    answer = migas.add_breadcrumb("lab/tool", "1.2.0", wait=True, session_id=given, status="C")
    assert answer["success"] is True
    assert [crumb for crumb in collector.crumbs() if crumb["session_id"] == given]


def test_a_breadcrumb_that_is_not_waited_for_is_queued(
    collector: CollectorProcess, fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIGAS_DELIVERY", "spool")
    answer = migas.add_breadcrumb("lab/tool", "1.2.0", status="C")
    assert answer == {"success": True, "message": "The breadcrumb is queued."}
    assert len(list(fresh.glob("ready/*.json"))) == 1


def test_flush_sends_what_is_queued(
    collector: CollectorProcess, fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIGAS_DELIVERY", "spool")
    given = "00000000-0000-4000-8000-0000000000a3"
    migas.add_breadcrumb("lab/tool", "1.2.0", status="C", session_id=given)
    assert migas.flush(30) is True
    assert [crumb for crumb in collector.crumbs() if crumb["session_id"] == given]
    assert list(fresh.glob("ready/*.json")) == []


@pytest.mark.parametrize("timeout", ["soon", None, -1, float("nan")])
def test_flush_answers_whatever_it_is_given(timeout: Any, collector: CollectorProcess) -> None:
    assert migas.flush(timeout) in (True, False)


@pytest.mark.parametrize(
    "start",
    [
        str(NOW.date() - dt.timedelta(days=2)),
        NOW.date() - dt.timedelta(days=2),
        NOW - dt.timedelta(days=2),
        (NOW - dt.timedelta(days=2)).replace(tzinfo=None),
        (NOW - dt.timedelta(days=2)).strftime("%Y-%m-%dT%H:%M:%SZ"),
        (NOW - dt.timedelta(days=2)).isoformat(),
    ],
    ids=["text", "date", "datetime", "datetime without zone", "time as text", "isoformat"],
)
def test_usage_takes_dates_in_every_form(start: Any, collector: CollectorProcess) -> None:
    migas.add_project("lab/dated", "1.0.0")
    answer = migas.get_usage("lab/dated", start)
    assert answer["success"] is True
    assert answer["hits"] >= 1


def test_usage_ends_where_it_is_told(collector: CollectorProcess) -> None:
    migas.add_project("lab/dated", "1.0.0")
    answer = migas.get_usage("lab/dated", dt.date(2020, 1, 1), dt.date(2020, 2, 1), unique=True)
    assert answer["hits"] == 0


# Bad input


@pytest.mark.parametrize("start", ["yesterday", "2026-13-01", "", 7, None, "2026-11-22T25:00:00Z"])
def test_a_wrong_date_is_a_message(start: Any, collector: CollectorProcess) -> None:
    answer = migas.get_usage("lab/tool", start)
    assert set(answer) == USAGE_SHAPE
    assert answer["success"] is False
    assert repr(start) in answer["message"]


@pytest.mark.parametrize("project", ["tool", "", "/", "lab/..", "./tool", None, 7, b"lab/tool"])
@pytest.mark.parametrize("name", ["add_project", "add_breadcrumb", "check_project", "get_usage"])
def test_a_project_that_no_server_can_know_is_a_message(
    name: str, project: Any, collector: CollectorProcess
) -> None:
    answer = getattr(migas, name)(project, "2026-11-22" if name == "get_usage" else "1.0.0")
    assert answer["success"] is False
    assert repr(project) in answer["message"]


@pytest.mark.parametrize("name", ["add_project", "check_project"])
@pytest.mark.parametrize("version", [None, 1.0, ("1", "0")])
def test_a_version_that_is_no_text_is_a_message(
    name: str, version: Any, collector: CollectorProcess
) -> None:
    answer = getattr(migas, name)("lab/tool", version)
    assert answer["success"] is False
    assert "version" in answer["message"]


def test_a_version_that_is_none_is_a_message(collector: CollectorProcess) -> None:
    answer = migas.check_project("lab/tool", "newest please")
    assert set(answer) == CHECK_SHAPE
    assert answer["success"] is False
    assert "'newest please'" in answer["message"]


def test_a_version_that_add_project_refuses_is_stored_all_the_same(
    collector: CollectorProcess,
) -> None:
    given = "00000000-0000-4000-8000-0000000000a4"
    answer = migas.add_project("lab/tool", "1.2.x-dirty", session_id=given)
    assert set(answer) == PROJECT_SHAPE
    assert answer["success"] is True
    row = next(crumb for crumb in collector.crumbs() if crumb["session_id"] == given)
    assert row["version"] == "1.2.x-dirty"


def test_an_unknown_project_is_a_message(fresh: Path, pointed: FaultServer) -> None:
    refusal = Answer(200, {"data": {"add_project": {"success": False}}})
    pointed.behave(lambda _request: refusal)
    answer = migas.add_project("lab/unknown", "1.0.0")
    assert set(answer) == PROJECT_SHAPE
    assert answer["success"] is False
    assert "'lab/unknown'" in answer["message"]


def test_a_call_before_setup_says_so(fresh: Path) -> None:
    answer = migas.add_project("lab/tool", "1.0.0")
    assert set(answer) == {*PROJECT_SHAPE, "errors"}
    assert answer["message"] == "Nothing is sent: setup() was not called."
    assert answer["errors"] == [{"message": answer["message"]}]


@every_call
def test_a_call_that_may_not_send_answers_as_released_clients_do(
    call: Callable[[], Any], shape: set[str], pointed: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIGAS_OPTOUT", "1")
    answer = call()
    assert answer["success"] is False
    assert "MIGAS_OPTOUT" in answer["errors"][0]["message"]
    assert pointed.connections == 0


# Servers that are none, or not well


TROUBLES = (
    "refused",
    "silent",
    "portal-200",
    "invalid-json",
    "null-data",
    "dropped",
    "drip",
    "endless",
    "reset",
    "not-http",
    "500",
    "portal",
    "403",
    "429",
    "list",
    "string",
    "redirect-loop",
    "redirect-elsewhere",
)


@pytest.mark.parametrize(
    ("name", "manner"),
    [
        (name, manner)
        for name in CALLS
        for manner in (TROUBLES if name == "add_project" else TROUBLES[:5])
    ],
)
def test_a_server_in_trouble_is_a_message_in_time(
    name: str,
    manner: str,
    pointed: FaultServer,
    capfd: pytest.CaptureFixture[str],
) -> None:
    values.change(timeout=0.15)
    pointed.behave(manner)
    call, shape = CALLS[name]
    answer = call()
    assert set(answer) == shape
    assert answer["success"] is False
    assert answer["message"]
    assert capfd.readouterr() == ("", "")


def test_a_name_that_does_not_resolve_is_a_message(fresh: Path) -> None:
    migas.setup(endpoint="http://nowhere.invalid", timeout=1)
    answer = migas.check_project("lab/tool", "1.0.0")
    assert answer["success"] is False
    assert answer["message"]


def test_a_timeout_of_zero_waits_for_nothing(pointed: FaultServer) -> None:
    values.change(timeout=0)
    assert migas.add_project("lab/tool", "1.0.0")["success"] is False
    assert pointed.connections == 0


def test_add_project_falls_back_to_rest_for_the_server_s_own_errors(pointed: FaultServer) -> None:
    pointed.behave("graphql-errors")
    assert migas.add_project("lab/tool", "1.0.0")["success"] is True
    assert [request.path for request in pointed.requests] == [
        "/graphql",
        "/api/breadcrumb?wait=true",
    ]
    assert pointed.breadcrumbs[0]["project"] == "lab/tool"


def test_no_redirect_is_followed_to_another_host(pointed: FaultServer) -> None:
    with FaultServer() as elsewhere:
        target = Answer(307, "", headers=(("Location", f"{elsewhere.url}/graphql"),))
        pointed.behave(lambda _request: target)
        assert migas.add_project("lab/tool", "1.0.0")["success"] is False
        assert elsewhere.connections == 0


def test_an_answer_over_64_kib_is_a_message(pointed: FaultServer) -> None:
    long = Answer(200, {"data": {"get_projects": ["lab/tool" * 10_000]}})
    pointed.behave(lambda _request: long)
    answer = migas.get_projects()
    assert answer["success"] is False
    assert "64 KiB" in answer["message"]


def test_an_answer_without_an_end_is_given_up_whatever_it_announces(pointed: FaultServer) -> None:
    pointed.behave("endless")
    answer = migas.get_projects()
    assert answer["success"] is False
    assert "64 KiB" in answer["message"]


@pytest.mark.parametrize(
    "told",
    [
        {"success": "yes"},
        {"success": 1},
        [],
        7,
        {"success": True, "hits": "many", "unique": "x", "message": 4},
    ],
)
def test_an_answer_of_another_shape_never_reaches_the_program(
    told: object, pointed: FaultServer
) -> None:
    pointed.behave(lambda _request: Answer(200, {"data": {"get_usage": told}}))
    answer = migas.get_usage("lab/tool", "2026-11-22")
    assert set(answer) == USAGE_SHAPE
    assert isinstance(answer["success"], bool)
    assert isinstance(answer["hits"], int)
    assert isinstance(answer["message"], str)


def test_control_characters_in_an_answer_are_taken_out(pointed: FaultServer) -> None:
    told = {"success": True, "flagged": True, "latest": "2\x1b[2J", "message": "a\x07\nb\u202e"}
    pointed.behave(lambda _request: Answer(200, {"data": {"check_project": told}}))
    answer = migas.check_project("lab/tool", "1.0.0")
    assert answer["latest"] == "2[2J"
    assert answer["message"] == "a\nb"


# What is sent


def test_requests_share_one_connection_and_name_the_client(pointed: FaultServer) -> None:
    migas.add_project("lab/tool", "1.0.0")
    migas.check_project("lab/tool", "1.0.0")
    assert pointed.connections == 1
    assert {request.headers["user-agent"] for request in pointed.requests} == {
        f"migas/{migas.__version__}"
    }


def test_values_travel_as_variables(pointed: FaultServer) -> None:
    migas.add_project("lab/tool", "1.0.0", status_desc='"}) { evil }')
    message = json.loads(pointed.requests[0].body)
    assert message["variables"]["p"]["status_desc"] == '"}) { evil }'
    assert "evil" not in message["query"]


@pytest.mark.parametrize("name", ["add_project", "add_breadcrumb"])
def test_a_request_is_within_the_wire_s_size(name: str, pointed: FaultServer) -> None:
    options = {"wait": True} if name == "add_breadcrumb" else {}
    getattr(migas, name)("lab/tool", "1.0.0", error_desc="é\n" * 9000, **options)
    assert len(pointed.requests[0].body) <= message.MAX_REQUEST_BYTES
    assert len(pointed.breadcrumbs) == 1


def test_a_project_longer_than_a_request_is_a_message(pointed: FaultServer) -> None:
    answer = migas.check_project("lab/" + "x" * 9000, "1.0.0")
    assert answer["success"] is False
    assert pointed.connections == 0


LIES: dict[str, dict[str, Any]] = {
    "user_id no uuid": {"user_id": "me"},
    "session_id empty": {"session_id": ""},
    "NUL": {"error_desc": "a\0b"},
    "lone surrogate": {"status_desc": "a\ud800b"},
    "long language": {"language": "x" * 33},
    "long platform": {"platform": "x" * 65},
    "unknown container": {"container": "lxc"},
    "null": {"platform": None, "status": None, "is_ci": None, "container": None},
    "unknown field": {"colour": "red"},
    "wrong types": {"is_ci": "yes", "status_desc": 7, "error_type": KeyError(1)},
}


@pytest.fixture(scope="module")
def released(shared_collector: CollectorProcess) -> str:
    """A project of which the collector knows a release, so that it answers with all it has."""
    project = "lies/tool"
    for command in (("add", project), ("release", project, "1.2.0")):
        run_command("project", *command, "--db", f"sqlite:///{shared_collector.database}")
    return project


@pytest.mark.parametrize("name", LIES)
def test_what_a_server_would_lose_in_silence_is_repaired_and_stored(
    name: str, released: str, collector: CollectorProcess
) -> None:
    def stored() -> int:
        return sum(crumb["project"] == released for crumb in collector.crumbs())

    before = stored()
    assert migas.add_project(released, "1.0.0", **LIES[name])["success"] is True
    answer = migas.add_breadcrumb(released, "2.0.0", wait=True, **LIES[name])
    assert answer["success"] is True
    assert stored() == before + 2


@pytest.mark.parametrize("status", ["mad", "", 7])
def test_an_unknown_status_is_an_error_and_no_running_one(
    status: object, pointed: FaultServer
) -> None:
    for answer in (
        migas.add_project("lab/tool", "1.0.0", status=status),
        migas.add_breadcrumb("lab/tool", "1.0.0", status=status),
        migas.add_breadcrumb("lab/tool", "1.0.0", wait=True, status=status),
    ):
        assert answer["success"] is False
        assert answer["message"] == (
            f"The status {str(status)!r} is not known; it must be R, C, F or S."
        )
    assert pointed.requests == []


@pytest.mark.parametrize(
    ("project", "latest"), [("lab/unreleased", "unknown"), ("lab/private", "forbidden")]
)
def test_a_project_without_a_release_is_stored_and_its_answer_says_so(
    project: str, latest: str, pointed: FaultServer
) -> None:
    answer = migas.add_project(project, "1.0.0", status="C")
    assert (answer["success"], answer["latest_version"]) == (False, latest)
    assert answer["message"] == (
        f"The breadcrumb is stored; no newest version of {project!r} is known."
    )
    assert [crumb["project"] for crumb in pointed.breadcrumbs] == [project]


def test_a_project_that_is_not_registered_is_told(pointed: FaultServer) -> None:
    answer = migas.add_project("no/such", "1.0.0", status="C")
    assert answer["success"] is False
    assert answer["message"] == "The server does not know the project 'no/such'."
    assert pointed.breadcrumbs == []


@pytest.mark.parametrize("project", ["lab/unreleased", "lab/private", "lab/tool"])
def test_a_session_that_waits_is_stored_once(project: str, pointed: FaultServer) -> None:
    with migas.session(project, "1.0.0", wait=True) as run:
        pass
    assert run.response is not None
    migas.flush(20)
    assert [crumb["project"] for crumb in pointed.breadcrumbs] == [project]


def test_a_session_that_waits_tells_why_it_was_refused(
    pointed: FaultServer,
) -> None:
    with migas.session("no/such", "1.0.0", wait=True) as run:
        pass
    assert run.response is not None
    assert run.response["message"] == "The server does not know the project 'no/such'."


def test_a_text_with_a_secret_is_redacted_before_it_leaves(pointed: FaultServer) -> None:
    migas.add_project("lab/tool", "1.0.0", error_desc="no /home/ada/secret.txt")
    assert b"ada" not in pointed.requests[0].body


# Ways to the server


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


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy and no certificates but those that a test names."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)


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


def test_calls_of_many_threads_are_answered(pointed: FaultServer) -> None:
    answers: list[Any] = []
    threads = [
        threading.Thread(target=lambda: answers.append(migas.add_project("lab/tool", "1.0.0")))
        for _number in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [answer["success"] for answer in answers] == [True] * 12


def test_a_request_names_no_encoding_that_could_swell(pointed: FaultServer) -> None:
    migas.add_project("lab/tool", "1.0.0")
    request: Request = pointed.requests[0]
    assert request.headers.get("accept-encoding", "identity") == "identity"


LEAVE_ONE = {"add_project", "add_breadcrumb"}


@pytest.mark.parametrize("name", CALLS)
def test_under_log_a_call_prints_its_breadcrumb_and_opens_no_connection(
    name: str,
    pointed: FaultServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MIGAS_DELIVERY", "log")
    call, shape = CALLS[name]
    answer = call()
    assert (set(answer), answer["success"]) == (shape, False)
    assert answer["message"] == "The delivery is 'log': nothing is sent."
    assert ("migas would send" in capsys.readouterr().err) is (name in LEAVE_ONE)
    assert not migas.flush(0.5)
    assert pointed.connections == 0


@pytest.mark.parametrize("name", CALLS)
def test_under_spool_a_call_keeps_its_breadcrumb_and_opens_no_connection(
    name: str, pointed: FaultServer, fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIGAS_DELIVERY", "spool")
    call, shape = CALLS[name]
    answer = call()
    assert (set(answer), answer["success"]) == (shape, name == "add_breadcrumb")
    assert len(list(fresh.glob("**/ready/*.json"))) == (name in LEAVE_ONE)
    assert pointed.connections == 0
