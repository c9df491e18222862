"""The connections to one database: those that read, and those that write.

They come from two pools, so that questions, however many and however slow, never keep a breadcrumb
waiting for a connection.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, nullcontext
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import select
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from migas.collector.database.engine import for_asking, for_writing
from migas.collector.database.idle import is_lost, trusting_connections
from migas.collector.database.sqlite_reader import SqliteReader
from migas.collector.database.sqlite_writer import SqliteWriter
from migas.collector.database.tables import projects

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

MAX_ATTEMPTS = 5
_COLLISIONS = ("40P01", "40001")  # deadlock_detected, serialization_failure

Result = TypeVar("Result")


class Connections:
    """Transactions on one database.

    Args:
        reading: The engine whose transactions read.
        writing: Another one of the same database, whose transactions write.

    Attributes:
        dialect: `sqlite` or `postgresql`.
    """

    def __init__(self, reading: AsyncEngine, writing: AsyncEngine) -> None:
        self.dialect = reading.dialect.name
        self._reading = reading
        self._asking = for_asking(reading)
        self._writing = for_writing(writing)
        # Two transactions of this process would wait for SQLite's one lock by trying again.
        self._turn = asyncio.Lock() if self.dialect == "sqlite" else nullcontext()
        self._writer = SqliteWriter(writing.url) if self.dialect == "sqlite" else None
        self._reader = SqliteReader(reading.url) if self.dialect == "sqlite" else None

    async def close(self) -> None:
        """Close all connections."""
        if self._writer:
            await self._writer.close()
        if self._reader:
            await self._reader.close()
        await self._reading.dispose()
        await self._writing.dispose()

    async def ping(self) -> None:
        """Ask for a row, which raises when the database cannot be reached."""
        async with self.reading() as connection:
            await connection.execute(select(projects.c.idx).limit(1))

    async def rows(self, query: Any, values: Mapping[str, Any] | None = None) -> Sequence[Any]:
        """The answer to one question, which needs no transaction.

        Args:
            query: A SELECT.
            values: Those of its parameters, by their names.
        """
        if self._reader:
            return await self._reader.rows(query, values)
        try:
            with trusting_connections():
                return await self._answer(query, values)
        except DBAPIError as error:
            if not is_lost(error):
                raise
        return await self._answer(query, values)

    async def many(self, query: Any, values: Mapping[str, Any] | None = None) -> Sequence[Any]:
        """The same for an answer of many rows, of whole numbers and texts, which have no names."""
        ask = self._reader.many if self._reader else self.rows
        return await ask(query, values)

    async def _answer(self, query: Any, values: Mapping[str, Any] | None) -> Sequence[Any]:
        async with self._asking.connect() as connection:
            try:
                return (await connection.execute(query, values)).all()
            except DBAPIError as error:
                if is_lost(error):
                    await connection.invalidate()
                raise

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that may write, committed at the end of the block."""
        async with self._turn, self._writing.begin() as connection:
            yield connection

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that reads."""
        async with self._reading.begin() as connection:
            yield connection

    async def transact(self, work: Callable[[AsyncConnection], Awaitable[Result]]) -> Result:
        """Do work in a transaction that may write, again where it met another one's.

        Args:
            work: What to do, waiting for nothing but the connection; when it is done again,
                nothing of the first time is left.

        Returns:
            What the work returned, after the commit.
        """
        if self._writer:  # where two transactions that write never meet
            async with self._turn:
                return await self._writer.transact(work)
        for _ in range(1, MAX_ATTEMPTS):
            try:
                async with self.writing() as connection:
                    return await work(connection)
            except (SQLAlchemyError, OSError) as error:
                if not _collided(error):
                    raise
        async with self.writing() as connection:
            return await work(connection)


def _collided(error: Exception) -> bool:
    """Whether PostgreSQL ended a transaction for another's sake: one of two may go on."""
    state = getattr(getattr(error, "orig", None), "sqlstate", None)
    return state in _COLLISIONS
