"""The connections to one database: those that read, and those that write.

They come from two pools, so that questions, however many and however slow, never keep a breadcrumb
waiting for a connection.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, nullcontext
from typing import TYPE_CHECKING, Self, TypeVar

from sqlalchemy.exc import SQLAlchemyError

from migas.collector.database.engine import create_engine, for_writing, open_engine

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from sqlalchemy import URL
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

MAX_ATTEMPTS = 5
_COLLISIONS = ("40P01", "40001")  # deadlock_detected, serialization_failure

Result = TypeVar("Result")


class Connections:
    """Transactions on one database; `Connections.open` makes them possible.

    Args:
        reading: The engine whose transactions read.
        writing: Another one of the same database, whose transactions write.

    Attributes:
        dialect: `sqlite` or `postgresql`.
    """

    def __init__(self, reading: AsyncEngine, writing: AsyncEngine) -> None:
        self.dialect = reading.dialect.name
        self._reading = reading
        self._writing = for_writing(writing)
        # Two transactions of this process would wait for SQLite's one lock by trying again.
        self._turn = asyncio.Lock() if self.dialect == "sqlite" else nullcontext()

    @classmethod
    async def open(cls, url: URL) -> Self:
        """Connect to a database, and bring its tables up to date.

        Raises:
            CollectorError: As `open_engine` does.
        """
        return cls(await open_engine(url), create_engine(url))

    async def close(self) -> None:
        """Close all connections."""
        await self._reading.dispose()
        await self._writing.dispose()

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
            work: What to do; when it is done again, nothing of the first time is left.

        Returns:
            What the work returned, after the commit.
        """
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
