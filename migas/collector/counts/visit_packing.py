"""Which visits are packed: many of a version and a block of days, when upkeep comes by.

A session adds its visit to a row of its own, and whoever takes back a day unpacks the visit that
loses it: rows can be locked one by one. Visits to whichever version stay rows. They are the fewer,
for users come back, and a filter by what runs ran on finds its profiles among them at once.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import Integer, delete, func, insert, literal_column, select

from migas.collector.counts.packed_groups import WORTH, Group, UnreadableError, aside
from migas.collector.counts.packed_visits import (
    BITS_IN_PART,
    DAYS,
    Visit,
    pack,
    part_of,
    unpack,
)
from migas.collector.counts.visits import ENDINGS
from migas.collector.database.json_rows import Writing, among
from migas.collector.database.packing_locks import hold_visits, keep_visits
from migas.collector.database.statements import insert_into
from migas.collector.database.tables import packed_visits, visits

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from sqlalchemy import ColumnElement, Connection, RowMapping, Table
    from sqlalchemy.ext.asyncio import AsyncConnection

    from migas.collector.counts.visits import Key
    from migas.collector.database.connections import Connections

MANY = 250
"""So many visits of a version and a block are packed; fewer stay rows."""

AT_ONCE = 2000
"""No more are packed in one transaction, those that are packed already among them, unless a single
part of all users has more."""

_BYTES_OF_KEY = 7
"""About so many bytes a packed visit's user and profile take."""

_log = logging.getLogger("migas.collector")

_COLUMNS = ("user_number", "profile", *DAYS)


class VisitPacking:
    """Packs the visits of one database.

    Args:
        connections: To the database.
    """

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def pack(self) -> int:
        """Pack the visits of which there are many; return how many were packed."""
        by = [visits.c[name] for name in Group._fields]
        loose = select(*by).where(visits.c.version != "").group_by(*by)
        packed = 0
        for row in await self._connections.rows(loose.having(func.count() >= MANY).order_by(*by)):
            try:
                packed += await self._pack_group(Group(*row))
            except UnreadableError as error:
                _log.warning("%s", error)
        return packed

    async def _pack_group(self, group: Group) -> int:
        """Pack the visits of a group, if they are worth writing all of its packed ones anew."""
        part = visits.c.user_number.bitwise_rshift(literal_column(str(BITS_IN_PART), Integer))
        rows = select(part, func.count()).where(*group.of(visits)).group_by(part)
        loose = dict(map(tuple, await self._connections.rows(rows)))
        size = func.length(packed_visits.c["keys"]) // _BYTES_OF_KEY
        there = select(packed_visits.c.part, size).where(*group.of(packed_visits))
        packed = dict(map(tuple, await self._connections.rows(there)))
        if sum(loose.values()) * WORTH < sum(packed.values()):
            return 0
        sizes = {part: number + packed.get(part, 0) for part, number in loose.items()}
        number = 0
        for some in _at_once(sizes):
            number += await self._connections.transact(partial(_pack, group, some))
        return number


def _at_once(sizes: Mapping[int, int]) -> Iterable[Sequence[int]]:
    """Parts with so many visits, loose or packed, that they are packed in one transaction."""
    some: list[int] = []
    number = 0
    for part in sorted(sizes):
        if some and number + sizes[part] > AT_ONCE:
            yield some
            some, number = [], 0
        some.append(part)
        number += sizes[part]
    if some:
        yield some


async def _pack(group: Group, parts: Sequence[int], connection: AsyncConnection) -> int:
    """Pack the loose visits of some parts of all users, with those that are packed already."""
    await hold_visits(connection)
    first, last = parts[0] << BITS_IN_PART, (parts[-1] + 1 << BITS_IN_PART) - 1
    of_users = visits.c.user_number.between(first, last)
    columns = [visits.c[name] for name in _COLUMNS]
    gone = delete(visits).where(*group.of(visits), of_users).returning(*columns)
    by_part: defaultdict[int, list[Visit]] = defaultdict(list)
    number = 0
    for row in await connection.execute(gone):
        number += 1
        by_part[part_of(row.user_number)].append(_visit(row))
    of_parts = packed_visits.c.part.in_(list(by_part))
    there = select(packed_visits).where(*group.of(packed_visits), of_parts)
    packed = (await connection.execute(there)).mappings().all()

    def together() -> list[dict[str, Any]]:
        for row in packed:
            by_part[row["part"]] += unpack(row)
        return [_row(group, *of) for of in sorted(by_part.items())]

    await _replace(connection, await aside(connection, together))
    return number


async def _replace(connection: AsyncConnection, rows: Sequence[dict[str, Any]]) -> None:
    """Write rows of `packed_visits`, whether they are there or not."""
    written = insert_into(packed_visits, connection.dialect.name)
    replaced = written.on_conflict_do_update(
        index_elements=list(packed_visits.primary_key),
        set_={name: written.excluded[name] for name in ("keys", *DAYS)},
    )
    if rows:
        await connection.execute(replaced, rows)


async def unpack_visits(
    connection: AsyncConnection, keys: Iterable[Key], loose: Writing, *, every: bool
) -> None:
    """Make rows of packed visits again that are about to lose a day.

    Args:
        connection: In a transaction that writes.
        keys: Of the rows of `visits` that will be looked for.
        loose: Adds rows to `visits`.
        every: Whether those with which they are packed become rows, too: where sessions are
            deleted, they are next.
    """
    dialect = connection.dialect.name
    await keep_visits(connection)
    chunks: defaultdict[Key, set[tuple[int, int]]] = defaultdict(set)
    for project, version, profile, user, start in keys:
        if version:
            chunks[project, version, start, part_of(user)].add((user, profile))
    key = list(packed_visits.primary_key)
    those = select(packed_visits).where(among(key, sorted(chunks), dialect))
    locked = await connection.execute(those.order_by(*key).with_for_update())
    packed = locked.mappings().all()
    if packed:
        found = await aside(connection, partial(_unpacked, packed, chunks, every=every))
        if found.gone:
            gone = among(key, found.gone, dialect)
            await connection.execute(delete(packed_visits).where(gone))
        await _replace(connection, found.left)
        if found.rows:
            size = len(visits.primary_key)
            await loose.write(connection, sorted(found.rows, key=lambda row: row[:size]))


class _Unpacked(NamedTuple):
    """Which rows of packed visits are gone, what is left of others, and rows of visits."""

    gone: list[Key]
    left: list[dict[str, Any]]
    rows: list[tuple[Any, ...]]


def _unpacked(
    packed: Iterable[RowMapping], chunks: Mapping[Key, set[tuple[int, int]]], *, every: bool
) -> _Unpacked:
    """Unpack the visits of some users and profiles in each row, and all others if need be."""
    found = _Unpacked([], [], [])
    for row in packed:
        *names, part = chunk = tuple(row[of.name] for of in packed_visits.primary_key)
        group = Group(*names)
        try:
            taken, kept = _parted(unpack(row), chunks[chunk])
        except UnreadableError as error:  # a breadcrumb must not be lost for it
            _log.warning("%s", error)
            continue
        if not taken:
            continue
        if every or not kept:
            taken += kept
            found.gone.append(chunk)
        else:
            found.left.append(_row(group, part, kept))
        named = (group._asdict() | _columns_of(visit) for visit in taken)
        found.rows.extend(tuple(map(of.__getitem__, visits.columns.keys())) for of in named)
    return found


def _parted(
    those: Iterable[Visit], keys: Collection[tuple[int, int]]
) -> tuple[list[Visit], list[Visit]]:
    """The visits of some users and profiles, and the others."""
    taken: list[Visit] = []
    kept: list[Visit] = []
    for visit in those:
        (taken if (visit.user_number, visit.profile) in keys else kept).append(visit)
    return taken, kept


def adding_days(table: Table) -> Any:
    """What makes an INSERT into a table like `visits` add days to those of a row that is there."""

    def joined(new: Any) -> Any:
        days: dict[str, ColumnElement[int]] = {"days": table.c.days.bitwise_or(new.excluded.days)}
        is_more = table.c.days != days["days"]
        for name in ENDINGS:
            was, more = table.c[name], new.excluded[name]
            days[name] = func.coalesce(was.bitwise_or(more), was, more)
            is_more |= was.is_distinct_from(days[name])
        return new.on_conflict_do_update(
            index_elements=list(table.primary_key), set_=days, where=is_more
        )

    return joined


def unpack_all(connection: Connection, into: Table) -> int:
    """Add all packed visits to a table like `visits`.

    Args:
        connection: In a transaction that writes.
        into: The table; what is there keeps its days.

    Returns:
        How many packed rows cannot be read.
    """
    adding = adding_days(into)(insert_into(into, connection.dialect.name))
    unreadable = 0
    for packed in connection.execute(select(packed_visits)).mappings():
        group = {name: packed[name] for name in Group._fields}
        try:
            those = [group | _columns_of(visit) for visit in unpack(packed)]
        except UnreadableError:
            unreadable += 1
            continue
        connection.execute(adding, those)
    return unreadable


def store(connection: Connection, derived: Table) -> None:
    """Write all visits there are, many of a group packed, and the others as rows.

    Args:
        connection: In a transaction that writes; both tables of visits are empty.
        derived: Visits in a table like `visits`, which finds a group's rows quickly.
    """
    by = [derived.c[name] for name in Group._fields]
    sizes = connection.execute(select(*by, func.count()).group_by(*by)).all()
    for *names, size in sizes:
        group = Group(*names)
        if size < MANY or not group.version:
            rows = select(*(derived.c[name] for name in visits.c.keys()))  # noqa: SIM118  no dict
            rows = rows.where(*group.of(derived))
            connection.execute(insert(visits).from_select(visits.columns.keys(), rows))
            continue
        columns = [derived.c[name] for name in _COLUMNS]
        of_group = select(*columns).where(*group.of(derived)).order_by(derived.c.user_number)
        found = map(_visit, connection.execute(of_group))
        parts = groupby(found, key=lambda of: part_of(of.user_number))
        connection.execute(
            insert(packed_visits), [_row(group, part, list(those)) for part, those in parts]
        )


def _columns_of(visit: Visit) -> dict[str, int | None]:
    """The columns of `visits` that a group's visits do not share."""
    days = (of or None for of in visit.days)
    return dict(zip(_COLUMNS, (visit.user_number, visit.profile, *days), strict=True))


def _visit(row: Sequence[Any]) -> Visit:
    """What a row of `_COLUMNS` tells."""
    user, profile, *days = row
    return Visit(user, profile, tuple(of or 0 for of in days))


def _row(group: Group, part: int, those: Iterable[Visit]) -> dict[str, Any]:
    """A row of `packed_visits`; of visits that are there twice the days are those of both."""
    days: dict[tuple[int, int], tuple[int, ...]] = {}
    for user, profile, of in those:
        known = days.get((user, profile))
        days[user, profile] = of if known is None else _either(known, of)
    packed = pack(Visit(*key, of) for key, of in days.items())
    return group._asdict() | {"part": part} | packed


def _either(some: Sequence[int], others: Sequence[int]) -> tuple[int, ...]:
    return tuple(one | other for one, other in zip(some, others, strict=True))
