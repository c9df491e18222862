"""On which days users appeared in a project for the first time and the last time.

The days of each user are a row of `project_users`. How many rows have a day in common is counted in
`daily`, by the users' types, so that nobody need read these rows one by one.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    and_,
    bindparam,
    case,
    cast,
    false,
    func,
    literal,
    or_,
    select,
    update,
)

from migas.collector.counts.sessions import Count, differences
from migas.collector.counts.visits import number_of_user
from migas.collector.database.json_rows import RowByRow, among, given, insert_rows, packed
from migas.collector.database.prompt import as_text, prompt
from migas.collector.database.tables import daily, project_users, users

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from sqlalchemy import ColumnElement, Connection, Select
    from sqlalchemy.ext.asyncio import AsyncConnection

FIRST_SEEN = "first seen"
LAST_SEEN = "last seen"
"""Kinds of counts, of users: the value is their type, with which they were first seen."""

GENERAL = "general"
"""The type of nearly all users, and of those of whom none is known."""


class Appearance(NamedTuple):
    """The days since 1970 on which a user was first and last seen in a project."""

    user_id: str
    project: str
    first_day: int
    last_day: int

    @property
    def key(self) -> tuple[str, str]:
        """Whose days they are, and where."""
        return self.user_id, self.project


Change = tuple[Appearance | None, Appearance | None]
"""What an appearance was and what it is; None where there is none."""


class Noted(NamedTuple):
    """What became of appearances, and the types of their users."""

    changes: Sequence[Change] = ()
    types: Mapping[str | None, str] = {}


def row_of(of: Appearance) -> tuple[Any, ...]:
    """Its row, with the number of its user: the columns of `project_users`, in their order."""
    return (*of, number_of_user(of.user_id))


def joined(one: Appearance, other: Appearance) -> Appearance:
    """The days of a user from the first of all to the last of all."""
    # They may come in any order: clocks are set back, and two of them differ at midnight.
    first, last = min(one.first_day, other.first_day), max(one.last_day, other.last_day)
    return Appearance(one.user_id, one.project, first, last)


def counted_users(changes: Sequence[Change], types: Mapping[str | None, str]) -> Counter[Count]:
    """What to add to the counts of users.

    Args:
        changes: What became of appearances.
        types: The types of users, theirs among them.
    """

    def counted(of: Appearance) -> tuple[Count, Count]:
        kind = types.get(of.user_id, GENERAL)
        return (
            Count(of.project, FIRST_SEEN, of.first_day, kind, ""),
            Count(of.project, LAST_SEEN, of.last_day, kind, ""),
        )

    return differences(changes, counted)


def derived_user_counts(connection: Connection) -> Counter[Count]:
    """All counts of users, from their rows."""
    found: Counter[Count] = Counter()
    kind = func.coalesce(users.c.user_type, GENERAL)
    of_user = users.c.user_id == project_users.c.user_id
    for of, day in ((FIRST_SEEN, project_users.c.first_day), (LAST_SEEN, project_users.c.last_day)):
        by = (project_users.c.project, day, kind)
        query = select(*by, func.count()).join_from(project_users, users, of_user, isouter=True)
        for project, number, value, size in connection.execute(query.group_by(*by)):
            found[Count(project, of, number, value, "")] = size
    return found


def users_by(
    column: ColumnElement[Any], project: str, kind: str, days: ColumnElement[bool]
) -> Select[Any]:
    """How many users were first or last seen on some days, by a column of `daily`.

    Where an older collector has written, which counts none, a number may be below 0 until all are
    counted anew.

    Args:
        column: What they are counted by; it stands between the kind and the number.
        project: `owner/repo`.
        kind: `FIRST_SEEN` or `LAST_SEEN`.
        days: A condition of `daily.c.day`.
    """
    number = cast(func.sum(daily.c.sessions), BigInteger)
    those = (daily.c.project == project, daily.c.kind == kind, days)
    return select(literal(kind), column, number).where(*those).group_by(column)


def users_since(project: str, first: int, last: int) -> Select[Any]:
    """How many users were first and last seen on a day or after it.

    They are told apart by the kind of count, by whether that was before another day (-1), on it (0)
    or after it (1), and by type; for their numbers see `users_by`.
    """
    number = cast(func.sum(daily.c.sessions), BigInteger)
    is_kind = daily.c.kind.in_((FIRST_SEEN, LAST_SEEN))
    after = case((daily.c.day > last, 1), (daily.c.day == last, 0), else_=-1).label("after")
    by = (daily.c.kind, after, daily.c.value)
    those = (daily.c.project == project, is_kind, daily.c.day >= first)
    return select(*by, number).where(*those).group_by(*by)


async def types_of(
    connection: AsyncConnection, people: Collection[str | None]
) -> dict[str | None, str]:
    """The types of some users, as they were first seen, of those who are known."""
    rows = sorted((user,) for user in people if user is not None)
    if not rows:
        return {}
    if connection.dialect.name == "postgresql":
        found = await connection.execute(_TYPES, packed(rows))
        return {row[0]: row[1] for row in found}
    return dict(prompt(connection).find(_TYPE, rows))


async def note(connection: AsyncConnection, seen: Sequence[Appearance]) -> Noted:
    """Widen the days of users, who are in `users` already, by those on which they were seen.

    Args:
        connection: In a transaction that may write.
        seen: One of each user and project, in the order of these.
    """
    noting = _note_at_once if connection.dialect.name == "postgresql" else _note_one_by_one
    before, types = await noting(connection, seen)
    pairs = [(of, before.get(of.key)) for of in seen]
    changes = [(was, of if was is None else joined(was, of)) for of, was in pairs]
    return Noted([pair for pair in changes if pair[0] != pair[1]], types)


async def _note_at_once(
    connection: AsyncConnection, seen: Sequence[Appearance]
) -> tuple[dict[tuple[str, str], Appearance], dict[str | None, str]]:
    """Note users in PostgreSQL; return what was there of them, and their types.

    The first statement leaves each row there and this transaction's own: it inserts those that are
    not there, and locks all others, whoever inserts or deletes them at the same moment. So nobody
    changes one between that and the second statement, which reads them as they were before it.
    """
    rows = packed(map(row_of, seen))
    new = {(row.user_id, row.project) for row in await connection.execute(_OCCUPY, rows)}
    before: dict[tuple[str, str], Appearance] = {}
    types: dict[str | None, str] = {}
    for *known, user_type in await connection.execute(_WIDEN, rows):
        was = Appearance(*known)
        if was.key not in new:
            before[was.key] = was
        if user_type is not None:
            types[was.user_id] = user_type
    return before, types


async def _note_one_by_one(
    connection: AsyncConnection, seen: Sequence[Appearance]
) -> tuple[dict[tuple[str, str], Appearance], dict[str | None, str]]:
    """The same of SQLite, where nobody else writes meanwhile."""
    before: dict[tuple[str, str], Appearance] = {}
    types: dict[str | None, str] = {}
    unnumbered: set[tuple[str, str]] = set()  # by collectors of earlier steps
    found = prompt(connection).find(_KNOWN, ((of.project, of.user_id) for of in seen))
    for user_id, user_type, project, first_day, last_day, number in found:
        types[user_id] = user_type
        if project is not None:
            before[user_id, project] = Appearance(user_id, project, first_day, last_day)
            if number is None:
                unnumbered.add((user_id, project))
    now = (joined(before.get(of.key, of), of) for of in seen)
    is_written = (of for of in now if of != before.get(of.key) or of.key in unnumbered)
    if rows := list(map(row_of, is_written)):
        _WRITE.write(connection, rows)
    return before, types


_TYPES = select(users.c.user_id, users.c.user_type).where(
    among([users.c.user_id], None, "postgresql")
)
_TYPE = as_text(
    select(users.c.user_id, users.c.user_type).where(users.c.user_id == bindparam("of"))
)

_KEY = (project_users.c.user_id, project_users.c.project)
_DAYS = (project_users.c.first_day, project_users.c.last_day)
_NUMBER = project_users.c.user_number

_KNOWN = as_text(
    select(users.c.user_id, users.c.user_type, project_users.c.project, *_DAYS, _NUMBER)
    .join_from(
        users,
        project_users,
        and_(_KEY[0] == users.c.user_id, _KEY[1] == bindparam("project")),
        isouter=True,
    )
    .where(users.c.user_id == bindparam("of"))
)
_WRITE = RowByRow(
    project_users,
    lambda insert: insert.on_conflict_do_update(
        index_elements=_KEY,
        set_={column.name: insert.excluded[column.name] for column in (*_DAYS, _NUMBER)},
    ),
)

_OCCUPY = (
    insert_rows(project_users, project_users.columns.keys(), "postgresql")
    # A row that is there is locked even where the condition does not hold, and not returned.
    .on_conflict_do_update(index_elements=_KEY, set_={"last_day": _DAYS[1]}, where=false())
    .returning(*_KEY)
)
_SEEN = given(list(project_users.columns), "postgresql").subquery("seen")
_BEFORE = (
    select(
        *_KEY,
        *_DAYS,
        users.c.user_type,
        _SEEN.c.first_day.label("since"),
        _SEEN.c.last_day.label("until"),
        _SEEN.c.user_number,
    )
    .join_from(_SEEN, project_users, and_(_KEY[0] == _SEEN.c.user_id, _KEY[1] == _SEEN.c.project))
    .join(users, users.c.user_id == _KEY[0], isouter=True)
    .cte("before")
)
# It changes what has been read already: to look for all rows again would take as long once more.
_WIDER = (
    update(project_users)
    .values(
        first_day=func.least(_BEFORE.c.first_day, _BEFORE.c.since),
        last_day=func.greatest(_BEFORE.c.last_day, _BEFORE.c.until),
        user_number=_BEFORE.c.user_number,
    )
    .where(
        _KEY[0] == _BEFORE.c.user_id,
        _KEY[1] == _BEFORE.c.project,
        or_(
            _BEFORE.c.first_day > _BEFORE.c.since,
            _BEFORE.c.last_day < _BEFORE.c.until,
            _NUMBER.is_(None),  # collectors of earlier steps note none
        ),
    )
)
_WIDEN = select(*(_BEFORE.c[name] for name in (*Appearance._fields, "user_type"))).add_cte(
    _WIDER.cte("wider")
)
