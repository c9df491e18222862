"""Counting all durations anew from sessions, and comparing them with what was kept."""

from __future__ import annotations

from collections import Counter
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from sqlalchemy import Integer, delete, literal_column, select

from migas.collector.counts.duration_packing import (
    MANY,
    are_loose,
    are_of,
    by_day,
    packed_row,
    unpacked,
)
from migas.collector.counts.durations import DurationCount, bucket
from migas.collector.counts.packed_durations import (
    Cells,
    added_up,
    cell,
    of_days,
    of_span,
    parts,
    spans_of,
    unpack,
)
from migas.collector.counts.packed_groups import Group, UnreadableError, block_in_sql
from migas.collector.database.statements import insert_in_batches
from migas.collector.database.tables import COUNTED_AT, durations, packed_durations, sessions
from migas.collector.days import SECONDS_A_DAY, block_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy import Connection

_FETCHED = 5000
"""So many sessions are in memory at a time."""


def durations_anew(connection: Connection) -> tuple[int, int]:
    """Make all durations anew, packed where there are many.

    Args:
        connection: In a transaction that may write; no other one may write before it ends.

    Returns:
        How many counts there are, and how many were wrong.
    """
    left = set(_groups(connection))
    size = wrong = 0
    for group, cells in _derived(connection):
        wrong += _replace(connection, group, cells)
        size += len(cells)
        left.discard(group)
    return size, wrong + sum(_replace(connection, group, {}) for group in left)


def _groups(connection: Connection) -> Iterator[Group]:
    """The groups that either table has anything of."""
    for table, day in ((durations, durations.c.day), (packed_durations, packed_durations.c.start)):
        days = select(table.c.project, table.c.version, day).distinct()
        for project, version, number in connection.execute(days):
            yield Group(project, version, block_of(number))


def _derived(connection: Connection) -> Iterator[tuple[Group, Cells]]:
    """The counts by day of each group, as sessions tell them."""
    day = COUNTED_AT // literal_column(str(SECONDS_A_DAY), Integer)
    by = sessions.c.project, block_in_sql(day).label("start"), sessions.c.version
    query = (
        select(*by, day.label("day"), sessions.c.profile, sessions.c.duration)
        .where(sessions.c.status == "C", sessions.c.duration.isnot(None))
        .where(sessions.c.profile.isnot(None))
        .order_by(*by)
    )
    rows = connection.execute(query, execution_options={"yield_per": _FETCHED})
    for (project, begin), of_block in groupby(rows, attrgetter("project", "start")):
        every: Counter[int] = Counter()
        for version, those in groupby(of_block, attrgetter("version")):
            cells: Counter[int] = Counter()
            for row in those:
                cells[cell(row.profile, row.day - begin, bucket(row.duration))] += 1
            every.update(cells)
            yield Group(project, version, begin), cells
        yield Group(project, "", begin), every


def _replace(connection: Connection, group: Group, cells: Cells) -> int:
    """Put counts in the place of what is kept of a group; return how many of these were wrong."""
    key = packed_durations.c.span, packed_durations.c.start
    mine = are_of(group, packed_durations, packed_durations.c.start)
    packed = connection.execute(select(packed_durations).where(*mine).order_by(*key)).all()
    loose = connection.execute(select(durations).where(*are_loose(group))).all()
    rows = _rows(group, cells) if len(cells) >= MANY else []
    if rows and not loose and [row._asdict() for row in packed] == rows:
        return 0
    connection.execute(delete(durations).where(*are_loose(group)))
    connection.execute(delete(packed_durations).where(*mine))
    if rows:
        connection.execute(packed_durations.insert(), rows)
    else:
        insert_in_batches(connection, durations, _as_rows(group, cells))
    return _wrong(group, packed, loose, cells)


def _rows(group: Group, days: Cells) -> list[dict[str, Any]]:
    """The rows of `packed_durations` that have the counts of a group by day, in their order."""
    return [
        packed_row(group, (span, group.start + first), cells)
        for span in spans_of(group.version)
        for first, cells in sorted(of_span(days, span).items())
    ]


def _as_rows(group: Group, cells: Cells) -> Iterator[dict[str, Any]]:
    """The rows of `durations` that have the counts by day of a group."""
    for profile, day, of, runs in parts(cells):
        count = DurationCount(group.project, group.version, group.start + day, profile, of)
        yield count._asdict() | {"shard": 0, "sessions": runs}


def _wrong(group: Group, packed: Sequence[Any], loose: Sequence[Any], cells: Cells) -> int:
    """How many counts that were kept of a group are not those that there have to be."""
    if not packed and not loose:  # as in an upgrade
        return len(cells)
    try:
        rows = {row.start - group.start: unpacked(group, row) for row in packed if row.span == 1}
    except UnreadableError:
        rows = {}
    days = of_days(rows)
    kept = added_up(days, by_day(group, loose))
    differing = sum(kept.get(of, 0) != cells.get(of, 0) for of in kept.keys() | cells)
    made = {(row["span"], row["start"]): row for row in _rows(group, days)}
    there = {(row.span, row.start): row for row in packed}
    return differing + sum(
        not _are_same(there.get(key), made.get(key)) for key in there.keys() | made
    )


def _are_same(row: Any | None, made: dict[str, Any] | None) -> bool:
    """Whether a packed row has the counts of another one, however these were compressed."""
    names = "by_profile", "of_all"
    try:
        return (
            row is not None
            and made is not None
            and all(
                getattr(row, name) == made[name] or unpack(getattr(row, name)) == unpack(made[name])
                for name in names
            )
        )
    except ValueError:
        return False
