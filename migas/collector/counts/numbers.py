"""The numbers of users and profiles, for rows that SQL makes: no SQL can find them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import BigInteger, Column, MetaData, Select, Table, and_, func, literal, select

from migas.collector.counts.slices import NO_USER, RanOn, profile_of
from migas.collector.counts.visits import number_of_user
from migas.collector.database.statements import insert_in_batches
from migas.collector.database.tables import UNTOLD, crumbs, sessions, users

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sqlalchemy import Connection


class Numbers(NamedTuple):
    """Tables of all users and profiles that breadcrumbs have, with their numbers."""

    users: Table
    profiles: Table


@contextmanager
def numbers(connection: Connection) -> Iterator[Numbers]:
    """All numbers, for the time of a block; where it fails, its transaction takes them along.

    Args:
        connection: In a transaction that may write.
    """
    # By their keys each session is led to its own; without them SQLite would read all for each.
    temporary = MetaData()
    of_users = Table(
        "numbered_users",
        temporary,
        Column("user_id", users.c.user_id.type, primary_key=True),
        Column("user_type", users.c.user_type.type, nullable=False),
        Column("user_number", BigInteger, nullable=False),
        prefixes=["TEMPORARY"],
    )
    user_type = func.coalesce(users.c.user_type, NO_USER).label("user_type")
    ran_on = [crumbs.c[name] for name in RanOn._fields]
    of_profiles = Table(
        "numbered_profiles",
        temporary,
        *(Column(of.name, of.type, primary_key=True) for of in (*ran_on, users.c.user_type)),
        Column("profile", BigInteger, nullable=False),
        prefixes=["TEMPORARY"],
    )
    temporary.create_all(connection)
    of_crumb = users.c.user_id == crumbs.c.user_id
    every = select(crumbs.c.user_id).where(crumbs.c.user_id.isnot(None)).distinct().subquery()
    typed = select(every.c.user_id, user_type).join_from(
        every, users, users.c.user_id == every.c.user_id, isouter=True
    )
    rows = [(*row, number_of_user(row.user_id)) for row in connection.execute(typed)]
    _insert(connection, of_users, rows)
    kinds = select(*ran_on, user_type).join_from(crumbs, users, of_crumb, isouter=True).distinct()
    rows = [
        (*ran_on, kind, profile_of(RanOn(*ran_on), kind).number)
        for *ran_on, kind in connection.execute(kinds)
    ]
    _insert(connection, of_profiles, rows)
    yield Numbers(of_users, of_profiles)
    temporary.drop_all(connection)


def with_numbers(told: Select[Any], by: Numbers) -> Select[Any]:
    """Sessions as their table has them.

    Args:
        told: What breadcrumbs tell of them: the `COLUMNS` of `told`.
        by: The numbers.
    """
    of = told.subquery()
    user, profile = by.users.c, by.profiles.c
    alike = [of.c[name] == profile[name] for name in RanOn._fields]
    kind = func.coalesce(user.user_type, NO_USER)
    columns: dict[str, Any] = dict(of.c.items())
    columns |= {"profile": profile.profile, "user_number": user.user_number}
    columns |= {name: literal(value, sessions.c[name].type) for name, value in UNTOLD.items()}
    named = (columns[name].label(name) for name in sessions.c.keys())  # noqa: SIM118  no dict
    return (
        select(*named)
        .join_from(of, by.users, user.user_id == of.c.user_id, isouter=True)
        .join(by.profiles, and_(*alike, profile.user_type == kind), isouter=True)
    )


def _insert(connection: Connection, table: Table, rows: Iterable[tuple[Any, ...]]) -> None:
    named = (dict(zip(table.c.keys(), row, strict=True)) for row in rows)
    insert_in_batches(connection, table, named)
