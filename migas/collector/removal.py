"""Deleting breadcrumbs, so that counts are afterwards what the others say: a person's, or old ones.

A few sessions at a time, each few in a transaction of their own: nobody waits long.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import and_, delete, or_, select, tuple_

from .rebuild import derived_sessions, derived_users, session_id_of
from .recording import lock_sessions
from .sessions import SECONDS_A_DAY, Session, anonymous_session, differences
from .tables import crumbs, project_users, sessions, users

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import ColumnElement
    from sqlalchemy.ext.asyncio import AsyncConnection

    from .storage import Storage

AT_ONCE = 500
"""Sessions, or breadcrumbs, in one transaction."""


class Removed(NamedTuple):
    """How much was deleted."""

    breadcrumbs: int
    users: int


async def forget_user(storage: Storage, user_id: str) -> Removed:
    """Delete a user and all of their breadcrumbs.

    Args:
        storage: Where they are.
        user_id: In its canonical form.
    """
    removed = 0
    while True:
        async with storage.writing() as connection:
            found = select(crumbs.c.idx).where(crumbs.c.user_id == user_id).limit(AT_ONCE)
            indices = list(await connection.scalars(found))
            removed += len(indices)
            if indices:
                await _remove(storage, connection, crumbs.c.idx.in_(indices))
                continue
            of_user = [delete(t).where(t.c.user_id == user_id) for t in (project_users, users)]
            gone = [(await connection.execute(statement)).rowcount for statement in of_user]
        return Removed(removed, int(gone[1] > 0))


async def forget_before(storage: Storage, day: int) -> Removed:
    """Delete the sessions that began before a day, and users of whom nothing else is there.

    Args:
        storage: Where they are.
        day: In days since 1970.
    """
    removed = 0
    while True:
        async with storage.writing() as connection:
            old = (
                select(sessions.c.session_id, sessions.c.project)
                .where(sessions.c.began < day * SECONDS_A_DAY)
                .limit(AT_ONCE)
            )
            keys = [tuple(row) for row in await connection.execute(old)]
            if not keys:
                break
            named = [key for key in keys if _anonymous_day(key[0]) is None]
            condition = or_(
                tuple_(crumbs.c.session_id, crumbs.c.project).in_(named),
                *(_anonymous(key) for key in keys if key not in named),
            )
            removed += await _remove(storage, connection, condition)
    async with storage.writing() as connection:
        seen = select(project_users.c.user_id)
        gone = await connection.execute(delete(users).where(users.c.user_id.not_in(seen)))
    return Removed(removed, gone.rowcount)


async def _remove(
    storage: Storage, connection: AsyncConnection, condition: ColumnElement[bool]
) -> int:
    """Delete breadcrumbs and settle the sessions, users and counts that they had a part in."""
    dialect = connection.dialect.name
    ids = session_id_of(dialect)
    touched = select(crumbs.c.idx, ids, crumbs.c.project, crumbs.c.user_id).where(condition)
    rows = (await connection.execute(touched)).all()
    keys = sorted({(row[1], row[2]) for row in rows})
    people = {(row[3], row[2]) for row in rows if row[3] is not None}
    before = {session.key: session for session in await lock_sessions(connection, keys)}
    for start in range(0, len(rows), AT_ONCE):
        some = [row[0] for row in rows[start : start + AT_ONCE]]
        await connection.execute(delete(crumbs).where(crumbs.c.idx.in_(some)))
    left = derived_sessions(dialect, or_(*_of_sessions(keys)))
    after = {s.key: s for s in [Session(*row) for row in await connection.execute(left)]}
    gone = tuple_(sessions.c.session_id, sessions.c.project).in_(keys)
    await connection.execute(delete(sessions).where(gone))
    if after:
        await connection.execute(
            sessions.insert(), [session._asdict() for session in after.values()]
        )
    await storage.recorder.add(
        connection, differences((before.get(key), after.get(key)) for key in keys)
    )
    await _settle_users(connection, sorted(people))
    return len(rows)


async def _settle_users(connection: AsyncConnection, people: Sequence[tuple[str, str]]) -> None:
    if not people:
        return
    theirs = tuple_(project_users.c.user_id, project_users.c.project).in_(people)
    await connection.execute(delete(project_users).where(theirs))
    left = derived_users(tuple_(crumbs.c.user_id, crumbs.c.project).in_(people))
    names = project_users.columns.keys()
    rows = [dict(zip(names, row, strict=True)) for row in await connection.execute(left)]
    if rows:
        await connection.execute(project_users.insert(), rows)


def _of_sessions(keys: Sequence[tuple[str, str]]) -> list[ColumnElement[bool]]:
    """Conditions that are met by the breadcrumbs of some sessions."""
    named = [key for key in keys if _anonymous_day(key[0]) is None]
    return [
        tuple_(crumbs.c.session_id, crumbs.c.project).in_(named),
        *(_anonymous(key) for key in keys if _anonymous_day(key[0]) is not None),
    ]


def _anonymous(key: tuple[str, Any]) -> ColumnElement[bool]:
    day = _anonymous_day(key[0])
    assert day is not None
    first = day * SECONDS_A_DAY
    return and_(
        crumbs.c.project == key[1],
        crumbs.c.timestamp >= first,
        crumbs.c.timestamp < first + SECONDS_A_DAY,
        or_(crumbs.c.session_id.is_(None), crumbs.c.session_id == key[0]),
    )


def _anonymous_day(session_id: str) -> int | None:
    """The day whose breadcrumbs without a session an id stands for."""
    day = int(session_id[-12:], 16)
    return day if session_id == anonymous_session(day * SECONDS_A_DAY) else None
