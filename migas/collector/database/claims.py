"""What is due now, handed to one of the processes that look for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Row, exists, select, update

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import ColumnElement, Table
    from sqlalchemy.ext.asyncio import AsyncConnection

    from migas.collector.database.connections import Connections


async def claim(
    connections: Connections, table: Table, is_due: ColumnElement[bool], **values: object
) -> Sequence[Row[Any]]:
    """The rows of a table that are due, which nobody else gets.

    Args:
        connections: To the database.
        table: Where to look.
        is_due: What is true of such a row.
        values: What is written into it, by which it is due no more.
    """
    async with connections.reading() as connection:
        if not await connection.scalar(select(exists().where(is_due))):
            return []  # mostly so, and reading holds up no writer
    claimed = update(table).where(is_due).values(values).returning(*table.c)

    async def work(connection: AsyncConnection) -> Sequence[Row[Any]]:
        return (await connection.execute(claimed)).all()

    return await connections.transact(work)
