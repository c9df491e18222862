"""One batch of breadcrumbs, in one transaction: rows, users, sessions and daily counts.

Processes that do this at the same time on PostgreSQL lock tables in the same order: breadcrumbs,
users, sessions, counts; and of all but the first, rows by their keys. So they wait for each other
and seldom in a circle. Where they do, PostgreSQL ends one transaction, and that one is tried again.
"""

from __future__ import annotations

import hashlib
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from sqlalchemy import Insert, Table, bindparam, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from migas.collector.counts.sessions import (
    ERROR,
    SECONDS_A_DAY,
    Session,
    anonymous_session,
    counted,
    differences,
    joined,
    merged,
)
from migas.collector.database.json_rows import among, insert_rows, packed
from migas.collector.database.tables import (
    MAX_VALUE_CHARS,
    crumbs,
    daily,
    project_users,
    sessions,
    users,
)

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterable, Sequence

    from sqlalchemy.engine import Row
    from sqlalchemy.ext.asyncio import AsyncConnection

    from migas.collector.counts.sessions import Count
    from migas.collector.ingestion.crumb import Crumb

_USER_FIELDS = ("user_id", "user_type", "platform", "container")
CRUMB_FIELDS = (
    "project",
    "version",
    "language",
    "language_version",
    "session_id",
    "user_id",
    "status",
    "status_desc",
    "error_type",
    "error_desc",
    "is_ci",
    "platform",
    "container",
)
"""The columns of a breadcrumb that its sender fills."""

_ROW = attrgetter(*CRUMB_FIELDS)
_USER = attrgetter(*_USER_FIELDS)
SESSION_KEY = (sessions.c.session_id, sessions.c.project)
_SESSION_COLUMNS = [sessions.c[name] for name in Session._fields]


class Recorder:
    """Writes batches in the words of one kind of database.

    Args:
        dialect: `sqlite` or `postgresql`.
        shard: Which part of each daily count this process adds to.
    """

    def __init__(self, dialect: str, shard: int = 0) -> None:
        insert = postgresql.insert if dialect == "postgresql" else sqlite.insert
        least = func.least if dialect == "postgresql" else func.min
        greatest = func.greatest if dialect == "postgresql" else func.max
        self._insert: Any = insert
        self._shard = shard
        self._crumbs = (
            insert_rows(crumbs, (*CRUMB_FIELDS, "timestamp", "digest"), dialect)
            .on_conflict_do_nothing(index_elements=["session_id", "digest"])
            .returning(
                crumbs.c.idx,
                *(crumbs.c[name] for name in Session._fields if name in crumbs.c),
                crumbs.c.user_id,
            )
        )
        self._sessions = (
            insert_rows(sessions, Session._fields, dialect)
            .on_conflict_do_nothing()
            .returning(sessions.c.session_id, sessions.c.project)
        )
        self._users = insert_rows(users, _USER_FIELDS, dialect).on_conflict_do_nothing()
        seen = insert_rows(project_users, project_users.columns.keys(), dialect)
        # Days may come in any order: clocks are set back, and two of them differ at midnight.
        self._project_users = seen.on_conflict_do_update(
            index_elements=["user_id", "project"],
            set_={
                "first_day": least(project_users.c.first_day, seen.excluded.first_day),
                "last_day": greatest(project_users.c.last_day, seen.excluded.last_day),
            },
            where=or_(
                project_users.c.first_day > seen.excluded.first_day,
                project_users.c.last_day < seen.excluded.last_day,
            ),
        )
        added = insert_rows(daily, daily.columns.keys(), dialect)
        self._daily = added.on_conflict_do_update(
            index_elements=list(daily.primary_key.columns),
            set_={
                "sessions": daily.c.sessions + added.excluded.sessions,
                "example": greatest(daily.c.example, added.excluded.example),
            },
        )

    def insert_new(self, table: Table) -> Insert:
        """An INSERT that leaves rows alone which are there already."""
        statement: Insert = self._insert(table).on_conflict_do_nothing()
        return statement

    def insert_adding(self, table: Table, row: dict[str, Any], column: str) -> Any:
        """An INSERT that adds to a row's column where the row is there; it returns the sum."""
        inserted = self._insert(table).values(row)
        return inserted.on_conflict_do_update(
            index_elements=list(table.primary_key.columns),
            set_={column: table.c[column] + inserted.excluded[column]},
        ).returning(table.c[column])

    async def store(self, connection: AsyncConnection, batch: Sequence[Crumb], now: int) -> None:
        """Store breadcrumbs of registered projects, and count what is new among them.

        Args:
            connection: In a transaction that may write.
            batch: In the order of their arrival.
            now: The second they are stamped with.
        """
        stamped = packed((*_ROW(crumb), now, digest(crumb)) for crumb in batch)
        stored = (await connection.execute(self._crumbs, stamped)).all()
        await self._store_users(connection, batch, stored, now)
        await self.count(connection, merged(_part(row, now) for row in stored))

    async def count(
        self, connection: AsyncConnection, parts: dict[tuple[str, str], Session]
    ) -> None:
        """Bring sessions, and with them the daily counts, up to date with new breadcrumbs."""
        changes: list[tuple[Session | None, Session]] = []
        waiting = parts
        while waiting:
            inserted = await connection.execute(self._sessions, packed(waiting.values()))
            new = {(row.session_id, row.project) for row in inserted}
            changes += [(None, waiting[key]) for key in new]
            known = await self._join(connection, [waiting[k] for k in waiting if k not in new])
            changes += known
            # Whatever was deleted between the two statements is inserted in another round.
            settled = new | {after.key for _, after in known}
            waiting = {key: part for key, part in waiting.items() if key not in settled}
        await self.add(connection, differences(changes), _examples(after for _, after in changes))

    async def add(
        self,
        connection: AsyncConnection,
        changes: Counter[Count],
        examples: dict[Count, int] | None = None,
    ) -> None:
        """Add numbers, negative ones too, to daily counts."""
        if changes:
            rows = (
                (*count, self._shard, number, (examples or {}).get(count, 0))
                for count, number in sorted(changes.items())
            )
            await connection.execute(self._daily, packed(rows))

    async def _join(
        self, connection: AsyncConnection, parts: list[Session]
    ) -> list[tuple[Session, Session]]:
        """Join parts to sessions that are there already; return what those were and are."""
        if not parts:
            return []
        by_key = {part.key: part for part in parts}
        found = await lock_sessions(connection, list(by_key))
        changes = [(before, joined(before, by_key[before.key])) for before in found]
        changed = [after for before, after in changes if after != before]
        if changed:
            await connection.execute(
                _UPDATE_SESSION, [{f"new_{k}": v for k, v in s._asdict().items()} for s in changed]
            )
        return changes

    async def _store_users(
        self,
        connection: AsyncConnection,
        batch: Sequence[Crumb],
        stored: Sequence[Row[Any]],
        now: int,
    ) -> None:
        """Note who sent what was stored; a repeated breadcrumb does not count as a visit."""
        visits = sorted({(row.user_id, row.project) for row in stored if row.user_id})
        if visits:
            day = now // SECONDS_A_DAY
            seen = packed((*visit, day, day) for visit in visits)
            described = {crumb.user_id: _USER(crumb) for crumb in reversed(batch)}
            senders = [described[user] for user in sorted({user for user, _ in visits})]
            await connection.execute(self._users, packed(senders))
            await connection.execute(self._project_users, seen)


_UPDATE_SESSION = (
    update(sessions)
    .where(
        sessions.c.session_id == bindparam("new_session_id"),
        sessions.c.project == bindparam("new_project"),
    )
    .values(
        {
            name: bindparam(f"new_{name}")
            for name in Session._fields
            if name not in ("session_id", "project")
        }
    )
)


async def lock_sessions(
    connection: AsyncConnection, keys: Iterable[tuple[str, str]]
) -> list[Session]:
    """Read sessions that nobody else may change before this transaction ends."""
    query = (
        select(*_SESSION_COLUMNS)
        .where(among(SESSION_KEY, keys, connection.dialect.name))
        .order_by(sessions.c.session_id, sessions.c.project)
        .with_for_update()
    )
    return [Session(*row) for row in await connection.execute(query)]


def digest(crumb: Crumb) -> int | None:
    """What all fields of a session's breadcrumb come to, in 63 bits; None without a session.

    Two breadcrumbs of one session are compared by it, so chance has no part in the comparison.
    """
    if crumb.session_id is None:
        return None
    text = "\0".join(
        "\1" if field is None else str(field) for field in (*_ROW(crumb), crumb.user_type)
    )
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) >> 1


def _part(row: Row[Any], now: int) -> Session:
    """A session of which one stored breadcrumb is all there is."""
    return Session(
        session_id=anonymous_session(now) if row.session_id is None else row.session_id,
        project=row.project,
        began=now,
        seen=now,
        last_idx=row.idx,
        version=row.version,
        status=row.status,
        language=row.language,
        language_version=row.language_version,
        platform=row.platform,
        container=row.container,
        is_ci=row.is_ci,
        error_type=None if row.error_type is None else row.error_type[:MAX_VALUE_CHARS],
    )


def _examples(after: Iterable[Session]) -> dict[Count, int]:
    """The newest breadcrumb for each count of errors; the others have no use for one."""
    found: dict[Count, int] = {}
    for session in after:
        for count in counted(session):
            if count.kind == ERROR:
                found[count] = max(found.get(count, 0), session.last_idx)
    return found
