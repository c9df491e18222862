"""The ledger: sessions and the daily counts of them, kept up to date by differences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, select, update

from migas.collector.counts.sessions import (
    ERROR,
    Session,
    counted,
    differences,
    joined,
)
from migas.collector.database.json_rows import among, insert_rows, packed
from migas.collector.database.statements import greatest
from migas.collector.database.tables import daily, sessions

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterable

    from sqlalchemy.ext.asyncio import AsyncConnection

    from migas.collector.counts.sessions import Count

SESSION_KEY = (sessions.c.session_id, sessions.c.project)
_SESSION_COLUMNS = [sessions.c[name] for name in Session._fields]


class Ledger:
    """Brings the sessions and counts of one database up to date.

    Args:
        dialect: The SQL dialect, `sqlite` or `postgresql`.
        shard: Which part of each daily count this process adds to.
    """

    def __init__(self, dialect: str, shard: int = 0) -> None:
        self._shard = shard
        self._insert_sessions = _insert_sessions(dialect)
        self._insert_daily = _insert_daily(dialect)

    async def count(
        self, connection: AsyncConnection, parts: dict[tuple[str, str], Session]
    ) -> None:
        """Bring sessions, and with them the daily counts, up to date with new breadcrumbs."""
        changes: list[tuple[Session | None, Session]] = []
        waiting = parts
        while waiting:
            inserted = await connection.execute(self._insert_sessions, packed(waiting.values()))
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
            await connection.execute(self._insert_daily, packed(rows))

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


def _insert_sessions(dialect: str) -> Any:
    """An INSERT of sessions that leaves those alone which are there, and returns the others."""
    return (
        insert_rows(sessions, Session._fields, dialect)
        .on_conflict_do_nothing()
        .returning(sessions.c.session_id, sessions.c.project)
    )


def _insert_daily(dialect: str) -> Any:
    """An INSERT that adds numbers to counts, and keeps the newest example."""
    added = insert_rows(daily, daily.columns.keys(), dialect)
    return added.on_conflict_do_update(
        index_elements=list(daily.primary_key.columns),
        set_={
            "sessions": daily.c.sessions + added.excluded.sessions,
            "example": greatest(dialect, daily.c.example, added.excluded.example),
        },
    )


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
    """Read sessions, and lock their rows until this transaction ends."""
    query = (
        select(*_SESSION_COLUMNS)
        .where(among(SESSION_KEY, keys, connection.dialect.name))
        .order_by(sessions.c.session_id, sessions.c.project)
        .with_for_update()
    )
    return [Session(*row) for row in await connection.execute(query)]


def _examples(after: Iterable[Session]) -> dict[Count, int]:
    """The newest breadcrumb for each count of errors; the others have no use for one."""
    found: dict[Count, int] = {}
    for session in after:
        for count in counted(session):
            if count.kind == ERROR:
                found[count] = max(found.get(count, 0), session.last_idx)
    return found
