"""The two kinds of databases that a collector works on, seen from beside it."""

from __future__ import annotations

import asyncio
import re
import shutil
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from threading import Thread
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID, uuid4

import asyncpg

from migas.collector.collector import Collector
from migas.collector.counts.rebuild import rebuild
from migas.collector.database.statements import insert_in_batches
from migas.collector.database.tables import crumbs, metadata, users
from migas.collector.migrations import migrate

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Awaitable, Callable, Coroutine, Iterator
    from pathlib import Path

    from sqlalchemy import Connection

    from tests.support.postgres import Postgres

KINDS = ("sqlite", "postgresql")
Result = TypeVar("Result")


class Asker:
    """Connections beside the collector's, kept from one question to the next.

    In a thread of its own, for the tests' own may be busy with a loop.
    """

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever)
        self._connections: dict[str, Any] = {}

    def ask(self, url: str, sql: str, parameters: tuple[object, ...]) -> list[dict[str, Any]]:
        """What a query finds in a database of PostgreSQL."""
        return self._run(self._ask(url, sql, parameters))

    def ask_many(self, url: str, sql: str, rows: list[tuple[object, ...]]) -> None:
        """Execute a statement for each of some rows."""
        self._run(self._ask_many(url, sql, rows))

    def leave(self, url: str) -> None:
        """Disconnect from a database."""
        if url in self._connections:
            self._run(self._connections.pop(url).close())

    def close(self) -> None:
        """Disconnect from all of them."""
        try:
            for url in list(self._connections):
                self.leave(url)
        finally:
            if self._thread.is_alive():
                self._loop.call_soon_threadsafe(self._loop.stop)
                self._thread.join()
            self._loop.close()

    async def _ask(
        self, url: str, sql: str, parameters: tuple[object, ...]
    ) -> list[dict[str, Any]]:
        connection = await self._connected(url)
        rows = await connection.fetch(sql, *parameters)
        return [{name: _plain(value) for name, value in row.items()} for row in rows]

    async def _ask_many(self, url: str, sql: str, rows: list[tuple[object, ...]]) -> None:
        await (await self._connected(url)).executemany(sql, rows)

    async def _connected(self, url: str) -> Any:
        if url not in self._connections or self._connections[url].is_closed():
            # Without a cache of statements: tests change the tables themselves.
            self._connections[url] = await asyncpg.connect(url, statement_cache_size=0)
        return self._connections[url]

    def _run(self, work: Coroutine[Any, Any, Result]) -> Result:
        if not self._thread.is_alive():
            self._thread.start()
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


@dataclass(frozen=True)
class Database:
    """A database, named by the URL that `migas serve --db` takes.

    Args:
        url: Where it is.
        asker: Who asks it, if it is one of PostgreSQL.
    """

    url: str
    asker: Asker | None = None

    @property
    def is_postgresql(self) -> bool:
        return self.url.startswith("postgresql")

    @property
    def path(self) -> str:
        assert not self.is_postgresql
        return self.url.removeprefix("sqlite:///")

    def rows(self, sql: str, *parameters: object) -> list[dict[str, Any]]:
        """What a query finds; `?` stands for a parameter. Ids are text whatever the database."""
        if self.is_postgresql:
            assert self.asker is not None
            return self.asker.ask(self.url, _numbered(sql), parameters)
        with closing(sqlite3.connect(self.path, timeout=10)) as connection:
            connection.row_factory = sqlite3.Row
            rows = [dict(row) for row in connection.execute(sql, parameters)]
            connection.commit()
            return rows

    def value(self, sql: str, *parameters: object) -> Any:
        """The only value that a query finds."""
        (row,) = self.rows(sql, *parameters)
        (value,) = row.values()
        return value

    def execute(self, sql: str, *parameters: object) -> None:
        self.rows(sql, *parameters)

    def executemany(self, sql: str, rows: list[tuple[object, ...]]) -> None:
        if self.is_postgresql:
            assert self.asker is not None
            self.asker.ask_many(self.url, _numbered(sql), rows)
            return
        with closing(sqlite3.connect(self.path, timeout=10)) as connection, connection:
            connection.executemany(sql, rows)


class Databases:
    """Makes fresh databases, each a copy of one that has today's tables.

    Args:
        folder: Where SQLite's files go.
        postgres: A running server.
    """

    def __init__(self, folder: Path, postgres: Postgres) -> None:
        self._folder = folder
        self._postgres = postgres
        self._numbers = count()
        self._asker = Asker()
        self._clean: str | None = None  # a used database, emptied: quicker to have than a new one

    def forget(self, database: Database) -> None:
        """Connect anew at the next question."""
        self._asker.leave(database.url)

    def close(self) -> None:
        """Ask no more."""
        self._asker.close()

    @contextmanager
    def fresh(self, kind: str, *, empty: bool = False) -> Iterator[Database]:
        """A database with today's tables, or without any, for a `with` block."""
        if kind == "sqlite":
            path = self._folder / f"{next(self._numbers)}.sqlite"
            if not empty:
                shutil.copy(self._sqlite_template, path)
            yield Database(f"sqlite:///{path}")
            for leftover in self._folder.glob(f"{path.name}*"):
                leftover.unlink()
            return
        if empty:
            url = self._postgres.new_database()
        else:
            url = self._clean or self._postgres.new_database(self._postgres_template)
            self._clean = None
        database = Database(url, self._asker)
        try:
            yield database
        finally:
            if empty or not _emptied(database):
                self._asker.leave(url)
                self._postgres.drop(url)
            else:
                self._clean = url

    @cached_property
    def _sqlite_template(self) -> Path:
        path = self._folder / "template.sqlite"
        make_tables(f"sqlite:///{path}")
        return path

    @cached_property
    def _postgres_template(self) -> str:
        url = self._postgres.new_database()
        make_tables(url)
        return url


def _emptied(database: Database) -> bool:
    """Empty all of today's tables; False when a test has changed the tables themselves."""
    deletions = [f"DELETE FROM {table.name};" for table in reversed(metadata.sorted_tables)]
    numbers = [
        f"PERFORM setval(pg_get_serial_sequence('{table.name}', 'idx'), 1, false);"
        for table in metadata.sorted_tables
        if "idx" in table.columns
    ]
    try:
        # Quicker than TRUNCATE, which makes new files.
        database.execute(f"DO $$ BEGIN {' '.join(deletions + numbers)} END $$")
        return bool(database.value("SELECT version_num FROM alembic_version") == migrate.HEAD)
    except (asyncpg.PostgresError, ValueError):
        return False


def make_tables(url: str) -> None:
    """Bring a database up to date."""

    async def nothing(collector: Collector) -> None:
        pass

    with_collector(url, nothing)


def with_collector(
    url: str, work: Callable[[Collector], Awaitable[None]], *, open_registration: bool = False
) -> None:
    """Run a coroutine function with the open collector of a database.

    In a thread of its own: while a browser is open, its loop runs in this one.
    """

    async def run() -> None:
        async with Collector.open(url, open_registration=open_registration) as collector:
            await work(collector)

    with ThreadPoolExecutor(1) as threads:
        threads.submit(lambda: asyncio.run(run())).result()


def a_session(
    when: dt.datetime, project: str = "nipreps/migas-py", **fields: Any
) -> dict[str, Any]:
    """A session of one breadcrumb that came at some time."""
    return {
        "project": project,
        "version": "1.0.0",
        "language": "python",
        "language_version": "3.12.1",
        "timestamp": int(when.timestamp()),
        "session_id": str(uuid4()),
        "user_id": None,
        "is_ci": False,
        "platform": "linux",
        "container": "unknown",
        "status": "C",
        "status_desc": None,
        "error_type": None,
        "error_desc": None,
    } | fields


def putting(sessions: list[dict[str, Any]]) -> Callable[[Collector], Awaitable[None]]:
    """What puts sessions into a database at once, however many, and counts them."""

    async def put(collector: Collector) -> None:
        people = {session["user_id"] for session in sessions if session["user_id"]}
        kinds = {"user_type": "general", "platform": "linux", "container": "unknown"}

        def insert(connection: Connection) -> None:
            insert_in_batches(connection, users, ({"user_id": name} | kinds for name in people))
            insert_in_batches(connection, crumbs, sessions)
            rebuild(connection)

        async with collector.connections.writing() as connection:
            await connection.run_sync(insert)

    return put


def _numbered(sql: str) -> str:
    numbers = count(1)
    return re.sub(r"\?", lambda _: f"${next(numbers)}", sql)


def _plain(value: object) -> object:
    return str(value) if isinstance(value, UUID) else value
