"""The database: what a URL means, and that a record is a commit."""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
from functools import partial
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text, update

from migas.collector.collector import Collector
from migas.collector.database.engine import (
    POOL_SIZE,
    default_url,
    describe,
    engine_url,
)
from migas.collector.database.tables import projects
from migas.collector.errors import CollectorError, NotStoredError, UnstorableError
from migas.collector.ingestion.crumb import Crumb, checked
from migas.collector.projects.versions import Release
from tests.collector.databases import make_tables, with_collector

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy.ext.asyncio import AsyncConnection

    from tests.collector.databases import Database, Databases


def a_crumb(project: str = "a/b", **fields: Any) -> Crumb:
    defaults: dict[str, Any] = {
        "project_version": "1.0",
        "language": "python",
        "language_version": "3.11",
    }
    return checked(project=project, **(defaults | fields))


def count(database: Database) -> int:
    return int(database.value("SELECT count(*) FROM crumbs"))


def test_a_recorded_breadcrumb_is_seen_by_another_connection(database: Database) -> None:
    async def work(collector: Collector) -> None:
        await collector.projects.register(["a/b"])
        for expected in range(1, 4):
            assert await collector.ingestion.record(a_crumb()) == Release()
            assert count(database) == expected

    with_collector(database.url, work)


def test_an_unregistered_project_stores_nothing_beside_others_that_do(database: Database) -> None:
    async def work(collector: Collector) -> None:
        await collector.projects.register(["a/b"])
        answers = await asyncio.gather(
            *(
                collector.ingestion.record(a_crumb(name))
                for name in ("a/b", "c/d", "a/b", "no name")
            )
        )
        assert answers == [Release(), None, Release(), None]

    with_collector(database.url, work)
    assert count(database) == 2


def test_open_registration_keeps_the_order_of_arrival(database: Database) -> None:
    names = [f"owner/repo{number}" for number in (3, 1, 2)]

    async def work(collector: Collector) -> None:
        await asyncio.gather(
            *(collector.ingestion.record(a_crumb(name)) for name in (*names, "no name"))
        )
        assert await collector.projects.names() == names

    with_collector(database.url, work, open_registration=True)


def test_many_senders_at_once_are_all_stored(database: Database) -> None:
    async def work(collector: Collector) -> None:
        await collector.projects.register(["a/b"])
        await asyncio.gather(*(collector.ingestion.record(a_crumb()) for _ in range(1000)))

    with_collector(database.url, work)
    assert count(database) == 1000


def test_two_collectors_may_write_to_one_database(database: Database) -> None:
    async def work(first: Collector) -> None:
        await first.projects.register(["a/b"])
        async with Collector.open(database.url) as second:
            for _ in range(20):
                await asyncio.gather(
                    first.ingestion.record(a_crumb()), second.ingestion.record(a_crumb())
                )

    with_collector(database.url, work)
    assert count(database) == 40


def test_what_the_database_refuses_is_told_and_the_next_is_stored(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    async def work(collector: Collector) -> None:
        await collector.projects.register(["a/b"])
        database.execute("ALTER TABLE daily RENAME TO away")
        with pytest.raises(NotStoredError):
            await collector.ingestion.record(
                a_crumb(user_id="35ecdd23-f0b6-593a-8d5b-108982c1126d", error_desc="a secret")
            )
        assert "a batch of 1 breadcrumbs was not stored" in caplog.text
        assert "35ecdd23" not in caplog.text
        assert "a secret" not in caplog.text
        assert database.value("SELECT count(*) FROM users") == 0
        assert count(database) == 0
        database.execute("ALTER TABLE away RENAME TO daily")
        assert await collector.ingestion.record(a_crumb()) == Release()

    with_collector(database.url, work)
    assert count(database) == 1


def test_readers_do_not_hold_up_a_write(database: Database) -> None:
    """Not even when every connection for reading is in use."""

    async def work(collector: Collector) -> None:
        await collector.projects.register(["a/b"])
        async with contextlib.AsyncExitStack() as readers:
            for _ in range(POOL_SIZE):
                connection = await readers.enter_async_context(collector.connections.reading())
                await connection.execute(text("SELECT count(*) FROM crumbs"))
            assert await asyncio.wait_for(collector.ingestion.record(a_crumb()), 10) == Release()

    with_collector(database.url, work)
    assert count(database) == 1


def test_slow_counts_leave_connections_for_other_questions(databases: Databases) -> None:
    async def work(collector: Collector) -> None:
        beside = await asyncpg.connect(database.url)
        await beside.execute("BEGIN; LOCK TABLE crumbs")
        counting = [asyncio.create_task(collector.reports.hits("a/b", 0)) for _ in range(30)]
        await asyncio.sleep(0.1)
        assert await asyncio.wait_for(collector.projects.names(), 10) == []
        await beside.close()
        assert await asyncio.gather(*counting) == [0] * 30

    with databases.fresh("postgresql") as database:
        with_collector(database.url, work)


def test_who_asks_much_at_once_asks_on_the_same_connections_again(databases: Databases) -> None:
    """On a new one each question is prepared again, and PostgreSQL learns the tables again."""

    async def work(collector: Collector) -> None:
        async def asked() -> set[int]:
            question = text("SELECT pg_backend_pid() FROM pg_sleep(0.05)")
            some = (collector.connections.rows(question) for _ in range(POOL_SIZE + 3))
            return {row[0] for (row,) in await asyncio.gather(*some)}

        async def setting(name: str) -> str:
            ((value,),) = await collector.connections.rows(text(f"SHOW {name}"))
            return str(value)

        first = await asked()
        assert len(first) == POOL_SIZE
        assert await asked() == first
        assert await setting("plan_cache_mode") == "force_custom_plan"
        assert await setting("max_parallel_workers_per_gather") == "0"
        # What is written is the same again and again: to plan it anew each time would be in vain.
        async with collector.connections.writing() as connection:
            assert await connection.scalar(text("SHOW plan_cache_mode")) == "auto"

    with databases.fresh("postgresql") as database:
        with_collector(database.url, work)


def test_of_two_transactions_in_a_circle_both_are_done(databases: Databases) -> None:
    async def work(collector: Collector) -> None:
        await collector.projects.register(["a/b", "c/d"])
        holding: list[str] = []
        both_hold = asyncio.Event()

        async def ask(first: str, second: str, connection: AsyncConnection) -> None:
            asked = update(projects).values(asked=1)
            await connection.execute(asked.where(projects.c.project == first))
            holding.append(first)
            if len(holding) == 2:
                both_hold.set()
            await both_hold.wait()
            await connection.execute(asked.where(projects.c.project == second))

        await asyncio.gather(
            collector.connections.transact(partial(ask, "a/b", "c/d")),
            collector.connections.transact(partial(ask, "c/d", "a/b")),
        )
        assert len(holding) >= 3

    with databases.fresh("postgresql") as database:
        with_collector(database.url, work)


def test_a_newer_release_replaces_the_older_and_keeps_the_flags(database: Database) -> None:
    async def work(collector: Collector) -> None:
        await collector.projects.set_release("a/b", "1.9", ["1.8"])
        await collector.projects.set_release("a/b", "1.10", ["1.9", "1.8"])
        assert await collector.projects.release("a/b") == Release("1.10", ("1.8", "1.9"))
        assert await collector.projects.release("c/d") == Release("unknown", ())

    with_collector(database.url, work)


def test_only_its_owner_may_read_the_file(tmp_path: Path) -> None:
    async def work(collector: Collector) -> None:
        await collector.projects.register(["a/b"])
        modes = {stat.S_IMODE(os.stat(entry).st_mode) for entry in os.scandir(tmp_path)}
        assert modes == {0o600}

    with_collector(f"sqlite:///{tmp_path}/db.sqlite", work)


@pytest.mark.parametrize(
    ("text", "driver", "named"),
    [
        ("sqlite:///some/file.db", "sqlite+aiosqlite", os.path.abspath("some/file.db")),
        ("sqlite:////var/lib/file.db", "sqlite+aiosqlite", "/var/lib/file.db"),
        ("sqlite+aiosqlite:////var/lib/file.db", "sqlite+aiosqlite", "/var/lib/file.db"),
        ("postgresql://me:secret@host/db", "postgresql+asyncpg", "host"),
        ("postgres://me:secret@host/db?sslmode=require", "postgresql+asyncpg", "host"),
        ("postgresql://host/db?user=me&password=secret", "postgresql+asyncpg", "host"),
    ],
)
def test_a_url_means_a_driver(text: str, driver: str, named: str) -> None:
    url = engine_url(text)
    assert url.drivername == driver
    assert named in describe(url)
    assert "secret" not in describe(url)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "file.db",
        "/var/lib/file.db",
        "sqlite://",
        "sqlite:///",
        "mysql://host/db",
        "sqlite:///:memory:",
        "http://host",
        "postgresql+psycopg2://host/db",
        "://",
    ],
)
def test_a_url_of_no_usable_database_is_refused(text: str) -> None:
    with pytest.raises(CollectorError, match="write sqlite:///"):
        engine_url(text)


@pytest.mark.parametrize(
    "text",
    [
        "mysql://me:secret@host/db",
        "postgresql+psycopg2://me:sec:ret@secret@host/db",
        "postgresql://me:secret@host:port/db",
        "me:secret@host",
        "mysql://host/db?user=me&password=secret",
    ],
)
def test_a_refusal_shows_no_password(text: str) -> None:
    with pytest.raises(CollectorError) as refused:
        engine_url(text)
    assert "host" in str(refused.value)
    assert "ret" not in str(refused.value)


def test_the_encryption_that_a_provider_asks_for_is_the_drivers() -> None:
    assert engine_url("postgres://me@host/db?sslmode=require").query == {"ssl": "require"}
    assert engine_url("postgresql://me@host/db?ssl=verify-full").query == {"ssl": "verify-full"}


@pytest.mark.parametrize("argument", ["channel_binding=require", "sslmode=nonsense", "port=x"])
def test_an_argument_that_the_driver_refuses_is_told_on_one_line(
    argument: str, databases: Databases
) -> None:
    with databases.fresh("postgresql") as database:
        make_tables(f"{database.url}&sslmode=prefer")
        with pytest.raises(CollectorError) as refused:
            make_tables(f"{database.url}&{argument}")
    said = str(refused.value)
    assert said.startswith("cannot use the database postgresql")
    assert "\n" not in said


def test_the_default_database_is_a_file_in_the_users_data_folder() -> None:
    assert engine_url(default_url()).database == default_url().removeprefix("sqlite:///")
    assert "migas" in default_url()


@given(st.text(st.characters()), st.text(st.characters(), max_size=70))
def test_a_checked_breadcrumb_is_one_that_a_row_holds(text: str, platform: str) -> None:
    with contextlib.suppress(UnstorableError):
        crumb = a_crumb(status_desc=text, platform=platform)
        assert (crumb.status_desc, crumb.platform) == (text, platform)
        assert len(platform) <= 64
        assert "\0" not in text + platform
        (text + platform).encode()
