"""The ledger: sessions and the counts of them and of users, kept up to date by differences."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, select, update

from migas.collector.counts.appearances import counted_users, types_of
from migas.collector.counts.durations import timed
from migas.collector.counts.last_days import SESSION_KEY, LastDays
from migas.collector.counts.sessions import Session, counted, differences, joined
from migas.collector.counts.slices import STATUSES, Slices, add_to
from migas.collector.database.json_rows import RowByRow, Writing, among, insert_rows, packed
from migas.collector.database.statements import adding
from migas.collector.database.tables import UNTOLD, daily, durations, profiles, sessions, slices

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sqlalchemy.ext.asyncio import AsyncConnection

    from migas.collector.counts.appearances import Noted
    from migas.collector.counts.told import Described

_SESSION_COLUMNS = [sessions.c[name] for name in Session._fields]


class Ledger:
    """Brings the sessions and counts of one database up to date.

    Args:
        dialect: The SQL dialect, `sqlite` or `postgresql`.
        shard: Which part of each count this process adds to.
    """

    def __init__(self, dialect: str, shard: int = 0) -> None:
        self._shard = shard
        self._insert = _insert_at_once if dialect == "postgresql" else _insert_one_by_one
        self._profiles = Writing(profiles, dialect, lambda insert: insert.on_conflict_do_nothing())
        add_sessions = partial(adding, columns=["sessions"])
        add_outcomes = partial(adding, columns=list(STATUSES.values()))
        self._slices = Writing(slices, dialect, add_outcomes)
        self._durations = Writing(durations, dialect, add_sessions)
        self._daily = Writing(daily, dialect, add_sessions)
        self._last_days = LastDays(dialect)

    async def count(
        self,
        connection: AsyncConnection,
        parts: dict[tuple[str, str], Session],
        noted: Noted,
        described: Described,
    ) -> None:
        """Bring sessions, and with them the counts, up to date with new breadcrumbs.

        Args:
            connection: In the transaction that stored them.
            parts: By session, what the new breadcrumbs say of it.
            noted: What became of the appearances of their users.
            described: The profiles that these sessions have.
        """
        changes: list[tuple[Session | None, Session | None]] = []
        waiting = parts
        while waiting:
            new = await self._insert(connection, waiting)
            changes += [(None, waiting[key]) for key in new]
            known = await self._join(connection, [waiting[k] for k in waiting if k not in new])
            changes += known
            # Whatever was deleted between the two statements is inserted in another round.
            settled = new | {before.key for before, _ in known}
            waiting = {key: part for key, part in waiting.items() if key not in settled}
        await self.settle(connection, changes, noted, described)

    async def settle(
        self,
        connection: AsyncConnection,
        changes: Sequence[tuple[Session | None, Session | None]],
        noted: Noted,
        described: Described,
    ) -> None:
        """Bring counts up to date with sessions, and with appearances of users.

        Args:
            connection: In the transaction that changed them.
            changes: Pairs of what a session was and what it is; None where there is none.
            noted: What became of appearances, and the types of users as far as they were asked for.
            described: The profiles that sessions have now.
        """
        people = {of.user_id for pair in noted.changes for of in pair if of is not None}
        types = {**noted.types, **await types_of(connection, people - noted.types.keys())}
        await self._last_days.settle(connection, changes)
        rows: Slices = {}
        for before, after in changes:
            if before is not None:
                add_to(rows, before, -1)
            if after is not None:
                add_to(rows, after, 1)
        by_slice = [(*key, self._shard, *rows[key]) for key in sorted(rows) if any(rows[key])]
        if described:
            await self._profiles.write(connection, sorted(described))
        if by_slice:
            await self._slices.write(connection, by_slice)
        took = differences(changes, timed)
        if took:
            by_bucket = [(*key, self._shard, number) for key, number in sorted(took.items())]
            await self._durations.write(connection, by_bucket)
        counts = differences(changes, counted)
        counts.update(counted_users(noted.changes, types))
        if counts:
            by_count = [(*key, self._shard, number, 0) for key, number in sorted(counts.items())]
            await self._daily.write(connection, by_count)

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


async def insert_sessions(connection: AsyncConnection, those: Iterable[Session]) -> None:
    """Insert sessions, at least one, that are not there."""
    insert = insert_rows(sessions, _INSERTED, connection.dialect.name)
    await connection.execute(insert, packed(map(_row, those)))


def _row(session: Session) -> tuple[Any, ...]:
    return (*session, *UNTOLD.values())


async def _insert_at_once(
    connection: AsyncConnection, parts: Mapping[tuple[str, str], Session]
) -> set[tuple[str, str]]:
    """Insert those sessions into PostgreSQL that are not there, and return their keys."""
    inserted = await connection.execute(_INSERT, packed(map(_row, parts.values())))
    return {(row.session_id, row.project) for row in inserted}


async def _insert_one_by_one(
    connection: AsyncConnection, parts: Mapping[tuple[str, str], Session]
) -> set[tuple[str, str]]:
    """The same on SQLite, which tells of each row whether it is new."""
    numbers = _ONE_BY_ONE.write_each(connection, map(_row, parts.values()))
    return {key for key, number in zip(parts, numbers, strict=True) if number is not None}


_INSERTED = (*Session._fields, *UNTOLD)
_INSERT = (
    insert_rows(sessions, _INSERTED, "postgresql").on_conflict_do_nothing().returning(*SESSION_KEY)
)
_ONE_BY_ONE = RowByRow(sessions, lambda insert: insert.on_conflict_do_nothing(), _INSERTED)
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
        | UNTOLD
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
