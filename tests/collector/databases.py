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
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg  # type: ignore[import-untyped]

from migas.collector import migrate
from migas.collector.storage import Storage
from migas.collector.tables import metadata

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterator
    from pathlib import Path

    from tests.support.postgres import Postgres

KINDS = ("sqlite", "postgresql")


@dataclass(frozen=True)
class Database:
    """A database, named by the URL that `migas serve --db` takes."""

    url: str

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
            fetched: list[dict[str, Any]] = _run(self._fetch(_numbered(sql), parameters))
            return fetched
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
            _run(self._executemany(_numbered(sql), rows))
            return
        with closing(sqlite3.connect(self.path, timeout=10)) as connection, connection:
            connection.executemany(sql, rows)

    async def _connect(self) -> Any:
        return await asyncpg.connect(self.url)

    async def _fetch(self, sql: str, parameters: tuple[object, ...]) -> list[dict[str, Any]]:
        connection = await self._connect()
        try:
            rows = await connection.fetch(sql, *parameters)
            return [{name: _plain(value) for name, value in row.items()} for row in rows]
        finally:
            await connection.close()

    async def _executemany(self, sql: str, rows: list[tuple[object, ...]]) -> None:
        connection = await self._connect()
        try:
            await connection.executemany(sql, rows)
        finally:
            await connection.close()


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
        self._clean: str | None = None  # a used database, emptied: quicker to have than a new one

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
        try:
            yield Database(url)
        finally:
            if empty or not _emptied(Database(url)):
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
    tables = ", ".join(table.name for table in metadata.sorted_tables)
    try:
        database.execute(f"TRUNCATE {tables} RESTART IDENTITY")
        return bool(database.value("SELECT version_num FROM alembic_version") == migrate.HEAD)
    except (asyncpg.PostgresError, ValueError):
        return False


def make_tables(url: str) -> None:
    """Bring a database up to date."""

    async def nothing(storage: Storage) -> None:
        pass

    with_storage(url, nothing)


def with_storage(
    url: str, work: Callable[[Storage], Awaitable[None]], *, open_registration: bool = False
) -> None:
    """Run a coroutine function with the open storage of a database."""

    async def run() -> None:
        async with Storage.open(url, open_registration=open_registration) as storage:
            await work(storage)

    asyncio.run(run())


def _run(work: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine, also where this thread is busy with others."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


def _numbered(sql: str) -> str:
    numbers = count(1)
    return re.sub(r"\?", lambda _: f"${next(numbers)}", sql)


def _plain(value: object) -> object:
    return str(value) if isinstance(value, UUID) else value
