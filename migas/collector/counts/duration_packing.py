"""Which durations are packed: many of a version and a block of days, when upkeep comes by.

A session adds to a row of its own, or takes from it, whether others are packed or not: counts add
up, so that only questions look into what is packed.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from functools import partial
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, func, select

from migas.collector.counts.packed_durations import (
    Cells,
    cell,
    of_all,
    of_days,
    of_span,
    pack,
    unpack,
)
from migas.collector.counts.packed_groups import WORTH, Group, UnreadableError
from migas.collector.counts.slices import SPANS
from migas.collector.database.json_rows import among
from migas.collector.database.packing_locks import hold_durations
from migas.collector.database.tables import durations, packed_durations
from migas.collector.days import BLOCK_DAYS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sqlalchemy import ColumnElement, Select, Table
    from sqlalchemy.ext.asyncio import AsyncConnection

    from migas.collector.database.connections import Connections

MANY = 64
"""So many rows of a version and a block are packed; fewer stay rows."""

AT_ONCE = 10_000
"""No more are packed in one transaction."""

START = durations.c.day - (durations.c.day + 3) % BLOCK_DAYS
"""The block of a row's day, as `block_of` has it."""

_BYTES_OF_COUNT = 2
"""About so many bytes a packed count takes."""

_KEY = list(durations.primary_key)

_log = logging.getLogger("migas.collector")


class DurationPacking:
    """Packs the durations of one database.

    Args:
        connections: To the database.
    """

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def pack(self) -> int:
        """Pack the durations of which there are many; return how many rows were packed."""
        by = durations.c.project, durations.c.version, START
        loose = select(*by, func.count()).group_by(*by).having(func.count() >= MANY).order_by(*by)
        packed = 0
        for *names, number in await self._connections.rows(loose):
            group = Group(*names)
            if number * WORTH < await self._size(group):
                continue
            try:
                packed += await self._pack_group(group)
            except UnreadableError as error:
                _log.warning("%s", error)
        return packed

    async def _size(self, group: Group) -> int:
        """About how many counts are packed of a group."""
        bytes_of_it = func.coalesce(func.sum(func.length(packed_durations.c.by_profile)), 0)
        mine = are_of(group, packed_durations, packed_durations.c.start)
        query = select(bytes_of_it).where(*mine, packed_durations.c.span == 1)
        ((size,),) = await self._connections.rows(query)
        return int(size) // _BYTES_OF_COUNT

    async def _pack_group(self, group: Group) -> int:
        """Pack the rows of a group; nothing is locked while what takes time is done."""
        some = select(durations).where(*are_loose(group)).order_by(*_KEY).limit(AT_ONCE)
        number = 0
        while True:
            # In this order: whoever packs them meanwhile changes what was read first.
            packed = await self._connections.rows(packed_of(group))
            loose = await self._connections.rows(some)
            rows = await asyncio.to_thread(_together, group, packed, loose)
            exchange = partial(_exchange, group, packed, loose, rows)
            done = await self._connections.transact(exchange)
            number += done
            if done < AT_ONCE:
                return number


def packed_of(group: Group) -> Select[Any]:
    """The rows of `packed_durations` of a group, in their order."""
    key = packed_durations.c.span, packed_durations.c.start
    return select(packed_durations).where(*are_of(group, packed_durations, key[1])).order_by(*key)


def are_of(group: Group, table: Table, day: ColumnElement[int]) -> tuple[ColumnElement[bool], ...]:
    """The conditions that the rows of a group meet in a table that has such a day."""
    days = day.between(group.start, group.start + BLOCK_DAYS - 1)
    return table.c.project == group.project, table.c.version == group.version, days


def are_loose(group: Group) -> tuple[ColumnElement[bool], ...]:
    """The conditions that the rows of `durations` of a group meet."""
    return are_of(group, durations, durations.c.day)


def added_up(group: Group, days: Mapping[int, int], loose: Iterable[Any]) -> Cells:
    """The counts by day of a group, those of nothing left out.

    Args:
        group: What they are of.
        days: Those that are packed.
        loose: Rows of `durations`.
    """
    cells: defaultdict[int, int] = defaultdict(int, days)
    for row in loose:
        cells[cell(row.profile, row.day - group.start, row.bucket)] += row.sessions
    return {number: count for number, count in cells.items() if count}


def packed_days(group: Group, packed: Iterable[Any]) -> Cells:
    """The counts by day that a group's rows of `packed_durations` have.

    Raises:
        UnreadableError: Nobody packed them like that; a file was damaged, say.
    """
    try:
        of = {row.start - group.start: unpack(row.by_profile) for row in packed if row.span == 1}
    except ValueError as error:
        raise UnreadableError(f"durations of {tuple(group)}", error) from error
    return of_days(of)


def packed_rows(group: Group, days: Cells) -> list[dict[str, Any]]:
    """The rows of `packed_durations` that have the counts of a group by day, in their order."""
    # No bar of a chart is as long as a block, and charts alone ask for all versions at once.
    spans = [span for span in SPANS if group.version or span != BLOCK_DAYS]
    return [
        group._asdict()
        | {"span": span, "start": group.start + first}
        | {"by_profile": pack(cells), "of_all": pack(of_all(cells))}
        for span in spans
        for first, cells in sorted(of_span(days, span).items())
    ]


def _together(group: Group, packed: Iterable[Any], loose: Iterable[Any]) -> list[dict[str, Any]]:
    """What is packed, once a group's rows of both tables are."""
    return packed_rows(group, added_up(group, packed_days(group, packed), loose))


async def _exchange(
    group: Group,
    packed: Sequence[Any],
    loose: Sequence[Any],
    rows: Sequence[dict[str, Any]],
    connection: AsyncConnection,
) -> int:
    """Put rows in the place of others, unless somebody has packed or taken these meanwhile.

    Args:
        group: What they are of.
        packed: The rows of `packed_durations` that were read.
        loose: And those of `durations`; what was counted there since is left.
        rows: What is packed from now on.
        connection: In a transaction that writes.

    Returns:
        How many rows of `durations` were packed.
    """
    await hold_durations(connection)
    counted = {tuple(row[: len(_KEY)]): row.sessions for row in loose}
    those = among(_KEY, list(counted), connection.dialect.name)
    query = select(durations).where(those).order_by(*_KEY).with_for_update()
    now = (await connection.execute(query)).all()
    there = (await connection.execute(packed_of(group))).all()
    if len(now) != len(loose) or list(there) != list(packed):
        return 0
    await connection.execute(delete(durations).where(those))
    since = [
        row._asdict() | {"sessions": left}
        for row in now
        if (left := row.sessions - counted[tuple(row[: len(_KEY)])])
    ]
    if since:
        await connection.execute(durations.insert(), since)
    kept = [row._asdict() for row in packed]
    gone = [
        [row[of.name] for of in packed_durations.primary_key] for row in kept if row not in rows
    ]
    if gone:
        key = list(packed_durations.primary_key)
        those = among(key, gone, connection.dialect.name)
        await connection.execute(delete(packed_durations).where(those))
    if new := [row for row in rows if row not in kept]:
        await connection.execute(packed_durations.insert(), new)
    return len(loose)
