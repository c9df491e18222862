"""A connection to SQLite with an asynchronous one's methods, which have done it all on return.

Rows that are written or looked for one by one go straight to the driver, with a statement that is
a text already: what SQLAlchemy does around each costs several times as much as SQLite's own part.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from sqlalchemy.dialects import sqlite

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from sqlalchemy import Connection, Select
    from sqlalchemy.ext.asyncio import AsyncConnection

Values = tuple[Any, ...]


class Prompt:
    """A connection in a transaction of a thread that may wait for it.

    Args:
        connection: SQLAlchemy's.
    """

    def __init__(self, connection: Connection) -> None:
        self.dialect = connection.dialect
        self._connection = connection
        self._driver = cast("sqlite3.Connection", connection.connection.driver_connection)

    async def execute(self, *arguments: Any) -> Any:
        """Execute a statement of SQLAlchemy's."""
        return self._connection.execute(*arguments)

    async def scalar(self, *arguments: Any) -> Any:
        """Execute a statement of SQLAlchemy's and return the first value it finds."""
        return self._connection.scalar(*arguments)

    async def scalars(self, *arguments: Any) -> Any:
        """Execute a statement of SQLAlchemy's and return the first column it finds."""
        return self._connection.scalars(*arguments)

    def write(self, statement: str, rows: Iterable[Values]) -> None:
        """Execute a statement once for each row."""
        self._driver.executemany(statement, rows)

    def insert(self, statement: str, rows: Iterable[Values]) -> list[int | None]:
        """Insert one row after the other.

        Returns:
            The number that SQLite has given to each, and None for one that was there already.
        """
        cursor = self._driver.cursor()
        numbers: list[int | None] = []
        for row in rows:
            cursor.execute(statement, row)
            numbers.append(cursor.lastrowid if cursor.rowcount else None)
        return numbers

    def find(self, statement: str, keys: Iterable[Values]) -> list[Values]:
        """What a SELECT finds for each of some keys, of all of them together."""
        cursor = self._driver.cursor()
        # To its end each: a statement that could go on would hold up SQLite's checkpoints.
        return [row for key in keys for row in cursor.execute(statement, key).fetchall()]


def prompt(connection: AsyncConnection) -> Prompt:
    """The connection of a transaction that writes into SQLite, as what it is."""
    return cast("Prompt", connection)


def as_text(query: Select[Any]) -> str:
    """A SELECT as `Prompt.find` takes it."""
    return str(query.compile(dialect=sqlite.dialect()))
