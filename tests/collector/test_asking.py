"""Questions to a database: the same answer in either way of asking, and many of them at a time."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from sqlalchemy import func, make_url, not_, or_, select, text

from migas.collector.collector import Collector
from migas.collector.database.idle import TRUSTED_SECONDS
from migas.collector.database.tables import crumbs, projects
from migas.collector.database.value_lists import is_one_of
from migas.message import MAX_VERSION_CHARS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.collector.databases import Database, Databases
    from tests.support.postgres import Postgres

TEXTS = ('say "no"', "a\nb\tc\\d", "ünïcode \U0001f98a", "\u2028 \x7f", "[1, null]", "")


def test_an_answer_of_many_rows_is_that_of_few(database: Database) -> None:
    async def scenario() -> None:
        async with Collector.open(database.url) as collector:
            await collector.projects.register(["a/b"])
            async with collector.connections.writing() as connection:
                for number, said in enumerate(TEXTS):
                    row = _crumb(error_desc=said, duration=number / 4, digest=2**62 + number)
                    await connection.execute(crumbs.insert(), [row])
            columns = (crumbs.c.error_desc, crumbs.c.duration, crumbs.c.digest, crumbs.c.user_id)
            query = select(*columns, func.count()).group_by(*columns).order_by(crumbs.c.digest)
            rows = await collector.connections.rows(query)
            many = await collector.connections.many(query)
            assert [tuple(row) for row in many] == [tuple(row) for row in rows]
            assert [row[0] for row in many] == list(TEXTS)
            assert await collector.connections.many(query.where(crumbs.c.project == "c/d")) == []

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (["1.0", "3.0"], {1, 3}),
        (["2.0"], {2}),
        ([], set()),
        # Cut to what a column holds, the first of them would be a version that there is.
        (["1" * MAX_VERSION_CHARS + "0", "nothing", "'); --", '"1.0"'], set()),
    ],
)
def test_rows_with_one_of_some_texts(database: Database, asked: list[str], found: set[int]) -> None:
    versions = ("1.0", "2.0", "3.0", "1" * MAX_VERSION_CHARS)

    async def scenario() -> None:
        async with Collector.open(database.url) as collector:
            await collector.projects.register(["a/b"])
            async with collector.connections.writing() as connection:
                for number, version in enumerate(versions, 1):
                    row = _crumb(version=version, digest=number)
                    await connection.execute(crumbs.insert(), [row])
            query = select(crumbs.c.digest)
            named = query.where(is_one_of(crumbs.c.version, "versions"))
            for ask in (collector.connections.rows, collector.connections.many):
                given = await ask(query.where(is_one_of(crumbs.c.version, asked)))
                assert {number for (number,) in given} == found
                given = await ask(named, {"versions": asked})
                assert {number for (number,) in given} == found

    asyncio.run(scenario())


def test_numbers_may_be_as_many_and_as_large_as_they_like(database: Database) -> None:
    numbers = range(2**63 - 2000, 2**63)

    async def scenario() -> None:
        async with Collector.open(database.url) as collector:
            await collector.projects.register(["a/b"])
            async with collector.connections.writing() as connection:
                rows = [_crumb(digest=number) for number in (5, numbers[0], numbers[-1])]
                await connection.execute(crumbs.insert(), rows)
            ask = collector.connections.rows
            those = or_(crumbs.c.version == "9", is_one_of(crumbs.c.digest, numbers))
            assert len(await ask(select(crumbs).where(those))) == 2
            assert len(await ask(select(crumbs).where(not_(those)))) == 1

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("dialect", "words"),
    [
        # With `= 1` behind it SQLite would read all rows.
        ("sqlite", "crumbs.idx IN (__[POSTCOMPILE_idx_1])"),
        ("postgresql+asyncpg", "crumbs.idx = ANY ($1::BIGINT[])"),
    ],
)
def test_one_of_some_values_is_asked_for_in_words_that_lead_to_an_index(
    dialect: str, words: str
) -> None:
    query = select(crumbs.c.idx).where(is_one_of(crumbs.c.idx, [1, 2]))
    compiled = query.compile(dialect=make_url(f"{dialect}://").get_dialect()())
    assert str(compiled).rpartition("WHERE ")[2] == words


def test_more_questions_may_be_asked_than_there_are_connections(database: Database) -> None:
    async def scenario() -> None:
        async with Collector.open(database.url) as collector:
            await collector.projects.register(["a/b", "c/d"])
            query = select(projects.c.project)
            asked = [
                ask(query)
                for ask in (collector.connections.rows, collector.connections.many)
                for _ in range(30)
            ]
            answers = await asyncio.gather(*asked)
            assert {frozenset(row[0] for row in rows) for rows in answers} == {
                frozenset({"a/b", "c/d"})
            }

    asyncio.run(scenario())


def test_a_question_is_answered_while_somebody_writes(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Collector.open(f"sqlite:///{tmp_path}/db") as collector:
            await collector.projects.register(["a/b"])
            with closing(sqlite3.connect(tmp_path / "db", isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                other.execute("DELETE FROM projects")
                assert len(await collector.connections.rows(select(projects))) == 1
                other.execute("COMMIT")
            assert await collector.connections.many(select(projects)) == []

    asyncio.run(scenario())


def test_who_gives_up_waiting_for_an_answer_may_close_the_collector(tmp_path: Path) -> None:
    endless = "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t)"

    async def scenario() -> None:
        async with Collector.open(f"sqlite:///{tmp_path}/db") as collector:
            ask = collector.connections.rows
            await asyncio.gather(*(ask(select(projects)) for _ in range(60)))
            question = text(f"{endless} SELECT max(n) FROM t")
            asked = [asyncio.create_task(ask(question)) for _ in range(20)]
            assert not (await asyncio.wait(asked, timeout=0.2))[0]
            for task in asked:
                task.cancel()

    asyncio.run(scenario())


@pytest.mark.parametrize("busy_seconds", [0.0, 0.05, TRUSTED_SECONDS])
def test_connections_that_were_closed_are_replaced_unseen(
    databases: Databases, postgres: Postgres, busy_seconds: float
) -> None:
    """Whether the driver was told, or could not be, for its loop was busy all the time."""

    async def scenario(url: str) -> None:
        async with Collector.open(url) as collector:
            ask = collector.connections.rows
            await asyncio.gather(*(ask(select(projects)) for _ in range(6)))
            _close_all(postgres, url)
            if busy_seconds:
                time.sleep(busy_seconds)  # noqa: ASYNC251  it is to hold up the loop
            else:
                await asyncio.sleep(0.1)
            answers = await asyncio.gather(*(ask(select(projects)) for _ in range(6)))
            assert answers == [[]] * 6
            _close_all(postgres, url)
            time.sleep(busy_seconds)  # noqa: ASYNC251
            await collector.projects.register(["a/b"])
            assert len(await ask(select(projects))) == 1

    with databases.fresh("postgresql") as database:
        asyncio.run(scenario(database.url))


def _close_all(postgres: Postgres, url: str) -> None:
    name = urlsplit(url).path[1:]
    closed = postgres.execute(
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
    )
    assert closed


def _crumb(**values: object) -> dict[str, object]:
    return {
        "project": "a/b",
        "version": "1.0",
        "language": "python",
        "language_version": "3.12",
        "timestamp": 0,
        "status": "F",
        "is_ci": False,
        **values,
    }
