"""A collector over PostgreSQL behind PgBouncer in transaction mode.

There nothing of a session is its own but a transaction: the next one may be on a connection that
others have used, with their prepared statements and without one's own.
"""

from __future__ import annotations

import asyncio
import http.client
import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from migas.collector.database.engine import engine_url
from migas.collector.migrations.migrate import open_engine
from tests.collector.migrations.test_migrations import make_oldest, make_tables_at_once
from tests.support import pgbouncer
from tests.support.collector import CollectorProcess

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.collector.command_line import Run
    from tests.collector.databases import Database
    from tests.support.pgbouncer import PgBouncer
    from tests.support.postgres import Postgres

CLIENTS, BREADCRUMBS = 8, 25


@pytest.fixture(scope="module")
def pooler(postgres: Postgres) -> Iterator[PgBouncer]:
    if pgbouncer.COMMAND is None:
        pytest.skip(pgbouncer.MISSING)
    with pgbouncer.running_pgbouncer(postgres) as running:
        yield running


@pytest.fixture
def kind() -> str:
    return "postgresql"


def send(port: int, client: int) -> None:
    """Send breadcrumbs over one connection, and ask for what is counted in between."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        for number in range(BREADCRUMBS):
            session = {"session_id": f"0c9f5a5e-5a68-4b53-9d3c-{client:06}{number:06}"}
            crumb = {"project": "a/b", "project_version": "1.0", "ctx": session}
            question = {"query": '{get_usage(project: "a/b", start: "2026-01-01")}'}
            for path, body in (("/api/breadcrumb?wait=true", crumb), ("/graphql", question)):
                headers = {"Content-Type": "application/json"}
                connection.request("POST", path, json.dumps(body), headers)
                answer = connection.getresponse()
                said = answer.read()
                assert answer.status == 200, said
                assert b"errors" not in said


@pytest.mark.parametrize("workers", [1, pytest.param(4, marks=pytest.mark.slow)])
def test_it_serves_from_an_empty_database_on(
    workers: int, empty_database: Database, pooler: PgBouncer
) -> None:
    collector = CollectorProcess(
        Path(),
        database_url=pooler.url(empty_database.url),
        arguments=["--workers", str(workers), "--rate-limit", "100000"],
    )
    collector.start()
    try:
        with ThreadPoolExecutor(CLIENTS) as threads:
            list(threads.map(send, [collector.port] * CLIENTS, range(CLIENTS)))
        assert collector.stop() == 0
    finally:
        collector.kill()
    sent = CLIENTS * BREADCRUMBS
    assert empty_database.value("SELECT count(*) FROM crumbs") == sent
    assert empty_database.value("SELECT sum(sessions) FROM daily WHERE kind = 'outcome'") == sent


@pytest.mark.slow
def test_several_processes_bring_it_up_to_date_at_once(
    empty_database: Database, pooler: PgBouncer
) -> None:
    make_oldest(empty_database)
    make_tables_at_once(pooler.url(empty_database.url))
    assert empty_database.value("SELECT sum(sessions) FROM daily WHERE kind = 'outcome'") == 1


def test_its_commands_work_there(run: Run, database: Database, pooler: PgBouncer) -> None:
    make_some = "INSERT INTO crumbs (project, version, language, language_version, timestamp,"
    make_some += " status, is_ci) SELECT 'a/b', '1.0', 'python', '3.11.7', 86400, 'C', false"
    database.execute(f"{make_some} FROM generate_series(1, 3000)")
    url = pooler.url(database.url)
    for command in (["project", "add", "a/b"], ["db", "rebuild"], ["token", "issue", "a/b"]):
        assert run(*command, "--db", url).returncode == 0
    exported = run("db", "export", "--db", url)
    assert (exported.returncode, exported.stdout.count("\n")) == (0, 3001)


@pytest.mark.parametrize("pooled", [True, False])
def test_statements_are_prepared_where_they_can_be(
    pooled: bool, database: Database, request: pytest.FixtureRequest
) -> None:
    async def run() -> int:
        engine, _ = await open_engine(engine_url(url))
        async with engine.connect() as connection:
            named = await connection.exec_driver_sql("SELECT count(*) FROM pg_prepared_statements")
            number = int(named.scalar_one())
        await engine.dispose()
        return number

    url = database.url
    if pooled:
        url = request.getfixturevalue("pooler").url(url)
    assert (asyncio.run(run()) == 0) is pooled
