"""The errors of a project: which hit most users, where and since when, and what they say."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import distinct, func, select

from migas.collector.counts.fingerprint import node_of
from migas.collector.counts.history import history
from migas.collector.counts.reading import ALL, DAY, Reading
from migas.collector.counts.sessions import ERROR, OUTCOME, error_name
from migas.collector.database.tables import COUNTED_AT, MAX_VALUE_CHARS, crumbs, daily, sessions
from migas.collector.days import day_of, moment

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date, datetime

    from migas.collector.counts.filters import Filter
    from migas.collector.counts.history import History
    from migas.collector.days import Period


_FAILED = sessions.c.fingerprint.isnot(None)


class ErrorSummary(NamedTuple):
    """Failures with one fingerprint: how many, whom they hit, in which versions, and one message.

    `name` is the fingerprint as addresses have it, `node` that of a pipeline, empty without one.
    `users` is how many known users it hit. `versions` are pairs of a version and its sessions,
    the most frequent first, `days` how many sessions began on a day. `message` is from the
    newest, as its sender redacted it; None when it had none. `history` tells of all time.
    """

    name: str
    error_type: str
    node: str
    sessions: int
    users: int
    versions: tuple[tuple[str, int], ...]
    days: Mapping[date, int]
    message: str | None
    history: History


class Message(NamedTuple):
    """What a session that began at a time said of its error; None when it said nothing."""

    began: datetime
    version: str
    text: str | None


class Failures(Reading):
    """The errors of a project."""

    async def errors(
        self, project: str, period: Period, only: Filter = ALL, limit: int = 10
    ) -> list[ErrorSummary]:
        """The errors with which sessions failed, those that hit most users first."""
        those = only.within(project, period)
        number, hit = func.count(), func.count(distinct(sessions.c.user_id))
        query = (
            select(sessions.c.fingerprint, number, hit, func.max(sessions.c.last_idx))
            .where(*those, _FAILED)
            .group_by(sessions.c.fingerprint)
            .order_by(hit.desc(), number.desc(), sessions.c.fingerprint)
            .limit(limit)
        )
        top = await self.rows(query)
        if not top:
            return []
        seen = await self._seen(project, [error_name(row[0]) for row in top])
        histories = await self._histories(project, seen)
        if only.values.keys() - {"version", "error"}:  # else the counts have the answer
            by = (sessions.c.fingerprint, sessions.c.version, DAY)
            found = sessions.c.fingerprint.in_([row[0] for row in top])
            spread = select(*by, func.count()).where(*those, _FAILED, found).group_by(*by)
            seen = {name: [] for name in seen}
            for fingerprint, version, day, sessions_then in await self.rows(spread):
                seen[error_name(fingerprint)].append((day_of(day), version, sessions_then))
        versions: defaultdict[str, Counter[str]] = defaultdict(Counter)
        days: defaultdict[str, Counter[date]] = defaultdict(Counter)
        for name, rows in seen.items():
            for day_seen, version, sessions_then in rows:
                if period.first <= day_seen <= period.last and only.version in (None, version):
                    versions[name][version] += sessions_then
                    days[name][day_seen] += sessions_then
        messages = await self._messages([row[3] for row in top])
        return [
            ErrorSummary(
                name,
                messages[last].error_type[:MAX_VALUE_CHARS],
                node_of(messages[last].status_desc, messages[last].error_desc),
                in_all,
                users_hit,
                tuple(sorted(versions[name].items(), key=lambda pair: (-pair[1], pair[0]))),
                days[name],
                messages[last].error_desc,
                histories[name],
            )
            for name, in_all, users_hit, last in ((error_name(row[0]), *row[1:]) for row in top)
            if last in messages  # between two questions it may have been deleted
        ]

    async def _histories(
        self, project: str, seen: Mapping[str, Sequence[tuple[date, str, int]]]
    ) -> dict[str, History]:
        """What to say of errors that have been seen on some days and in some versions."""
        total = func.sum(daily.c.sessions)
        exposed = await self.rows(
            select(daily.c.value, total)
            .where(daily.c.project == project, daily.c.kind == OUTCOME)
            .group_by(daily.c.value)
        )
        by_version = {version: int(number) for version, number in exposed}
        return {name: history(rows, by_version) for name, rows in seen.items()}

    async def _seen(
        self, project: str, names: Sequence[str]
    ) -> dict[str, list[tuple[date, str, int]]]:
        """When, and in which versions, errors have been seen since anything was counted."""
        total = func.sum(daily.c.sessions)
        by = (daily.c.value, daily.c.detail, daily.c.day)
        seen = await self.rows(
            select(*by, total)
            .where(daily.c.project == project, daily.c.kind == ERROR, daily.c.value.in_(names))
            .group_by(*by)
            .having(total > 0)
        )
        rows: dict[str, list[tuple[date, str, int]]] = {name: [] for name in names}
        for name, version, number, found in seen:
            rows[name].append((day_of(number), version, int(found)))
        return rows

    async def messages(
        self, project: str, period: Period, only: Filter, limit: int = 10
    ) -> list[Message]:
        """The newest messages of sessions that failed."""
        query = (
            select(COUNTED_AT, sessions.c.version, crumbs.c.error_desc)
            .join(crumbs, crumbs.c.idx == sessions.c.last_idx)
            .where(*only.within(project, period), _FAILED)
            .order_by(COUNTED_AT.desc(), sessions.c.last_idx.desc())
            .limit(limit)
        )
        return [
            Message(moment(began), version, said) for began, version, said in await self.rows(query)
        ]

    async def _messages(self, indices: Sequence[int]) -> dict[int, Any]:
        """What breadcrumbs say of their errors, by their numbers."""
        columns = (crumbs.c.idx, crumbs.c.error_type, crumbs.c.status_desc, crumbs.c.error_desc)
        query = select(*columns).where(crumbs.c.idx.in_(indices))
        return {row.idx: row for row in await self.rows(query)}
