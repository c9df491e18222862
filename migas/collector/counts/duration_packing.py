"""Which durations are packed: many of a version and a block of days, when upkeep comes by.

A session adds to a row of its own, or takes from it, whether others are packed or not: counts add
up, so that only questions look into what is packed.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, func, select

from migas.collector.counts.packed_durations import (
    Cells,
    added_up,
    cell,
    of_all,
    of_span,
    pack,
    spans_of,
    unpack,
)
from migas.collector.counts.packed_groups import WORTH, Group, UnreadableError, block_in_sql
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

AT_ONCE = 2000
"""No more are packed in one transaction."""

RowKey = tuple[int, int]
"""The span and the first day of a packed row of a group."""

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
        by = durations.c.project, durations.c.version, block_in_sql(durations.c.day)
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
            loose = await self._connections.rows(some)
            more = _by_row(group, loose)
            packed = await self._connections.rows(_packed(group, more, self._connections.dialect))
            rows = await asyncio.to_thread(_together, group, packed, more)
            exchange = partial(_exchange, group, packed, loose, rows)
            done = await self._connections.transact(exchange)
            number += done
            if done < AT_ONCE:
                return number


def are_of(group: Group, table: Table, day: ColumnElement[int]) -> tuple[ColumnElement[bool], ...]:
    """The conditions that the rows of a group meet in a table that has such a day."""
    days = day.between(group.start, group.start + BLOCK_DAYS - 1)
    return table.c.project == group.project, table.c.version == group.version, days


def are_loose(group: Group) -> tuple[ColumnElement[bool], ...]:
    """The conditions that the rows of `durations` of a group meet."""
    return are_of(group, durations, durations.c.day)


def by_day(group: Group, loose: Iterable[Any]) -> Cells:
    """The counts by day that rows of `durations` of a group have."""
    cells: Counter[int] = Counter()
    for row in loose:
        cells[cell(row.profile, row.day - group.start, row.bucket)] += row.sessions
    return cells


def packed_row(group: Group, key: RowKey, cells: Cells) -> dict[str, Any]:
    """The row of `packed_durations` that has these counts."""
    columns = {"by_profile": pack(cells), "of_all": pack(of_all(cells))}
    return group._asdict() | dict(zip(("span", "start"), key, strict=True)) | columns


def unpacked(group: Group, row: Any) -> Cells:
    """The counts that a row of `packed_durations` has.

    Raises:
        UnreadableError: Nobody packed it like that; a file was damaged, say.
    """
    try:
        return unpack(row.by_profile)
    except ValueError as error:
        raise UnreadableError(f"durations of {tuple(group)}", error) from error


def _by_row(group: Group, loose: Iterable[Any]) -> dict[RowKey, Cells]:
    """The counts of rows of `durations`, by the packed rows that have to have them."""
    days = added_up(by_day(group, loose))
    return {
        (span, group.start + first): cells
        for span in spans_of(group.version)
        for first, cells in of_span(days, span).items()
    }


def _packed(group: Group, keys: Iterable[RowKey], dialect: str) -> Select[Any]:
    """The packed rows of a group that are named, in their order."""
    key = [packed_durations.c.span, packed_durations.c.start]
    mine = packed_durations.c.project == group.project, packed_durations.c.version == group.version
    return select(packed_durations).where(*mine, among(key, sorted(keys), dialect)).order_by(*key)


def _together(
    group: Group, packed: Iterable[Any], more: Mapping[RowKey, Cells]
) -> dict[RowKey, dict[str, Any] | None]:
    """The packed rows once more counts are in them; None where nothing is left of one."""
    there = {(row.span, row.start): row for row in packed}
    rows: dict[RowKey, dict[str, Any] | None] = {}
    for key, cells in more.items():
        left = added_up(unpacked(group, there[key]) if key in there else {}, cells)
        rows[key] = packed_row(group, key, left) if left else None
    return rows


async def _exchange(
    group: Group,
    packed: Sequence[Any],
    loose: Sequence[Any],
    rows: Mapping[RowKey, dict[str, Any] | None],
    connection: AsyncConnection,
) -> int:
    """Put rows in the place of others, unless somebody has packed or taken these meanwhile.

    Whatever was read, and when, the counts add up to what they did: those that are packed are as
    they were, all others are there and locked, and lose what the packed ones gain.

    Args:
        group: What they are of.
        packed: The rows of `packed_durations` that were read.
        loose: And those of `durations`; what was counted there since is left.
        rows: What is packed from now on, and None where nothing is.
        connection: In a transaction that writes.

    Returns:
        How many rows of `durations` were packed.
    """
    await hold_durations(connection)
    dialect = connection.dialect.name
    counted = {tuple(row[: len(_KEY)]): row.sessions for row in loose}
    those = among(_KEY, list(counted), dialect)
    query = select(durations).where(those).order_by(*_KEY).with_for_update()
    now = (await connection.execute(query)).all()
    there = (await connection.execute(_packed(group, rows, dialect))).all()
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
    key = list(packed_durations.primary_key)
    gone = [tuple(getattr(row, of.name) for of in key) for row in packed]
    await connection.execute(delete(packed_durations).where(among(key, gone, dialect)))
    if new := [row for row in rows.values() if row is not None]:
        await connection.execute(packed_durations.insert(), new)
    return len(loose)
