"""Sessions, users and counts from the breadcrumbs alone, and whether they were the same.

Ingestion keeps all three up to date by differences. Here they are made anew in another way, by
sorting and grouping every breadcrumb there is.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import (
    BigInteger,
    Column,
    CompoundSelect,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Select,
    Table,
    Uuid,
    bindparam,
    case,
    cast,
    delete,
    distinct,
    func,
    insert,
    literal,
    literal_column,
    select,
    text,
    union_all,
    update,
)

from migas.collector.counts.appearances import derived_user_counts
from migas.collector.counts.durations_anew import durations_anew
from migas.collector.counts.fingerprint import fingerprint
from migas.collector.counts.numbers import numbers, with_numbers
from migas.collector.counts.packed_groups import block_in_sql
from migas.collector.counts.sessions import Count, Session, counted
from migas.collector.counts.slices import RanOn, Slices, add_to, profile_of
from migas.collector.counts.told import COLUMNS
from migas.collector.counts.visit_packing import store, unpack_all
from migas.collector.counts.visits import ENDING_STATUSES
from migas.collector.database.statements import insert_in_batches
from migas.collector.database.tables import (
    COUNTED_AT,
    MAX_VALUE_CHARS,
    crumbs,
    daily,
    error_users,
    packed_visits,
    profiles,
    project_users,
    sessions,
    slices,
    visits,
)
from migas.collector.days import SECONDS_A_DAY

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from sqlalchemy import ColumnElement, Connection

    from migas.collector.counts.numbers import Numbers
    from migas.collector.counts.told import Described

_BATCH = 5000
"""So many breadcrumbs are in memory at a time."""

_STATE = ("project", "version", "status", "fingerprint", "profile")


class Difference(NamedTuple):
    """How many rows there are, and how many of those kept by ingestion were not the same."""

    sessions: int
    users: int
    counts: int
    errors: int
    wrong_sessions: int
    wrong_users: int
    wrong_counts: int
    wrong_errors: int

    @property
    def none(self) -> bool:
        """Whether everything was as it had to be."""
        return not any(
            (self.wrong_sessions, self.wrong_users, self.wrong_counts, self.wrong_errors)
        )


def rebuild(connection: Connection) -> Difference:
    """Make sessions, users and counts anew, and compare them with what was there.

    Args:
        connection: In a transaction that may write; no other one may write before it ends.

    Returns:
        What there is now, and how much of it was different before.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("LOCK TABLE crumbs IN SHARE MODE"))
        connection.execute(
            text(
                "LOCK TABLE project_users, sessions, visits, packed_visits, error_users, profiles,"
                " slices, durations, packed_durations, daily IN EXCLUSIVE MODE"
            )
        )
    errors, wrong_errors = _tell_errors_apart(connection)
    with numbers(connection) as by:
        told = told_sessions(connection.dialect.name)
        wrong_sessions = _replace(connection, sessions, with_numbers(told, by))
        appeared = derived_users().subquery()
        user = by.users.c
        of_user = user.user_id == appeared.c.user_id
        placed = select(appeared, user.user_number).join_from(appeared, by.users, of_user)
        wrong_users = _replace(connection, project_users, placed)
        described = _described(connection, by)
    # In the order of its key a table is written faster, and on PostgreSQL read faster, too.
    failures = derived_failures().order_by(*(of.name for of in error_users.primary_key))
    wrong_users += _replace(connection, error_users, failures)
    wrong_users += _visits_anew(connection)
    counts, of_slices = _counts(connection)
    counts.update(derived_user_counts(connection))
    by_count = {tuple(count): (number,) for count, number in counts.items()}
    by_slice = {key: tuple(numbers) for key, numbers in of_slices.items()}
    wrong_counts = _count_anew(connection, daily, by_count, example=0)
    wrong_counts += _count_anew(connection, slices, by_slice)
    by_bucket, wrong_durations = durations_anew(connection)
    wrong_counts += wrong_durations
    wrong_counts += len(described.difference(map(tuple, connection.execute(select(profiles)))))
    connection.execute(delete(profiles))
    by_name = (dict(zip(profiles.c.keys(), row, strict=True)) for row in sorted(described))
    insert_in_batches(connection, profiles, by_name)
    return Difference(
        _size(connection, sessions),
        _size(connection, project_users),
        len(by_count) + len(by_slice) + by_bucket,
        errors,
        wrong_sessions,
        wrong_users,
        wrong_counts,
        wrong_errors,
    )


def told_sessions(dialect: str, *conditions: ColumnElement[bool]) -> Select[Any]:
    """Sessions as their breadcrumbs tell them: in the order of `COLUMNS`.

    Args:
        dialect: `sqlite` or `postgresql`.
        conditions: Which breadcrumbs to look at; all of them without any.
    """
    ids = session_id_of(dialect)
    newest = func.max(crumbs.c.idx)
    # As `joined` has it: what came behind an end and says that the run goes on speaks for nothing.
    speaks = func.coalesce(newest.filter(crumbs.c.status != "R"), newest)
    last = (
        select(
            ids.label("session_id"),
            func.min(crumbs.c.timestamp).label("began"),
            func.max(crumbs.c.timestamp).label("seen"),
            speaks.label("last_idx"),
        )
        .where(*conditions)
        .group_by(ids, crumbs.c.project)
        .subquery()
    )
    error = func.substr(crumbs.c.error_type, 1, MAX_VALUE_CHARS)
    columns: dict[str, ColumnElement[Any]] = {
        "session_id": last.c.session_id,
        "began": last.c.began,
        "seen": last.c.seen,
        "last_idx": last.c.last_idx,
        "error_type": case((crumbs.c.error_type.is_(None), None), else_=error),
    }
    every = {**dict(crumbs.c.items()), **columns}
    return select(*(every[name].label(name) for name in COLUMNS)).join_from(
        last, crumbs, crumbs.c.idx == last.c.last_idx
    )


def derived_users(*conditions: ColumnElement[bool]) -> Select[Any]:
    """When each user was first and last seen in a project, from breadcrumbs."""
    day = func.coalesce(crumbs.c.ended, crumbs.c.timestamp) // SECONDS_A_DAY
    return (
        select(
            crumbs.c.user_id,
            crumbs.c.project,
            func.min(day).label("first_day"),
            func.max(day).label("last_day"),
        )
        .where(crumbs.c.user_id.isnot(None), *conditions)
        .group_by(crumbs.c.user_id, crumbs.c.project)
    )


def derived_failures(*conditions: ColumnElement[bool]) -> Select[Any]:
    """When each user was last hit by an error, from sessions, in the order of the table."""
    by = (sessions.c.project, sessions.c.fingerprint, sessions.c.user_number)
    known = (sessions.c.fingerprint.isnot(None), sessions.c.user_number.isnot(None))
    last = func.max(COUNTED_AT // SECONDS_A_DAY)
    return select(*by, last).where(*known, *conditions).group_by(*by)


def derived_visits(*conditions: ColumnElement[bool]) -> CompoundSelect[Any]:
    """On which days each user was seen, from sessions, in the order of the table."""
    day = COUNTED_AT // literal_column(str(SECONDS_A_DAY), BigInteger)
    block = block_in_sql(day)
    bit = cast(literal_column("1"), BigInteger).bitwise_lshift(cast(day - block, Integer))
    # Each bit once: their sum has all of them.
    days = func.sum(distinct(bit))
    of = [days, *(days.filter(sessions.c.status == status) for status in ENDING_STATUSES)]
    known = (sessions.c.user_number.isnot(None), sessions.c.profile.isnot(None))
    version, *alike = (sessions.c[name] for name in ("version", "profile", "user_number"))
    by_version, by_none = (
        select(
            sessions.c.project,
            which,
            *alike,
            block.label("start"),
            *(cast(each, BigInteger) for each in of),
        )
        .where(*known, *conditions)
        .group_by(sessions.c.project, *own, *alike, block)
        for which, own in ((version, [version]), (literal("").label("version"), []))
    )
    return union_all(by_version, by_none)


def session_id_of(dialect: str) -> ColumnElement[Any]:
    """A breadcrumb's session, or what stands for it: `anonymous_session` in SQL."""
    day = crumbs.c.timestamp // SECONDS_A_DAY
    if dialect == "postgresql":
        zeros = literal("00000000-0000-0000-0000-")
        anonymous = cast(zeros.concat(func.lpad(func.to_hex(day), 12, "0")), Uuid(as_uuid=False))
        return func.coalesce(crumbs.c.session_id, anonymous)
    return func.coalesce(crumbs.c.session_id, func.printf("00000000-0000-0000-0000-%012x", day))


def _tell_errors_apart(connection: Connection) -> tuple[int, int]:
    """Give every failed breadcrumb its fingerprint; return how many have one, and had another."""
    update_one = (
        update(crumbs)
        .where(crumbs.c.idx == bindparam("of"))
        .values(fingerprint=bindparam("fingerprint"))
    )
    columns = ("status", "error_type", "status_desc", "error_desc")
    query = (
        select(crumbs.c.idx, crumbs.c.fingerprint, *(crumbs.c[name] for name in columns))
        .where(crumbs.c.status == "F", crumbs.c.error_type.isnot(None))
        .order_by(crumbs.c.idx)
        .limit(_BATCH)
    )
    number = wrong = last = 0
    while rows := connection.execute(query.where(crumbs.c.idx > last)).all():
        last = rows[-1].idx
        told = [(row, fingerprint(*row[2:])) for row in rows]
        number += sum(right is not None for _, right in told)
        changes = [
            {"of": row.idx, "fingerprint": right} for row, right in told if row.fingerprint != right
        ]
        wrong += len(changes)
        if changes:
            connection.execute(update_one, changes)
    return number, wrong


def _replace(
    connection: Connection, table: Table, derived: Select[Any] | CompoundSelect[Any]
) -> int:
    """Put derived rows in the place of a table's; return how many were not among them."""
    name = f"kept_{table.name}"
    connection.execute(text(f"CREATE TEMPORARY TABLE {name} AS SELECT * FROM {table.name}"))  # noqa: S608  a name of ours
    connection.execute(delete(table))
    connection.execute(insert(table).from_select(table.columns.keys(), derived))
    columns = [column.name for column in table.columns]
    kept: Any = select(*(literal_column(column) for column in columns)).select_from(text(name))
    wrong = _wrong(connection, kept, table)
    connection.execute(text(f"DROP TABLE {name}"))
    return wrong


def _wrong(connection: Connection, kept: Select[Any], table: Table) -> int:
    """How many rows of a table were not among those that were kept, or the other way round."""
    if connection.execute(kept.limit(1)).first() is None:
        return _size(connection, table)  # to compare millions of rows with none takes minutes
    return max(
        int(connection.execute(select(func.count()).select_from(only.subquery())).scalar_one())
        for only in (kept.except_(select(table)), select(table).except_(kept))
    )


def _visits_anew(connection: Connection) -> int:
    """Make visits anew, and pack them; return how many were wrong."""
    kept, derived = _like_visits("kept_visits"), _like_visits("derived_visits")
    for temporary in (kept, derived):
        temporary.create(connection)
    names = visits.columns.keys()
    connection.execute(insert(kept).from_select(names, select(visits)))
    unreadable = unpack_all(connection, kept)
    connection.execute(insert(derived).from_select(names, derived_visits()))
    wrong = _wrong(connection, select(kept), derived) + unreadable
    kept.drop(connection)
    connection.execute(delete(visits))
    connection.execute(delete(packed_visits))
    store(connection, derived)
    derived.drop(connection)
    return wrong


def _like_visits(name: str) -> Table:
    """A temporary table for visits, in the order in which they are packed."""
    columns = [Column(of.name, of.type, nullable=of.nullable) for of in visits.c]
    order = PrimaryKeyConstraint("project", "version", "start", "user_number", "profile")
    return Table(name, MetaData(), *columns, order, prefixes=["TEMPORARY"])


def _counts(connection: Connection) -> tuple[Counter[Count], Slices]:
    """What `daily` and `slices` must hold of sessions."""
    day = COUNTED_AT // SECONDS_A_DAY
    state = [sessions.c[name] for name in _STATE]
    query = select(day, func.count(), *state).group_by(day, *state)
    total: Counter[Count] = Counter()
    of_slices: Slices = {}
    for counted_on, number, *values in connection.execute(query):
        named = dict(zip(_STATE, values, strict=True))
        alike = Session("", began=counted_on * SECONDS_A_DAY, seen=0, last_idx=0, **named)
        for count in counted(alike):
            total[count] += number
        add_to(of_slices, alike, number)
    return total, of_slices


def _described(connection: Connection, by: Numbers) -> Described:
    """What `profiles` must hold of those that sessions have."""
    kinds = {
        row.profile: profile_of(RanOn(*row[:-2]), row.user_type)
        for row in connection.execute(select(by.profiles))
    }
    used = select(sessions.c.project, sessions.c.profile).distinct()
    return {(project, *kinds[profile]) for project, profile in connection.execute(used)}


def _count_anew(
    connection: Connection,
    table: Table,
    expected: Mapping[tuple[Any, ...], tuple[int, ...]],
    **others: int,
) -> int:
    """Put counts in the place of a table's; return how many were different.

    Args:
        connection: In a transaction that may write.
        table: With the counts' key before its shards, if it has any, and their numbers after it.
        expected: Numbers by key.
        others: What else a row has.
    """
    key = [column for column in table.primary_key if column.name != "shard"]
    numbers = [column for column in table.c if not (column.primary_key or column.name in others)]
    query = select(*key, *(func.sum(number) for number in numbers)).group_by(*key)
    size = len(key)
    stored = {tuple(row[:size]): tuple(map(int, row[size:])) for row in connection.execute(query)}
    nothing = (0,) * len(numbers)
    wrong = sum(
        expected.get(of, nothing) != stored.get(of, nothing) for of in expected.keys() | stored
    )
    connection.execute(delete(table))
    names = [column.name for column in (*key, *numbers)]
    if "shard" in table.c:
        others["shard"] = 0
    rows = (dict(zip(names, (*of, *sums), strict=True)) | others for of, sums in expected.items())
    insert_in_batches(connection, table, rows)
    return wrong


def _size(connection: Connection, table: Table) -> int:
    return int(connection.execute(select(func.count()).select_from(table)).scalar_one())
