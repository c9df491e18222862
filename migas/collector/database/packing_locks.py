"""Who moves visits from table to table, on PostgreSQL, and who looks for them in one of these.

Packing takes rows of visits from one table and writes them into another. Between the two somebody
could look for such a row in the first table when it is gone, and in the other when it is not there.
Adding a visit needs no lock: it may be in both tables. SQLite has one writer at a time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import text

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

_LOCK = 0x6D69676175  # PostgreSQL's advisory locks are numbers; `removal` has the one before


async def hold_visits(connection: AsyncConnection) -> None:
    """Let nobody else look for visits, or move them, until this transaction ends."""
    await _lock(connection, "pg_advisory_xact_lock")


async def keep_visits(connection: AsyncConnection) -> None:
    """Let nobody move visits until this transaction ends; others may look for them, too."""
    await _lock(connection, "pg_advisory_xact_lock_shared")


async def _lock(connection: AsyncConnection, function: str) -> None:
    if connection.dialect.name == "postgresql":
        await connection.execute(text(f"SELECT {function}(:lock)"), {"lock": _LOCK})
