"""One batch of breadcrumbs, in one transaction: rows, users, sessions and counts.

Processes that do this at the same time on PostgreSQL lock tables in the same order: breadcrumbs,
users, sessions, counts; and of all but the first, rows by their keys. So they wait for each other
and seldom in a circle. Where they do, PostgreSQL ends one transaction, and that one is tried again.
"""

from __future__ import annotations

import hashlib
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from migas.collector.counts.appearances import Appearance, Noted, note
from migas.collector.counts.fingerprint import fingerprint
from migas.collector.counts.sessions import anonymous_session, merged
from migas.collector.counts.told import Told, numbered, told
from migas.collector.database.json_rows import RowByRow, Writing, insert_rows, packed
from migas.collector.database.tables import MAX_VALUE_CHARS, crumbs, users
from migas.collector.days import SECONDS_A_DAY
from migas.collector.ingestion.crumb import Crumb

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.ext.asyncio import AsyncConnection

    from migas.collector.counts.ledger import Ledger

CRUMB_FIELDS = Crumb._fields[:-2]
"""The columns of a breadcrumb that its sender fills."""

TIMES = ("ended", "duration")
"""The columns of what its sender says of time."""

_USER = attrgetter(*users.columns.keys())


class Stored(NamedTuple):
    """What a session is made of: the number of a breadcrumb's row, and some of its columns."""

    idx: int
    session_id: str | None
    project: str
    version: str
    status: str
    error_type: str | None
    fingerprint: int | None
    ended: int | None
    duration: float | None
    platform: str
    container: str
    language: str
    language_version: str
    is_ci: bool
    user_id: str | None


class Recorder:
    """Writes batches into one database.

    Args:
        dialect: The SQL dialect, `sqlite` or `postgresql`.
        ledger: Counts what was written.
    """

    def __init__(self, dialect: str, ledger: Ledger) -> None:
        self._ledger = ledger
        self._insert = _insert_at_once if dialect == "postgresql" else _insert_one_by_one
        self._users = Writing(users, dialect, lambda insert: insert.on_conflict_do_nothing())

    async def store(self, connection: AsyncConnection, batch: Sequence[Crumb], now: int) -> None:
        """Store breadcrumbs of registered projects, and count what is new among them.

        Args:
            connection: In a transaction that may write.
            batch: In the order of their arrival.
            now: The second they are stamped with.
        """
        stored = await self._insert(
            connection,
            [
                (*crumb[:-2], now, *_times(crumb, now), digest(crumb), _fingerprint(crumb))
                for crumb in batch
            ],
        )
        noted = await self._store_users(connection, batch, stored, now)
        parts, described = numbered((_told(row, now) for row in stored), noted.types)
        await self._ledger.count(connection, merged(parts), noted, described)

    async def _store_users(
        self,
        connection: AsyncConnection,
        batch: Sequence[Crumb],
        stored: Sequence[Stored],
        now: int,
    ) -> Noted:
        """Note who sent what was stored; a repeated breadcrumb does not count as a visit."""
        visits: dict[tuple[str, str], set[int]] = {}
        for row in stored:
            if row.user_id:
                ended = now if row.ended is None else row.ended
                visits.setdefault((row.user_id, row.project), set()).add(ended // SECONDS_A_DAY)
        if not visits:
            return Noted()
        seen = [Appearance(*key, min(days), max(days)) for key, days in sorted(visits.items())]
        described = {crumb.user_id: _USER(crumb) for crumb in reversed(batch)}
        senders = [described[user] for user in sorted({user for user, _ in visits})]
        await self._users.write(connection, senders)
        return await note(connection, seen)


async def _insert_at_once(
    connection: AsyncConnection, rows: Sequence[tuple[Any, ...]]
) -> list[Stored]:
    """Insert breadcrumbs into PostgreSQL but for repeated ones, and return what is new of them."""
    inserted = await connection.execute(_INSERT, packed(rows))
    return [Stored(*row) for row in inserted]


async def _insert_one_by_one(
    connection: AsyncConnection, rows: Sequence[tuple[Any, ...]]
) -> list[Stored]:
    """The same on SQLite, which tells of each row whether it is new."""
    numbers = _ONE_BY_ONE.write_each(connection, rows)
    new = zip(numbers, rows, strict=True)
    return [Stored(number, *_OF_SESSION(row)) for number, row in new if number is not None]


_COLUMNS = (*CRUMB_FIELDS, "timestamp", *TIMES, "digest", "fingerprint")
_OF_SESSION = itemgetter(*map(_COLUMNS.index, Stored._fields[1:]))
_REPEATED = {"index_elements": ["session_id", "digest"]}
_INSERT = (
    insert_rows(crumbs, _COLUMNS, "postgresql")
    .on_conflict_do_nothing(**_REPEATED)
    .returning(*(crumbs.c[name] for name in Stored._fields))
)
_ONE_BY_ONE = RowByRow(crumbs, lambda insert: insert.on_conflict_do_nothing(**_REPEATED), _COLUMNS)


def digest(crumb: Crumb) -> int | None:
    """What all fields of a session's breadcrumb come to, in 63 bits; None without a session.

    Two breadcrumbs of one session are compared by it, so chance has no part in the comparison; nor
    has its time, which is another one whenever it is sent.
    """
    if crumb.session_id is None:
        return None
    text = "\0".join("\1" if field is None else str(field) for field in crumb[:-1])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) >> 1


def _times(crumb: Crumb, now: int) -> tuple[int | None, float | None]:
    """The second at which a breadcrumb's run ended, and how many it took."""
    ended_ago, duration = crumb.timing
    return None if ended_ago is None else now - round(ended_ago), duration


def _fingerprint(crumb: Crumb) -> int | None:
    return fingerprint(crumb.status, crumb.error_type, crumb.status_desc, crumb.error_desc)


def _told(row: Stored, now: int) -> Told:
    """A session of which one stored breadcrumb is all there is."""
    values: tuple[Any, ...] = row
    idx, session_id, project, version, status, error_type, *same = values
    error = error_type and error_type[:MAX_VALUE_CHARS]
    key = session_id or anonymous_session(now), project
    return told((*key, now, now, idx, version, status, error, *same))
