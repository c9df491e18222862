"""What an operator can watch: numbers for Prometheus, and a line for each request."""

from __future__ import annotations

import http.client
import json
import os
import re
import select
import signal
import subprocess
import time
from contextlib import closing, suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.collector.databases import with_collector
from tests.collector.live import PROJECT, LiveCollector
from tests.support.collector import COMMAND, CollectorProcess, plain_environment
from tests.support.desk import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from migas.collector.collector import Collector
    from tests.collector.databases import Database
    from tests.collector.live import LiveServer, Reply

USER = "35ecdd23-f0b6-593a-8d5b-108982c1126d"


def numbers(text: bytes) -> dict[str, float]:
    """Every number by its name and labels, as in `migas_requests_total 200 /graphql`."""
    return {
        " ".join([sample.name, *(text for _, text in sorted(sample.labels.items()))]): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def ask(collector: LiveCollector, **headers: str) -> Reply:
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return collector.send("/metrics", b"", named, method="GET")


def test_requests_and_breadcrumbs_are_counted_by_what_became_of_them(
    collector: LiveCollector,
) -> None:
    collector.database.execute("ANALYZE")  # an estimate of nothing is soon old
    assert collector.rest().status == 202
    assert collector.rest(project="no/body").status == 400
    collector.add_project()
    collector.graphql("{nothing}")
    collector.send("/api/users/" + USER, b"", {}, method="DELETE")
    collector.send("/p/a/b", b"", {}, method="GET")
    for path in ("/wp-login.php", "/a/token/of/somebody"):
        collector.send(path, b"", {}, method="GET")
    reply = ask(collector)
    assert reply.headers["Content-Type"].startswith("text/plain; version=")
    found = numbers(reply.body)
    requests = {name: number for name, number in found.items() if "requests_total" in name}
    assert requests == {
        "migas_requests_total 202 /api/breadcrumb": 1,
        "migas_requests_total 400 /api/breadcrumb": 1,
        "migas_requests_total 200 /graphql": 1,
        "migas_requests_total errors /graphql": 1,
        "migas_requests_total 404 /api/users/{user_id}": 1,
        "migas_requests_total 303 /p/{owner}/{repo}": 1,
        "migas_requests_total 404 other": 2,
    }
    assert found["migas_breadcrumbs_total stored"] == 2
    assert found["migas_breadcrumbs_total refused"] == 1
    assert found["migas_breadcrumbs_total failed"] == 0
    assert found["migas_commit_seconds_count"] == 3
    assert found["migas_queue_breadcrumbs"] == 0
    assert (found["migas_database_up"], found["migas_database_rows"]) == (1, 2)
    assert found["migas_database_bytes"] > 10_000
    assert b"somebody" not in reply.body


def test_refusals_of_the_rate_limit_are_counted(sqlite: Database, live_server: LiveServer) -> None:
    with live_server.collector(sqlite, limit=2) as collector:
        assert [collector.rest().status for _ in range(3)][-1] == 429

        def is_counted() -> bool:
            found = numbers(live_server.metrics.text(None)[0])
            return found.get("migas_requests_total 429 /api/breadcrumb") == 1

        wait_until(is_counted)  # which an answer is when it has left


def test_what_a_database_does_not_take_is_counted(collector: LiveCollector) -> None:
    assert collector.rest(wait=True).status == 200
    collector.execute("ALTER TABLE crumbs RENAME TO gone")
    assert collector.rest(wait=True).status == 500
    found = numbers(ask(collector).body)
    assert found["migas_breadcrumbs_total failed"] == 1
    assert found["migas_queue_breadcrumbs"] == 0
    assert found["migas_database_up"] == 0
    assert "migas_database_rows" not in found


def test_they_are_told_to_this_machine_and_to_administrators_alone(
    sqlite: Database, live_server: LiveServer
) -> None:
    tokens: dict[str | None, str] = {}

    async def issue(collector: Collector) -> None:
        for project in (None, PROJECT):
            tokens[project] = await collector.tokens.issue(project)

    with live_server.collector(sqlite, prepare=issue) as collector:
        assert ask(collector).status == 200
        elsewhere = {"Host": "migas.example"}
        proxied = {"X_Forwarded_For": "192.0.2.1"}
        for stranger in (elsewhere, proxied):
            assert ask(collector, **stranger).status == 401
            with_token = stranger | {"Authorization": f"Bearer {tokens[PROJECT]}"}
            assert ask(collector, **with_token).status == 401
            with_token["Authorization"] = f"Bearer {tokens[None]}"
            assert ask(collector, **with_token).status == 200


@pytest.fixture
def registered(sqlite: Database) -> Database:
    async def register(collector: Collector) -> None:
        await collector.projects.register(["a/b"])

    with_collector(sqlite.url, register)
    return sqlite


def send(port: int, number: int) -> None:
    """Send breadcrumbs, each over a connection of its own: they go to any of the processes."""
    body = json.dumps({"project": "a/b", "project_version": "1.0"}).encode()
    for _ in range(number):
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
            connection.request(
                "POST", "/api/breadcrumb", body, {"Content-Type": "application/json"}
            )
            assert connection.getresponse().status == 202


def wait_for_sent(port: int, number: int) -> dict[str, float]:
    """What any of the processes tells when so many answers are counted: just after they are."""
    deadline = time.monotonic() + 30
    while True:
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
            connection.request("GET", "/metrics")
            found = numbers(connection.getresponse().read())
        if found.get("migas_requests_total 202 /api/breadcrumb") == number:
            return found
        assert time.monotonic() < deadline, found


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_several_processes_are_added_up_also_those_that_have_ended(registered: Database) -> None:
    collector = CollectorProcess(
        Path(registered.path),
        open_registration=False,
        arguments=["--workers", "3", "--rate-limit", "0"],
    )
    collector.start()
    try:
        send(collector.port, 40)
        found = wait_for_sent(collector.port, 40)
        assert found["migas_breadcrumbs_total stored"] == 40
        assert found["migas_queue_breadcrumbs"] == 0

        assert collector.process is not None
        children = Path(f"/proc/{collector.process.pid}/task/{collector.process.pid}/children")
        first = int(children.read_text().split()[0])
        os.kill(first, signal.SIGKILL)
        deadline = time.monotonic() + 30
        while len(set(children.read_text().split()) - {str(first)}) < 3:
            assert time.monotonic() < deadline, "the worker was not replaced"
            time.sleep(0.05)
        send(collector.port, 20)
        found = wait_for_sent(collector.port, 60)
        assert found["migas_breadcrumbs_total stored"] == 60
        assert collector.stop() == 0
    finally:
        collector.kill()


@pytest.fixture
def logged(registered: Database) -> Iterator[subprocess.Popen[str]]:
    """`migas serve --access-log`."""
    arguments = ("serve", "--db", registered.url, "--port", "0", "--access-log", "--json")
    with subprocess.Popen(
        [*COMMAND, *arguments], stdout=subprocess.PIPE, text=True, env=plain_environment()
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def lines_of(
    process: subprocess.Popen[str], port: int, *asked: tuple[str, ...]
) -> tuple[str, list[dict[str, Any]]]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        for method, path, *headers in asked:
            connection.request(method, path, headers=dict(header.split(": ") for header in headers))
            connection.getresponse().read()
    process.terminate()
    assert process.stdout is not None
    text = process.stdout.read()
    assert process.wait(30) == 0
    return text, [json.loads(line) for line in text.splitlines()]


def test_a_line_tells_of_each_request_and_of_nobody(logged: subprocess.Popen[str]) -> None:
    assert logged.stdout is not None
    port = int(re.findall(r":(\d+)", json.loads(logged.stdout.readline())["url"])[-1])
    secret = "migas_0123456789abcdef_" + "x" * 43
    text, lines = lines_of(
        logged,
        port,
        ("GET", "/healthz"),
        ("GET", f"/api/usage/a/b?token={secret}", f"Authorization: Bearer {secret}"),
        ("DELETE", f"/api/users/{USER}"),
        ("GET", f"/{secret}", "X-Forwarded-For: 192.0.2.1"),
        ("GET", "/openapi.json"),
    )
    seen = [(line["method"], line["path"], line["status"]) for line in lines]
    assert seen == [
        ("GET", "/healthz", 200),
        ("GET", "/api/usage/{project:path}", 401),
        ("DELETE", "/api/users/{user_id}", 404),
        ("GET", None, 404),
        ("GET", "/openapi.json", 200),
    ]
    keys = ["time", "method", "path", "status", "errors", "seconds", "bytes"]
    assert all(list(line) == keys for line in lines)
    assert datetime.fromisoformat(lines[0]["time"]).tzinfo is not None
    assert lines[0]["bytes"] == len('{"database":true}')
    for hidden in (secret, USER, "192.0.2.1", "127.0.0.1"):
        assert hidden not in text


def test_all_of_the_log_is_json(registered: Database) -> None:
    arguments = ("serve", "--db", registered.url, "--port", "0", "--access-log")
    with subprocess.Popen(
        [*COMMAND, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=plain_environment(),
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stderr is not None
            ready, _, _ = select.select([process.stdout, process.stderr], [], [], 60)
            assert ready == [process.stderr]
            greeting = process.stderr.readline()
            told = re.fullmatch(r"migas collector on http://\S+:(\d+) \(database .+\)\n", greeting)
            assert told, greeting
            _, lines = lines_of(process, int(told[1]), ("GET", "/healthz"))
        finally:
            process.kill()
    assert [line["path"] for line in lines] == ["/healthz"]


def test_nobody_waits_for_who_reads_the_log(logged: subprocess.Popen[str]) -> None:
    assert logged.stdout is not None
    port = int(re.findall(r":(\d+)", json.loads(logged.stdout.readline())["url"])[-1])
    requests = 1000  # of which a pipe holds half
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        for _ in range(requests):
            connection.request("GET", "/static/0/x")
            connection.getresponse().read()
    logged.terminate()
    with suppress(subprocess.TimeoutExpired):
        logged.wait(30)
    assert logged.returncode == 0
