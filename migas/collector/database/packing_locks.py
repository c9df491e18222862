"""Who moves rows into packed ones, on PostgreSQL, and who looks for them in one of two tables.

Packing takes rows from one table and writes them into another. Between the two somebody could look
for such a row in the first table when it is gone, and in the other when it is not there. Adding a
visit needs no lock: it may be in both tables. Nor does anything that is done to one duration: it is
only added. SQLite has one writer at a time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import text

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

# PostgreSQL's advisory locks are numbers; `removal` has the one before.
_VISITS = 0x6D69676175
_DURATIONS = 0x6D69676176


async def hold_visits(connection: AsyncConnection) -> None:
    """Let nobody else look for visits, or move them, until this transaction ends."""
    await _lock(connection, "pg_advisory_xact_lock", _VISITS)


async def keep_visits(connection: AsyncConnection) -> None:
    """Let nobody move visits until this transaction ends; others may look for them, too."""
    await _lock(connection, "pg_advisory_xact_lock_shared", _VISITS)


async def hold_durations(connection: AsyncConnection) -> None:
    """Let nobody else pack durations until this transaction ends."""
    await _lock(connection, "pg_advisory_xact_lock", _DURATIONS)


async def hold_both(connection: AsyncConnection) -> None:
    """Let nobody else pack anything until this transaction ends."""
    await hold_visits(connection)
    await hold_durations(connection)


async def _lock(connection: AsyncConnection, function: str, number: int) -> None:
    if connection.dialect.name == "postgresql":
        await connection.execute(text(f"SELECT {function}(:lock)"), {"lock": number})
