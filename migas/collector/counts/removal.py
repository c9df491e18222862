"""Deleting breadcrumbs: a person's, a project's, old ones. Counts are then what the others say.

A limited number of breadcrumbs at a time, each time in a transaction of its own: no writer
waits long. Tables are locked in the order in which `Recorder` and `Ledger` lock them.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import and_, delete, exists, func, select, text, union

from migas.collector.counts.appearances import Appearance, Noted, row_of, types_of
from migas.collector.counts.last_days import SESSION_KEY
from migas.collector.counts.ledger import insert_sessions, lock_sessions
from migas.collector.counts.rebuild import derived_users, session_id_of, told_sessions
from migas.collector.counts.sessions import anonymous_day
from migas.collector.counts.told import numbered, told
from migas.collector.database.json_rows import among, insert_rows, packed
from migas.collector.database.tables import ARRIVAL_DAY, crumbs, project_users, sessions, users
from migas.collector.days import SECONDS_A_DAY
from migas.collector.projects.moves import delete_rows, delete_some

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

    from sqlalchemy import ColumnElement, Select
    from sqlalchemy.ext.asyncio import AsyncConnection

    from migas.collector.counts.appearances import Change
    from migas.collector.counts.ledger import Ledger
    from migas.collector.counts.sessions import Session
    from migas.collector.counts.told import Told
    from migas.collector.database.connections import Connections

AT_ONCE = 500
"""Breadcrumbs, or users without any, in one transaction."""

_FEW = 5
"""Of so many users is asked, one by one, whether more than looking for any breadcrumb is needed."""

_LOCK = 0x6D69676174  # PostgreSQL's advisory locks are numbers; `migrations` has the one before

_SEEN = func.coalesce(crumbs.c.ended, crumbs.c.timestamp)
"""The second at which a breadcrumb shows its user: that of its run's end, where that was said."""

_APPEARANCE = [project_users.c[name] for name in Appearance._fields]
_USER_KEY = (project_users.c.user_id, project_users.c.project)
_CRUMB_SESSION = (crumbs.c.session_id, crumbs.c.project)
_CRUMB_USER = (crumbs.c.user_id, crumbs.c.project)


class Removed(NamedTuple):
    """How much was deleted."""

    breadcrumbs: int
    users: int


class Removal:
    """The way out of one database.

    Args:
        connections: To the database.
        ledger: Counts what is gone.
    """

    def __init__(self, connections: Connections, ledger: Ledger) -> None:
        self._connections = connections
        self._ledger = ledger
        self._turn = asyncio.Lock()  # one connection is enough for whatever is deleted

    async def forget_user(self, user_id: str) -> Removed:
        """Delete a user and all of their breadcrumbs.

        Args:
            user_id: In its canonical form.
        """
        removed = 0
        while True:
            number, gone = await self._in_turn(partial(self._forget_some, user_id))
            removed += number
            if gone is not None:
                return Removed(removed, gone)

    async def forget_before(self, day: int) -> Removed:
        """Delete the sessions that began before a day, and users without any other breadcrumb.

        Args:
            day: In days since 1970.
        """
        removed = 0
        # Once more after each pass: meanwhile a project may have got a name that was passed.
        while number := await self._forget_older_of_all(day):
            removed += number
        return Removed(removed, await self._forget_all_absent())

    async def _forget_older_of_all(self, day: int) -> int:
        """Delete the breadcrumbs of sessions that began before a day; return how many."""
        removed, project = 0, await self._in_turn(partial(_next_project, ""))
        while project is not None:
            number, project = await self._in_turn(partial(self._forget_older, day, project))
            removed += number
        return removed

    async def forget_project(self, project: str) -> Removed:
        """Delete all that a project has, which is registered no more, and users without another.

        Its counts stay until all breadcrumbs are gone, so whoever interrupts this does it again.
        """
        removed = 0
        while number := await self._in_turn(partial(delete_some, project)):
            removed += number
        await self._in_turn(partial(delete_rows, project))
        return Removed(removed, await self._forget_all_absent())

    async def _forget_all_absent(self) -> int:
        absent = 0
        while number := await self._in_turn(_forget_absent):
            absent += number
        return absent

    async def _in_turn(self, work: Callable[[AsyncConnection], Awaitable[Any]]) -> Any:
        """Do work in a transaction beside which no other one deletes breadcrumbs."""

        async def alone(connection: AsyncConnection) -> Any:
            if connection.dialect.name == "postgresql":
                await connection.execute(
                    text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK}
                )
            return await work(connection)

        async with self._turn:
            return await self._connections.transact(alone)

    async def _forget_some(
        self, user_id: str, connection: AsyncConnection
    ) -> tuple[int, int | None]:
        """Delete some breadcrumbs of a user, or the user where there are none any more.

        Returns:
            How many breadcrumbs were deleted, and how many users; None while the user is there.
        """
        theirs = crumbs.c.user_id == user_id
        number = await self._remove(connection, [theirs])
        if number:
            return number, None
        await _hold_users(connection)
        if await connection.scalar(select(exists().where(theirs))):
            return 0, None
        left = delete(project_users).where(project_users.c.user_id == user_id)
        rows = await connection.execute(left.returning(*_APPEARANCE))
        changes = [(Appearance(*row), None) for row in rows]
        await self._ledger.settle(connection, [], Noted(changes), set())
        gone = await connection.execute(delete(users).where(users.c.user_id == user_id))
        return 0, gone.rowcount

    async def _forget_older(
        self, day: int, project: str, connection: AsyncConnection
    ) -> tuple[int, str | None]:
        """Delete some breadcrumbs of a project's sessions that began before a day.

        Returns:
            How many were deleted, and the project to go on with; None where nothing is left to do.
        """
        # A session began when the oldest of its breadcrumbs came.
        dialect = connection.dialect.name
        mine = (crumbs.c.project == project, day > ARRIVAL_DAY)
        old = select(session_id_of(dialect)).where(*mine).limit(AT_ONCE)
        keys = sorted({(row[0], project) for row in await connection.execute(old)})
        number = 0
        if keys:
            number = await self._remove(connection, _of_sessions(keys, dialect))
        return number, project if number else await _next_project(project, connection)

    async def _remove(
        self,
        connection: AsyncConnection,
        conditions: Iterable[ColumnElement[bool]],
    ) -> int:
        """Delete some breadcrumbs and settle the sessions, users and counts they had a part in.

        Args:
            connection: In a transaction that may write, beside which no other one deletes.
            conditions: Each of them is enough.

        Returns:
            How many breadcrumbs were deleted.
        """
        dialect = connection.dialect.name
        ids = session_id_of(dialect)
        conditions = list(conditions)
        # What a session is, its first and its last breadcrumb say, and the one that describes it:
        # while others of it go, it need not be read again, which would take a session of very many
        # a quadratic time.
        inner = (
            select(crumbs.c.idx)
            .join(sessions, and_(ids == SESSION_KEY[0], crumbs.c.project == SESSION_KEY[1]))
            .where(
                crumbs.c.timestamp > sessions.c.began,
                crumbs.c.timestamp < sessions.c.seen,
                crumbs.c.idx != sessions.c.last_idx,
            )
        )
        # The first one goes last: until then its session began when it did.
        order = (ids, crumbs.c.project, crumbs.c.timestamp.desc())
        indices = await _some(connection, inner, conditions) or await _some(
            connection, select(crumbs.c.idx).order_by(*order), conditions
        )
        if not indices:
            return 0
        gone = delete(crumbs).where(among([crumbs.c.idx], indices, dialect))
        returned = gone.returning(
            ids, crumbs.c.project, crumbs.c.user_id, crumbs.c.idx, crumbs.c.timestamp, _SEEN
        )
        rows = (await connection.execute(returned)).all()
        days: dict[tuple[str, str], set[int]] = {}
        parts: dict[tuple[str, str], list[tuple[int, int]]] = {}
        for session_id, project, user_id, idx, timestamp, seen in rows:
            parts.setdefault((session_id, project), []).append((idx, timestamp))
            if user_id is not None:
                days.setdefault((user_id, project), set()).add(seen // SECONDS_A_DAY)
        seen = await _settle_users(connection, days) if days else []
        await self._settle_sessions(connection, parts, seen)
        return len(rows)

    async def _settle_sessions(
        self,
        connection: AsyncConnection,
        parts: Mapping[tuple[str, str], Sequence[tuple[int, int]]],
        seen: Sequence[Change],
    ) -> None:
        """Make sessions, and with them counts, what the breadcrumbs that are left say.

        Args:
            connection: In the transaction that deleted them.
            parts: By session, indices and times of what was deleted.
            seen: What became of the appearances of its users.
        """
        dialect, keys = connection.dialect.name, sorted(parts)
        before = {session.key: session for session in await lock_sessions(connection, keys)}
        keys = [key for key in keys if _lost_an_end(before.get(key), parts[key])]
        before = {key: before[key] for key in keys if key in before}
        every: list[Told] = []
        for condition in _of_sessions(keys, dialect):
            left = await connection.execute(told_sessions(dialect, condition))
            every += [told(tuple(row)) for row in left]
        types = await types_of(connection, {of.user_id for of in every})
        found, described = numbered(every, types)
        after = {session.key: session for session in found}
        await connection.execute(delete(sessions).where(among(SESSION_KEY, keys, dialect)))
        if after:
            await insert_sessions(connection, after.values())
        changes = [(before.get(key), after.get(key)) for key in keys]
        await self._ledger.settle(connection, changes, Noted(seen), described)


async def _next_project(after: str, connection: AsyncConnection) -> str | None:
    """The first project, in the order of their names, behind one of this name."""
    names = select(func.min(crumbs.c.project)).where(crumbs.c.project > after)
    name: str | None = await connection.scalar(names)
    return name


async def _some(
    connection: AsyncConnection, query: Select[Any], conditions: Sequence[ColumnElement[bool]]
) -> list[tuple[int]]:
    """The indices of some breadcrumbs of a query that meet one of the conditions."""
    found: list[tuple[int]] = []
    for condition in conditions:
        if len(found) < AT_ONCE:
            some = await connection.execute(query.where(condition).limit(AT_ONCE - len(found)))
            found += [(row.idx,) for row in some]
    return found


def _lost_an_end(session: Session | None, part: Sequence[tuple[int, int]]) -> bool:
    """Whether a session may be another one without some of its breadcrumbs."""
    return session is None or any(
        idx == session.last_idx or not session.began < time < session.seen for idx, time in part
    )


async def _forget_absent(connection: AsyncConnection) -> int:
    """Delete some users whom no project has seen; return how many."""
    is_seen = exists().where(project_users.c.user_id == users.c.user_id)
    absent = select(users.c.user_id).where(~is_seen).limit(AT_ONCE)
    found = (await connection.execute(absent)).all()
    if not found:
        return 0
    await _hold_users(connection)
    named = among([users.c.user_id], [tuple(row) for row in found], connection.dialect.name)
    return (await connection.execute(delete(users).where(named, ~is_seen))).rowcount


async def _hold_users(connection: AsyncConnection) -> None:
    """Wait for transactions that note users, and lock out others until this one ends.

    Otherwise a user could go who sends something at this very moment.
    """
    if connection.dialect.name == "postgresql":
        await connection.execute(text("LOCK TABLE users IN SHARE ROW EXCLUSIVE MODE"))


async def _settle_users(
    connection: AsyncConnection, days: Mapping[tuple[str, str], set[int]]
) -> list[Change]:
    """Make rows of `project_users` what the breadcrumbs that are left say.

    Args:
        connection: In the transaction that deleted breadcrumbs.
        days: By user and project, the days of what was deleted.

    Returns:
        What the rows were and what they are.
    """
    dialect = connection.dialect.name
    people = sorted(days)
    theirs = among(_USER_KEY, people, dialect)
    # Whoever stores a breadcrumb of one of them has locked that row. So no other transaction takes
    # from sessions on which days they were seen while this one deletes some of these.
    locked = select(*_APPEARANCE).where(theirs).order_by(*_USER_KEY).with_for_update()
    before = _by_key(await connection.execute(locked))
    if len(people) <= _FEW:
        people = [key for key in people if not await _is_still_seen(connection, key, days[key])]
    if not people:
        return []
    theirs = among(_USER_KEY, people, dialect)
    await connection.execute(delete(project_users).where(theirs))
    left = derived_users(among(_CRUMB_USER, people, dialect))
    after = _by_key(await connection.execute(left))
    if after:
        insert = insert_rows(project_users, project_users.columns.keys(), dialect)
        await connection.execute(insert, packed(map(row_of, after.values())))
    return [(before.get(key), after.get(key)) for key in people]


def _by_key(rows: Iterable[Any]) -> dict[tuple[str, str], Appearance]:
    return {of.key: of for of in (Appearance(*row) for row in rows)}


async def _is_still_seen(connection: AsyncConnection, key: tuple[str, str], days: set[int]) -> bool:
    """Whether of those days a user's first and last one have other breadcrumbs of theirs."""
    user_id, project = key
    of_them = project_users.c.user_id == user_id, project_users.c.project == project
    ends = select(project_users.c.first_day, project_users.c.last_day).where(*of_them)
    row = (await connection.execute(ends)).first()
    if row is None:
        return False
    for day in days & set(row):
        first = day * SECONDS_A_DAY
        another = exists().where(
            crumbs.c.user_id == user_id,
            crumbs.c.project == project,
            first <= _SEEN,
            first + SECONDS_A_DAY > _SEEN,
        )
        if not await connection.scalar(select(another)):
            return False
    return True


def _of_sessions(keys: Sequence[tuple[str, str]], dialect: str) -> list[ColumnElement[bool]]:
    """Conditions, one of which is met by each breadcrumb of some sessions."""
    named = [key for key in keys if anonymous_day(key[0]) is None]
    conditions = [among(_CRUMB_SESSION, named, dialect)] if named else []
    for session_id, project in keys:
        day = anonymous_day(session_id)
        if day is not None:
            arrived = ARRIVAL_DAY == day  # noqa: SIM300  mypy would see a bool
            of_day = and_(session_id_of(dialect) == session_id, arrived)
            # Older collectors stored such an id where somebody sent it, on any day.
            ways = [
                select(crumbs.c.idx).where(crumbs.c.project == project, way).correlate(None)
                for way in (of_day, crumbs.c.session_id == session_id)
            ]
            # With an OR in their place SQLite would read all of the project's breadcrumbs.
            conditions.append(crumbs.c.idx.in_(union(*ways)))
    return conditions
