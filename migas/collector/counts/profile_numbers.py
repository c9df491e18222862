"""The numbers of profiles, for sessions that SQL makes: no SQL can find the one of a profile."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, Column, MetaData, Select, Table, and_, func, select

from migas.collector.counts.slices import NO_USER, number_of
from migas.collector.database.statements import insert_in_batches
from migas.collector.database.tables import crumbs, users

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

_RAN_ON = ("platform", "container", "language", "language_version", "is_ci")


@contextmanager
def numbered_profiles(connection: Connection) -> Iterator[Table]:
    """A table of the profiles that breadcrumbs have, with their numbers, for the time of a block.

    Args:
        connection: In a transaction that may write.
    """
    ran_on = [crumbs.c[name] for name in _RAN_ON]
    user_type = func.coalesce(users.c.user_type, NO_USER).label("user_type")
    of_user = users.c.user_id == crumbs.c.user_id
    every = select(*ran_on, user_type).join_from(crumbs, users, of_user, isouter=True).distinct()
    # By this key each session is led to its own; without it SQLite would read all for each.
    columns = [Column(of.name, of.type, primary_key=True) for of in (*ran_on, user_type)]
    numbered = Table(
        "numbered_profiles",
        MetaData(),
        *columns,
        Column("profile", BigInteger),
        prefixes=["TEMPORARY"],
    )
    numbered.create(connection)
    rows = []
    for *values, kind in connection.execute(every):
        number = number_of(*values, kind)
        rows.append(dict(zip(numbered.c.keys(), (*values, kind, number), strict=True)))
    insert_in_batches(connection, numbered, rows)
    yield numbered
    numbered.drop(connection)


def with_profiles(derived: Select[Any], numbered: Table) -> Select[Any]:
    """Sessions with the numbers of their profiles.

    Args:
        derived: The sessions, with all columns of their table.
        numbered: What `numbered_profiles` made.
    """
    of = derived.subquery()
    kind = func.coalesce(users.c.user_type, NO_USER)
    alike = [of.c[name] == numbered.c[name] for name in _RAN_ON]
    columns = {"profile": numbered.c.profile}
    return (
        select(*(columns.get(name, column).label(name) for name, column in of.c.items()))
        .join_from(of, users, users.c.user_id == of.c.user_id, isouter=True)
        .join(numbered, and_(*alike, numbered.c.user_type == kind), isouter=True)
    )
