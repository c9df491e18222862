"""What an intruder gets: an answer of the usual kind, and nothing in the database."""

from __future__ import annotations

import json
import re
import socket
import time
from contextlib import suppress
from typing import TYPE_CHECKING, cast

import pytest
from graphql import build_client_schema, get_introspection_query

from migas.collector.http import documents
from tests.collector.live import ADD_PROJECT, LiveCollector, a_breadcrumb
from tests.support.collector import plain_environment, running_collector

if TYPE_CHECKING:
    from tests.collector.databases import Database

INLINE = (
    'add_project(p:{project:"nipreps/migas-py",project_version:"1",'
    'language:"python",language_version:"3"})'
)


def bomb(levels: int) -> str:
    """A document of so many fragments that each spread the next one twice."""
    spread = (f"fragment f{n} on Query{{...f{n + 1} ...f{n + 1}}}" for n in range(levels))
    return "{...f0}" + "".join(spread) + f"fragment f{levels} on Query{{get_projects}}"


@pytest.fixture(params=["sqlite"])
def kind(request: pytest.FixtureRequest) -> str:
    """Nearly all of this is refused before it gets to a database: one kind will do."""
    chosen: str = request.param
    return chosen


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"\xff\xfe", b"[" * 2500, b'{"a":' * 400, b'{"query": "\xc3\x28"}', b"nul"],
    ids=["empty", "open", "bytes", "deep list", "deep object", "no utf-8", "no json"],
)
def test_a_body_that_is_no_json_is_400(body: bytes, collector: LiveCollector) -> None:
    reply = collector.send("/graphql", body)
    assert (reply.status, reply.body) == (400, b"Unable to parse request body as JSON")
    assert 400 <= collector.send("/api/breadcrumb", body).status < 500


@pytest.mark.parametrize(
    "body",
    [
        b"5",
        b"null",
        b'"query"',
        b"[]",
        b"[{}]",
        b"{}",
        b'{"query": 5}',
        b'{"query": null}',
        b'{"query": ["{get_projects}"]}',
        b'{"query": "{get_projects}", "variables": 5}',
        b'{"query": "{get_projects}", "variables": [1]}',
        b'{"query": "{get_projects}", "variables": "{}"}',
        b'{"query": "{get_projects}", "operationName": 5}',
        b'{"query": "{get_projects}", "operationName": "Nothing"}',
        b'{"query": "{get_projects}", "operationName": "\\ud83d"}',
        b'{"query": "{get_projects}", "operationName": [{}]}',
        b'{"query": "{get_projects}", "extensions": 5}',
        b'{"query": ""}',
        b'{"query": "\\ud83d"}',
        b'{"query": "query($a:Int!){get_projects}", "variables": {"a": 1e999}}',
        b'{"query": "query($a:Int!){get_projects}", "variables": {"a": NaN}}',
    ],
)
def test_json_of_the_wrong_form_is_answered(body: bytes, collector: LiveCollector) -> None:
    reply = collector.send("/graphql", body)
    assert reply.status in {200, 400}, reply
    assert reply.headers["X-Backend-Server"].startswith("migas@")
    assert 400 <= collector.send("/api/breadcrumb", body).status < 500


@pytest.mark.seconds(10)
@pytest.mark.parametrize(
    "query",
    [
        "{" + "a{" * 1200,
        "{get_projects" + "{a" * 100 + "}" * 101,
        "mutation{" + " ".join(f"a{n}:{INLINE}" for n in range(11)) + "}",
        "{" + "get_projects " * 160 + "}" + "#" * 10,
        "query($a:" + "[" * 1100 + "String" + "]" * 1100 + "){get_projects}",
        "{get_usage(project:" + "[" * 1000 + "]" * 1000 + ",start:5)}",
        "{...a} fragment a on Query{...b} fragment b on Query{...a}",
        "{__schema{types{fields{type{fields{type{fields{type{fields{name}}}}}}}}}}",
        "subscription{get_projects}",
        bomb(45),
        "{__schema{types{...f0}}}"
        + "".join(
            f"fragment f{n} on __Type{{ofType{{...f{n + 1}}}a:ofType{{...f{n + 1}}}}}"
            for n in range(24)
        )
        + "fragment f24 on __Type{name}",
    ],
    ids=[
        "unclosed",
        "nested",
        "aliases",
        "repeated",
        "list types",
        "list values",
        "circular",
        "introspection",
        "subscription",
        "fragment bomb",
        "fragment bomb of fields",
    ],
)
def test_an_unreasonable_document_is_answered_at_once(query: str, collector: LiveCollector) -> None:
    reply = collector.send("/graphql", json.dumps({"query": query}).encode())
    assert reply.status in {200, 400, 413}
    assert collector.crumbs() == []


@pytest.mark.seconds(10)
def test_what_fragments_expand_to_is_counted(collector: LiveCollector) -> None:
    (error,) = collector.graphql(bomb(12))["errors"]
    assert re.fullmatch("[0-9]+ selections found. Allowed: 1000", error["message"])


def test_a_circular_fragment_is_named(collector: LiveCollector) -> None:
    answer = collector.graphql("{...a} fragment a on Query{...b} fragment b on Query{...a}")
    assert answer["errors"][0]["message"] == "Cannot spread fragment 'a' within itself via 'b'."


def test_an_unknown_fragment_is_named(collector: LiveCollector) -> None:
    answer = collector.graphql("{...F}")
    assert answer["errors"] == [
        {"message": "Unknown fragment 'F'.", "locations": [{"line": 1, "column": 5}]}
    ]


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("query Q{" + "a{" * 9 + "b" + "}" * 10, "'Q' exceeds maximum operation depth of 8"),
        ("{" + "".join(f"a{n}:get_projects " for n in range(11)) + "}", "11 aliases found."),
        (
            "{a:get_projects ...f} fragment f on Query{"
            + "".join(f"a{n}:get_projects " for n in range(10))
            + "}",
            "11 aliases found.",
        ),
        ("{a:get_projects b:get_projects}", "2 fields that list everything found. Allowed: 1"),
        (
            "{__schema{types{name}} ...f} fragment f on Query{__type(name: 5){name}}",
            "2 fields that",
        ),
        ("{" + "nix " * 480 + "}", "480 fields of one name found. Allowed: 30"),
        ("{" + "a " * 500 + "}", "more than 500 tokens"),
    ],
)
def test_a_limit_is_named(query: str, problem: str, collector: LiveCollector) -> None:
    (error,) = collector.graphql(query)["errors"]
    assert problem in error["message"]


@pytest.mark.parametrize(
    "query",
    [
        "mutation{add_project(p:{" + " ".join(f"k{n}:1" for n in range(150)) + "})}",
        "{" + " ".join(f"get_project{n}" for n in range(150)) + "}",
        "{get_projects " + "@skip(if:1)" * 60 + "}",
    ],
)
def test_no_document_has_more_than_a_few_of_its_mistakes_told(
    query: str, collector: LiveCollector
) -> None:
    answer = collector.graphql(query)
    assert answer["data"] is None
    assert len(answer["errors"]) == documents.MAX_ERRORS + 1
    assert answer["errors"][-1]["message"].startswith("Too many validation errors")


def test_introspection_is_within_the_limits(collector: LiveCollector) -> None:
    answer = collector.graphql(get_introspection_query(descriptions=False))
    assert "errors" not in answer
    assert build_client_schema(answer["data"]).query_type is not None


def test_only_the_last_documents_are_remembered(collector: LiveCollector) -> None:
    for number in range(100):
        assert collector.graphql(f"query q{number}{{get_projects}}")["data"]
    assert documents.read.cache_info().currsize <= 64


def test_a_client_learns_of_its_mistakes_without_assertions_too() -> None:
    """`python -O` leaves assertions out, so nothing may depend on them."""
    queries = ["mutation{" + INLINE + "}", "fragment F on Query{a}", "type A{b:Int}", "{...F}"]
    environment = plain_environment() | {"PYTHONOPTIMIZE": "1"}
    with running_collector(environment=environment) as running:
        for query in queries:
            message = {"query": query, "variables": {"p": a_breadcrumb()}}
            reply = LiveCollector(running.port, cast("Database", None)).send(
                "/graphql", json.dumps(message).encode()
            )
            assert reply.status in {200, 400}, (query, reply)


@pytest.mark.parametrize(
    "value", [b"NaN", b"1e999", b'"\\ud83d"', b"[NaN]", b'{"\\ud83d": 1}', b"9" * 2000]
)
def test_a_value_that_json_cannot_repeat_is_422(value: bytes, collector: LiveCollector) -> None:
    body = b'{"project": "nipreps/migas-py", "project_version": ' + value + b', "language": 5}'
    assert collector.send("/api/breadcrumb", body).status == 422


@pytest.mark.parametrize("path", ["/graphql", "/graphql/", "/api/breadcrumb", "/nowhere"])
def test_a_body_over_the_limit_is_413_however_it_comes(path: str, collector: LiveCollector) -> None:
    assert collector.send(path, b" " * 2501).status == 413
    assert collector.send(path, b" " * 2500).status != 413

    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    chunks = b"".join(b"3e8\r\n" + b" " * 1000 + b"\r\n" for _ in range(3)) + b"0\r\n\r\n"
    assert talk(collector, head + chunks).startswith(b"HTTP/1.1 413 ")


def test_a_body_announced_over_the_limit_is_refused_unread(collector: LiveCollector) -> None:
    head = b"POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000000\r\n\r\n"
    assert talk(collector, head).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(
    "begun",
    [
        b"GET /",
        b"GET /healthz HTTP/1.1\r\nX: ",
        b"GET /healthz HTTP/1.1\r\n",
        b"POST /graphql HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: ",
        b"",
    ],
    ids=["path", "header", "headers", "trailer", "empty lines"],
)
def test_whoever_says_too_much_is_hung_up_on(begun: bytes, collector: LiveCollector) -> None:
    more = {b"GET /healthz HTTP/1.1\r\n": b"a: b\r\n" * 200, b"": b"\r\n" * 500}
    said = more.get(begun, b"x" * 1000)
    sent = 0
    with (
        socket.create_connection(("127.0.0.1", collector.port), timeout=20) as connection,
        suppress(ConnectionError),
    ):
        connection.sendall(begun)
        while sent < 50_000_000:
            connection.sendall(said)
            sent += len(said)
    assert sent < 50_000_000


def test_too_large_a_head_is_431(collector: LiveCollector) -> None:
    reply = collector.send("/healthz", b"", {"X": "x" * 100_000}, "GET")
    assert reply.status == 431
    assert collector.send("/healthz", b"", {"X": "x" * 15_000}, "GET").status == 200


def test_many_requests_at_once_are_not_too_large(collector: LiveCollector) -> None:
    number = 5000
    asked = b"GET /nowhere HTTP/1.1\r\nHost: x\r\n"
    answers = bytearray()
    with socket.create_connection(("127.0.0.1", collector.port), timeout=20) as connection:
        connection.sendall((asked + b"\r\n") * (number - 1) + asked + b"Connection: close\r\n\r\n")
        while chunk := connection.recv(1 << 16):
            answers += chunk
    assert answers.count(b"HTTP/1.1 404") == number


@pytest.mark.parametrize("said", [b"nonsense\r\n\r\n", b"Upgrade: h2c\r\nConnection: Upgrade\r\n"])
def test_no_stranger_writes_into_the_log(
    said: bytes, collector: LiveCollector, caplog: pytest.LogCaptureFixture
) -> None:
    request = b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + said + b"\r\n"
    with socket.create_connection(("127.0.0.1", collector.port), timeout=20) as connection:
        connection.sendall(request)
        answer = b""
        while chunk := connection.recv(1 << 16):
            answer += chunk
    assert answer.startswith(b"HTTP/1.1 400" if b"nonsense" in said else b"HTTP/1.1 200")
    assert caplog.records == []


def test_a_compressed_body_is_refused(collector: LiveCollector) -> None:
    reply = collector.send("/api/breadcrumb", b"\x1f\x8b", {"Content-Encoding": "gzip"})
    assert reply.status == 415


@pytest.mark.parametrize(
    "text", ["'; DROP TABLE crumbs; --", '" OR 1=1 --', "%s %(a)s :a ? $1", "\x1b[31m<script>"]
)
def test_text_is_stored_as_it_came(text: str, collector: LiveCollector) -> None:
    collector.add_project(status_desc=text, error_type=text, error_desc=text, language=text)
    (crumb,) = collector.crumbs()
    assert {crumb[f] for f in ("status_desc", "error_type", "error_desc", "language")} == {text}


@pytest.mark.parametrize("name", ["a/\0", "a/\ud83d", "a/" + "b" * 1000, "' OR 1=1 --/a"])
def test_a_question_about_an_impossible_project_is_answered(
    name: str, collector: LiveCollector, caplog: pytest.LogCaptureFixture
) -> None:
    check = 'query($p:String!){check_project(project:$p,project_version:"1"){success}}'
    usage = 'query($p:String!){get_usage(project:$p,start:"2026-01-01")}'
    assert collector.graphql(check, p=name)["data"]["check_project"] == {"success": False}
    assert collector.graphql(usage, p=name)["data"]["get_usage"]["success"] is False
    assert caplog.records == []


@pytest.fixture
def broken(collector: LiveCollector) -> LiveCollector:
    """A collector whose database fails at every question."""
    for table in ("crumbs", "projects", "releases"):
        collector.execute(f"DROP TABLE {table}")
    return collector


def test_an_error_of_the_database_stays_inside(
    broken: LiveCollector, caplog: pytest.LogCaptureFixture
) -> None:
    for query in ("{get_projects}", "mutation{" + INLINE + "}"):
        answer = broken.graphql(query)
        assert answer["data"] is None
        assert answer["errors"][0]["message"] in {"Internal error.", "Error during ingestion."}
        assert "sql" not in str(answer).lower()
    assert "no such table" in caplog.text or "does not exist" in caplog.text


@pytest.mark.parametrize("wait", [False, True])
def test_a_breadcrumb_that_was_not_committed_is_never_a_success(
    wait: bool, broken: LiveCollector
) -> None:
    reply = broken.rest(wait=wait)
    assert (reply.status, reply.json()) == (
        500,
        {"success": False, "message": "Error during ingestion."},
    )


def test_a_crash_is_answered_with_the_servers_signature(
    collector: LiveCollector, caplog: pytest.LogCaptureFixture
) -> None:
    collector.execute("DROP TABLE projects")
    reply = collector.rest()
    assert reply.status == 500
    assert reply.headers["X-Backend-Server"].startswith("migas@")


@pytest.mark.parametrize("path", ["/graphql", "/api/breadcrumb"])
def test_whoever_hangs_up_after_sending_is_stored_all_the_same(
    path: str, collector: LiveCollector
) -> None:
    message: object = {"query": ADD_PROJECT, "variables": {"p": a_breadcrumb()}}
    body = json.dumps(message if path == "/graphql" else a_breadcrumb()).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", collector.port)) as connection:
            connection.sendall(head.encode() + body)

    deadline = time.monotonic() + 10
    while len(collector.crumbs()) < 20:
        assert time.monotonic() < deadline, len(collector.crumbs())
        time.sleep(0.02)


def talk(collector: LiveCollector, request: bytes) -> bytes:
    """Send bytes and read the beginning of what comes back."""
    with socket.create_connection(("127.0.0.1", collector.port), timeout=10) as connection:
        connection.sendall(request)
        return connection.recv(1000)


def test_a_collector_that_runs_logs_no_request_that_makes_no_sense(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with (
        running_collector(environment=plain_environment()) as running,
        socket.create_connection(("127.0.0.1", running.port), timeout=30) as client,
    ):
        client.sendall(b"nonsense\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 400")
    assert "Invalid HTTP request" not in capfd.readouterr().err
