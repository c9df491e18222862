"""The days on which users were seen with something, kept up to date when sessions change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, func, select, tuple_

from migas.collector.counts.rebuild import derived_failures, derived_visits, session_id_of
from migas.collector.counts.visits import ENDINGS, NO_DAYS, failure, moves, visit_moves
from migas.collector.database.json_rows import Writing, among
from migas.collector.database.tables import crumbs, error_users, project_users, sessions, visits
from migas.collector.days import SECONDS_A_DAY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import ColumnElement, Table
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
    """Brings `visits` and `error_users` of one database up to date.

    Args:
        dialect: The SQL dialect, `sqlite` or `postgresql`.
    """

    def __init__(self, dialect: str) -> None:
        self._dialect = dialect
        self._visits = _more(visits, dialect)
        self._failures = _later(error_users, dialect)

    async def settle(
        self,
        connection: AsyncConnection,
        changes: Sequence[tuple[Session | None, Session | None]],
    ) -> None:
        """Bring the days up to date with sessions; the arguments are those of `Ledger.settle`."""
        seen, lost = visit_moves(changes)
        if lost and all(after is not None for _, after in changes):  # nothing is being removed
            lost -= await self._of_busy_users(connection, lost)
        if lost:
            for key, days in (await self._visits_left(connection, lost)).items():
                known = seen.get(key, NO_DAYS)
                seen[key] = [one | other for one, other in zip(known, days, strict=True)]
        if seen:
            rows = [(*key, *(of or None for of in days)) for key, days in sorted(seen.items())]
            await self._visits.write(connection, rows)
        await self._settle_failures(connection, changes)

    async def _of_busy_users(self, connection: AsyncConnection, lost: set[Key]) -> set[Key]:
        """The keys whose users have sent so much that looking through it would hold up others.

        A fleet may share one id. That it was also seen on the day before the end of a run is what
        its row goes on to say, until counts are rebuilt.
        """
        found: set[Key] = set()
        for user_id, numbers in (await self._ids(connection, lost)).items():
            theirs = select(crumbs.c.idx).where(crumbs.c.user_id == user_id)
            more = await connection.execute(theirs.offset(MAX_READ).limit(1))
            if more.first() is not None:
                found.update(key for key in lost if key[_USER] in numbers)
        return found

    async def _visits_left(self, connection: AsyncConnection, lost: set[Key]) -> dict[Key, Days]:
        """Delete rows of which a day may be gone; return what they must be instead."""
        key = list(visits.primary_key)
        those = among(key, sorted(lost), self._dialect)
        await connection.execute(delete(visits).where(those))
        ids = [(user_id,) for user_id in await self._ids(connection, lost)]
        theirs = among([crumbs.c.user_id], ids, self._dialect)
        # No session counts later than the last of its breadcrumbs came.
        since = crumbs.c.timestamp >= min(of[_START] for of in lost) * SECONDS_A_DAY
        of_crumbs = select(session_id_of(self._dialect), crumbs.c.project).where(theirs, since)
        left = derived_visits(tuple_(*SESSION_KEY).in_(of_crumbs))
        rows = await connection.execute(left)
        size = len(key)
        found = {tuple(row[:size]): [int(of or 0) for of in row[size:]] for row in rows}
        return {key: days for key, days in found.items() if key in lost}

    async def _ids(self, connection: AsyncConnection, keys: set[Key]) -> dict[str, set[int]]:
        """The ids of the users of some visits, in order, with the numbers that stand for them.

        Whose last breadcrumb of a project is gone is known there no more, and has no session left.
        Asked for in one question with their breadcrumbs, SQLite would read all of a project's.
        """
        numbers = project_users.c.user_number
        those = sorted({(key[_PROJECT], key[_USER]) for key in keys})
        known = among([project_users.c.project, numbers], those, self._dialect)
        # Locked, for nobody may delete sessions of theirs from which their days are told anew.
        query = select(project_users.c.user_id, numbers).where(known).with_for_update(read=True)
        found: dict[str, set[int]] = {}
        for user_id, number in sorted(map(tuple, await connection.execute(query))):
            found.setdefault(user_id, set()).add(number)
        return found

    async def _settle_failures(
        self,
        connection: AsyncConnection,
        changes: Sequence[tuple[Session | None, Session | None]],
    ) -> None:
        seen, lost = moves(changes, failure)
        if gone := await self._forget(connection, lost):
            key = [sessions.c[column.name] for column in error_users.primary_key]
            left = derived_failures(among(key, sorted(gone), self._dialect))
            rows = await connection.execute(left)
            left_of = {tuple(row[:-1]): row[-1] for row in rows}
            seen |= {key: day for key, day in left_of.items() if key in gone}
        if seen:
            await self._failures.write(
                connection, [(*key, day) for key, day in sorted(seen.items())]
            )

    async def _forget(self, connection: AsyncConnection, lost: Mapping[Key, int]) -> set[Key]:
        """Delete the rows that were there for sessions which are gone; return their keys."""
        if not lost:
            return set()
        key = list(error_users.primary_key)
        rows = sorted((*of, day) for of, day in lost.items())
        was_last = among([*key, error_users.c.last_day], rows, self._dialect)
        gone = await connection.execute(delete(error_users).where(was_last).returning(*key))
        return {tuple(row) for row in gone}


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


def _more(table: Table, dialect: str) -> Writing:
    """An INSERT that adds days to those of a row that is there."""

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

    return Writing(table, dialect, joined)
