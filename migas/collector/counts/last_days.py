"""The days on which users were seen with something, kept up to date when sessions change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, select, tuple_

from migas.collector.counts.rebuild import derived_failures, derived_visits, session_id_of
from migas.collector.counts.visit_packing import adding_days, unpack_visits
from migas.collector.counts.visits import failure, moves, number_of_user, visit_moves
from migas.collector.database.json_rows import Writing, among
from migas.collector.database.tables import crumbs, error_users, project_users, sessions, visits
from migas.collector.days import SECONDS_A_DAY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Table
    from sqlalchemy.ext.asyncio import AsyncConnection

    from migas.collector.counts.sessions import Session
    from migas.collector.counts.visits import Days, Key

SESSION_KEY = (sessions.c.session_id, sessions.c.project)

MAX_READ = 1000
"""Of a user who has sent more breadcrumbs, no day is taken back when a session changes."""

_PROJECT, _USER, _START = (
    list(visits.primary_key).index(visits.c[name]) for name in ("project", "user_number", "start")
)


class LastDays:
    """Brings visits and `error_users` of one database up to date.

    Args:
        dialect: The SQL dialect, `sqlite` or `postgresql`.
    """

    def __init__(self, dialect: str) -> None:
        self._dialect = dialect
        self._visits = Writing(visits, dialect, adding_days(visits))
        self._failures = _later(error_users, dialect)
        self._replacing = {of.name: _instead(of, dialect) for of in (visits, error_users)}

    async def settle(
        self,
        connection: AsyncConnection,
        changes: Sequence[tuple[Session | None, Session | None]],
    ) -> None:
        """Bring the days up to date with sessions; the arguments are those of `Ledger.settle`."""
        seen, lost = visit_moves(changes)
        ids = await self._ids(connection, lost) if lost else []
        removing = any(after is None for _, after in changes)
        if ids and not removing:
            busy = await self._busy(connection, ids)
            ids = [user_id for user_id in ids if user_id not in busy]
            numbers = {number_of_user(user_id) for user_id in busy}
            lost = {key for key in lost if key[_USER] not in numbers}
        if lost:
            # Of several users whose old sessions go, those beside them will lose a day soon.
            several = removing and len(ids) > 1
            await unpack_visits(connection, lost, self._visits, every=several)
        if lost and (locked := await self._lock(connection, visits, sorted(lost))):
            left = await self._visits_left(connection, locked, ids)
            kept = [(*key, *(of or None for of in days)) for key, days in sorted(left.items())]
            await self._put(connection, visits, locked, kept)
        if seen:
            rows = [(*key, *(of or None for of in days)) for key, days in sorted(seen.items())]
            await self._visits.write(connection, rows)
        await self._settle_failures(connection, changes)

    async def _busy(self, connection: AsyncConnection, ids: Sequence[str]) -> set[str]:
        """The users who have sent so much that looking through it would hold up others.

        A fleet may share one id. That it was also seen on the day before the end of a run is what
        its row goes on to say, until counts are rebuilt.
        """
        busy: set[str] = set()
        for user_id in ids:
            theirs = select(crumbs.c.idx).where(crumbs.c.user_id == user_id)
            more = await connection.execute(theirs.offset(MAX_READ).limit(1))
            if more.first() is not None:
                busy.add(user_id)
        return busy

    async def _visits_left(
        self, connection: AsyncConnection, lost: set[Key], ids: Sequence[str]
    ) -> dict[Key, Days]:
        """What rows must be of which a day may be gone; those that have none are left out.

        Args:
            connection: In the transaction that changed sessions and locked these rows.
            lost: The keys of the rows.
            ids: Their users.
        """
        theirs = among([crumbs.c.user_id], [(user_id,) for user_id in ids], self._dialect)
        # No session counts later than the last of its breadcrumbs came.
        since = crumbs.c.timestamp >= min(of[_START] for of in lost) * SECONDS_A_DAY
        of_crumbs = select(session_id_of(self._dialect), crumbs.c.project).where(theirs, since)
        left = derived_visits(tuple_(*SESSION_KEY).in_(of_crumbs))
        rows = await connection.execute(left)
        size = len(visits.primary_key)
        found = {tuple(row[:size]): [int(of or 0) for of in row[size:]] for row in rows}
        return {key: days for key, days in found.items() if key in lost}

    async def _ids(self, connection: AsyncConnection, keys: set[Key]) -> list[str]:
        """The ids of the users of some visits.

        A user whose last breadcrumb of a project is gone has no row there any more, and no session
        that could count. Asked for together with their breadcrumbs, SQLite, which has no statistics
        of its own, would read all of a project's.
        """
        those = sorted({(key[_PROJECT], key[_USER]) for key in keys})
        known = among([project_users.c.project, project_users.c.user_number], those, self._dialect)
        query = select(project_users.c.user_id).where(known).distinct()
        return [user_id for (user_id,) in await connection.execute(query)]

    async def _settle_failures(
        self,
        connection: AsyncConnection,
        changes: Sequence[tuple[Session | None, Session | None]],
    ) -> None:
        seen, lost = moves(changes, failure)
        was_last = sorted((*of, day) for of, day in lost.items())
        if lost and (locked := await self._lock(connection, error_users, was_last)):
            key = [sessions.c[column.name] for column in error_users.primary_key]
            left = derived_failures(among(key, sorted(locked), self._dialect))
            rows = [tuple(row) for row in await connection.execute(left)]
            kept = sorted(row for row in rows if row[:-1] in locked)
            await self._put(connection, error_users, locked, kept)
        if seen:
            await self._failures.write(
                connection, [(*key, day) for key, day in sorted(seen.items())]
            )

    async def _lock(
        self, connection: AsyncConnection, table: Table, rows: Sequence[tuple[Any, ...]]
    ) -> set[Key]:
        """Lock the rows that are there of some, which begin with their keys; return these keys.

        Whoever takes the same days from other sessions waits, and then sees what this one has done.
        """
        key = list(table.primary_key)
        named = among(list(table.columns)[: len(rows[0])], rows, self._dialect)
        locked = select(*key).where(named).order_by(*key).with_for_update()
        return {tuple(row) for row in await connection.execute(locked)}

    async def _put(
        self,
        connection: AsyncConnection,
        table: Table,
        locked: set[Key],
        kept: Sequence[tuple[Any, ...]],
    ) -> None:
        """Make locked rows what they must be.

        A row that stays is not deleted and inserted: who waits for its lock would find it gone, and
        not the new one, and leave days there that it has just taken from a session.
        """
        size = len(table.primary_key)
        gone = locked - {row[:size] for row in kept}
        if gone:
            key = list(table.primary_key)
            await connection.execute(delete(table).where(among(key, sorted(gone), self._dialect)))
        if kept:
            await self._replacing[table.name].write(connection, kept)


def _instead(table: Table, dialect: str) -> Writing:
    """An INSERT that replaces a row that is there."""
    names = [column.name for column in table.columns if not column.primary_key]
    return Writing(
        table,
        dialect,
        lambda new: new.on_conflict_do_update(
            index_elements=list(table.primary_key),
            set_={name: new.excluded[name] for name in names},
        ),
    )


def _later(table: Table, dialect: str) -> Writing:
    """An INSERT that keeps the later day where a row is there."""
    return Writing(
        table,
        dialect,
        lambda new: new.on_conflict_do_update(
            index_elements=list(table.primary_key),
            set_={"last_day": new.excluded.last_day},
            where=table.c.last_day < new.excluded.last_day,
        ),
    )
