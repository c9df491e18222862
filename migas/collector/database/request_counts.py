"""How many requests each hashed address has made, as the processes of a collector share it."""

from __future__ import annotations

import math
import secrets
from typing import TYPE_CHECKING

from sqlalchemy import delete, select, update

from migas.collector.database.statements import adding, insert_into, insert_new
from migas.collector.database.tables import request_counts, salts

if TYPE_CHECKING:
    from migas.collector.clock import Clock
    from migas.collector.database.connections import Connections

WINDOW = 60
"""Seconds over which requests are counted."""

PORTION = 50
PORTIONS = 20
"""A process reserves no more than this part of what is left, nor more than `PORTION` requests."""


class RequestCounts:
    """The counts in one database.

    Args:
        connections: To the database.
        clock: Tells how much of a window has passed.
    """

    def __init__(self, connections: Connections, clock: Clock) -> None:
        self._connections = connections
        self._clock = clock

    async def reserve(self, address: bytes, window: int, used: int, limit: int) -> int:
        """Add what was used already, then take as much of a portion as the limit leaves.

        The part of the previous window that lies within the last `WINDOW` seconds counts too, as
        if its requests had come evenly.

        Args:
            address: The hash of an address.
            window: The number of the present window.
            used: Requests that were answered and not counted yet.
            limit: Requests that an address may make in a window.

        Returns:
            How many more requests may be answered.
        """
        mine = (request_counts.c.address == address) & (request_counts.c.window == window)
        before = select(request_counts.c.used).where(
            request_counts.c.address == address, request_counts.c.window == window - 1
        )
        row = {"address": address, "window": window, "used": used}
        async with self._connections.writing() as connection:
            added = adding(insert_into(request_counts, self._connections.dialect), ["used"])
            sums = await connection.execute(added.returning(request_counts.c.used), row)
            total = int(sums.scalar_one())
            past = int((await connection.execute(before)).scalar() or 0)
            passed = self._clock.time() / WINDOW - window
            still_counts = past * max(0.0, 1.0 - passed)
            left = max(0, math.floor(limit - still_counts) - total)
            portion = min(PORTION, math.ceil(left / PORTIONS))
            if portion:
                taken = update(request_counts).where(mine).values(used=total + portion)
                await connection.execute(taken)
            old = delete(request_counts).where(request_counts.c.window < window - 1)
            await connection.execute(old)
        return portion

    async def salt(self, day: int) -> bytes:
        """The key under which all processes hash on a day; those of earlier days are deleted."""
        query = select(salts.c.salt).where(salts.c.day == day)
        # Mostly another process has made it, and reading waits for no lock.
        async with self._connections.reading() as connection:
            found = (await connection.execute(query)).scalar()
        if found is not None:
            return bytes(found)
        async with self._connections.writing() as connection:
            offered = {"day": day, "salt": secrets.token_bytes(32)}
            await connection.execute(insert_new(salts, self._connections.dialect), offered)
            await connection.execute(delete(salts).where(salts.c.day < day))
            return bytes((await connection.execute(query)).scalar_one())
