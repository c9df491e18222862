"""Accidents under load: whatever was answered with success is there afterwards."""

from __future__ import annotations

import http.client
import json
import resource
import subprocess
import threading
import time
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from migas.collector.counts.rebuild import rebuild
from tests.collector.databases import Asker, Database, with_collector
from tests.support.collector import COMMAND, CollectorProcess, plain_environment
from tests.support.postgres import running_postgres

if TYPE_CHECKING:
    from collections.abc import Iterator

    from migas.collector.collector import Collector
    from migas.collector.counts.rebuild import Difference

SENDERS = 8


class Sender(threading.Thread):
    """Sends breadcrumbs of sessions of their own, whatever happens, until it is told to stop."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self._port = port
        self.successes: list[str] = []
        self.failures = 0
        self.stop = False

    def run(self) -> None:
        while not self.stop:
            try:
                with closing(http.client.HTTPConnection("127.0.0.1", self._port, 20)) as connection:
                    while not self.stop:
                        self._send(connection)
            except (OSError, http.client.HTTPException):
                self.failures += 1
                time.sleep(0.02)

    def _send(self, connection: http.client.HTTPConnection) -> None:
        session = str(uuid4())
        body = {
            "project": "a/b",
            "project_version": "1.0",
            "ctx": {"session_id": session, "user_id": session},
            "proc": {"status_desc": "x" * 1000},
        }
        headers = {"Content-Type": "application/json"}
        connection.request("POST", "/api/breadcrumb", json.dumps(body), headers)
        response = connection.getresponse()
        response.read()
        if response.status == 202:
            self.successes.append(session)
        else:
            assert response.status == 500, response.status
            self.failures += 1


@contextmanager
def sending(collector: CollectorProcess) -> Iterator[list[Sender]]:
    senders = [Sender(collector.port) for _ in range(SENDERS)]
    for sender in senders:
        sender.start()
    try:
        yield senders
    finally:
        for sender in senders:
            sender.stop = True
        for sender in senders:
            sender.join(30)


def successes(senders: list[Sender]) -> set[str]:
    return {session for sender in senders for session in sender.successes}


def wait_for(senders: list[Sender], number: int) -> None:
    """Wait until so many more breadcrumbs were answered with success."""
    wanted = len(successes(senders)) + number
    deadline = time.monotonic() + 60
    while len(successes(senders)) < wanted:
        assert time.monotonic() < deadline, "the collector stores nothing any more"
        time.sleep(0.02)


def assert_all_there(database: Database, senders: list[Sender]) -> None:
    """Each success is stored, and the counts are those of what is stored."""
    stored = {row["session_id"] for row in database.rows("SELECT session_id FROM crumbs")}
    sent = successes(senders)
    assert sent
    assert stored.issuperset(sent)
    found: list[Difference] = []

    async def work(collector: Collector) -> None:
        async with collector.connections.writing() as connection:
            found.append(await connection.run_sync(rebuild))

    with_collector(database.url, work)
    assert found[0].none
    assert found[0].sessions == len(stored)


@pytest.mark.slow
def test_a_killed_collector_has_lost_no_success(database: Database) -> None:
    collector = CollectorProcess(Path(), database_url=database.url)
    collector.start()
    try:
        with sending(collector) as senders:
            for _ in range(2):
                wait_for(senders, 100)
                collector.kill()
                collector.start()
            wait_for(senders, 20)
        assert collector.stop() == 0
    finally:
        collector.kill()
    assert sum(sender.failures for sender in senders)
    assert_all_there(database, senders)


@pytest.mark.slow
def test_a_killed_postgresql_has_lost_no_success() -> None:
    with running_postgres() as postgres, closing(Asker()) as asker:
        database = Database(postgres.new_database(), asker)
        collector = CollectorProcess(Path(), database_url=database.url)
        collector.start()
        try:
            with sending(collector) as senders:
                for _ in range(2):
                    wait_for(senders, 100)
                    postgres.kill()
                    time.sleep(0.5)
                    postgres.start()
                wait_for(senders, 100)
            assert collector.stop() == 0
        finally:
            collector.kill()
        assert sum(sender.failures for sender in senders)
        assert_all_there(database, senders)


@pytest.mark.slow
def test_a_full_disk_has_lost_no_success(tmp_path: Path) -> None:
    """A file may not grow beyond two megabytes: to SQLite that is a full disk."""
    database = Database(f"sqlite:///{tmp_path}/db.sqlite")
    limit = 2_000_000

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    process = subprocess.Popen(
        [*COMMAND, "serve", "--db", database.url, "--port", "0", "--open", "--rate-limit", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # a line for each batch
        text=True,
        env=plain_environment(),
        preexec_fn=limited,  # noqa: PLW1509  no thread of this test runs yet
    )
    with process:
        assert process.stdout is not None
        collector = CollectorProcess(tmp_path / "db.sqlite")
        collector.url = process.stdout.readline().split()[3]
        with sending(collector) as senders:
            deadline = time.monotonic() + 60
            while not any(sender.failures for sender in senders):
                assert time.monotonic() < deadline, "the disk does not fill"
                time.sleep(0.05)
            time.sleep(1)
        process.terminate()
        assert process.wait(30) == 0
    assert_all_there(database, senders)


@pytest.mark.slow
def test_two_workers_on_one_database_lose_and_double_nothing(database: Database) -> None:
    collector = CollectorProcess(
        Path(), database_url=database.url, arguments=["--workers", "2", "--rate-limit", "0"]
    )
    collector.start()
    try:
        with sending(collector) as senders:
            wait_for(senders, 500)
        assert collector.stop() == 0
    finally:
        collector.kill()
    assert sum(sender.failures for sender in senders) == 0
    assert_all_there(database, senders)
    assert database.value("SELECT count(*) FROM crumbs") == len(successes(senders))
