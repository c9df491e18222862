"""The errors of a project: which hit most users, where and since when, and what they say."""

from __future__ import annotations

import asyncio
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import bindparam, case, false, func, or_, select

from migas.collector.counts.error_spread import ErrorSpread
from migas.collector.counts.fingerprint import node_of
from migas.collector.counts.frequency import frequent
from migas.collector.counts.history import Seen, history
from migas.collector.counts.reading import ALL, listed
from migas.collector.counts.sessions import error_name
from migas.collector.counts.slices import WEEKS, cover
from migas.collector.database.tables import (
    COUNTED_AT,
    FAILED,
    MAX_VALUE_CHARS,
    OF_VERSIONS_WEEKLY,
    crumbs,
    daily,
    sessions,
)
from migas.collector.database.value_lists import is_one_of
from migas.collector.days import BLOCK_DAYS, block_of, day_number, day_of, moment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import date, datetime

    from sqlalchemy import ColumnElement, Select

    from migas.collector.counts.filters import Filter
    from migas.collector.counts.history import History
    from migas.collector.days import Period


MAX_KEPT = 16
"""So many statements are kept."""


class ErrorSummary(NamedTuple):
    """Failures with one fingerprint: how many, whom they hit, in which versions, and one message.

    `name` is the fingerprint as addresses have it, `node` that of a pipeline, empty without one.
    `users` is how many known users it hit. `versions` are pairs of a version and its sessions,
    the most frequent first, `days` how many sessions count on a day, or in the week or month that
    begins with it in a chart. `message` is from the newest, as its sender redacted it; None when it
    had none. Newest is what counts last, or with most filters what came last, which may be of an
    earlier day. `history` tells of all time.
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


class Past(NamedTuple):
    """An error's past: when and where it was seen, the first and the last time among it.

    `failed` says how many sessions of each version failed with it, `versions` how many in a period.
    """

    seen: set[Seen]
    failed: dict[str, int]
    versions: dict[str, int]


_NAMED = (
    daily.c.project == bindparam("project"),
    OF_VERSIONS_WEEKLY,
    is_one_of(daily.c.detail, "names"),
)
_NAMES = (daily.c.detail.label("error"), daily.c.value.label("version"))


class Failures(ErrorSpread):
    """The errors of a project."""

    async def errors(
        self, project: str, period: Period, only: Filter = ALL, limit: int = 10
    ) -> list[ErrorSummary]:
        """The errors with which sessions failed, those that hit most users first."""
        top, exposed = await asyncio.gather(
            self.most_hit(project, period, only, limit), self._exposed(project)
        )
        if not top:
            return []
        fingerprints = [hits.fingerprint for hits in top]
        past, (versions, days, last_of) = await asyncio.gather(
            self._past(project, period, fingerprints),
            self.spread(project, period, only, top),
        )
        if versions is None:
            versions = {of: known.versions for of, known in past.items()}
            if only.version is not None:
                versions = {hits.fingerprint: {only.version: hits.sessions} for hits in top}
        messages = {row.idx: row for row in await self.rows(said(last_of.values()))}
        return [
            ErrorSummary(
                error_name(of),
                messages[last_of[of]].error_type[:MAX_VALUE_CHARS],
                node_of(messages[last_of[of]].status_desc, messages[last_of[of]].error_desc),
                hits.sessions,
                hits.users,
                tuple(frequent(versions[of])),
                days[of],
                messages[last_of[of]].error_desc,
                history(past[of].seen, past[of].failed, exposed),
            )
            for of, hits in zip(fingerprints, top, strict=True)
            if last_of.get(of) in messages  # between two questions it may have been deleted
        ]

    async def _past(
        self, project: str, period: Period, fingerprints: Sequence[int]
    ) -> dict[int, Past]:
        """What is known of some errors since anything was counted."""
        names = {error_name(of): of for of in fingerprints}
        days = cover(period, charted=False, spans=WEEKS)
        weeks = [(first, last) for span, first, last in days if span != 1]
        values: dict[str, Any] = {"project": project, "names": list(names)}
        for number, (first, last) in enumerate(weeks):
            values |= {f"first_{number}": first, f"last_{number}": last}
        dialect = self.connections.dialect
        found = await self.chained(_by_error(dialect, _seen_by_row, len(weeks)), values)
        if any(least < 0 for _, _, _, least, *_ in found):
            found = await self.chained(_by_error(dialect, _seen_by_week, len(weeks)), values)
        past = {of: Past(set(), {}, {}) for of in fingerprints}
        # The first and the last week of each error day by day, and what no whole week has.
        asked = {(first, last): set(names) for span, first, last in days if span == 1}
        single = {day for first, last in asked for day in range(first, last + 1)}
        for name, first_week, last_week, _, versions, numbers, within in found:
            for monday in (first_week, last_week):
                asked.setdefault((monday, monday + 6), set()).add(name)
            past[names[name]].failed.update(zip(versions, map(int, numbers), strict=True))
            in_weeks = zip(versions, map(int, within), strict=True)
            past[names[name]].versions.update((of, number) for of, number in in_weeks if number > 0)
        by_day = await self.failed_on(project, asked)
        for (day, name, version), number in by_day.items():
            past[names[name]].seen.add(Seen(day_of(day), version))
            if day in single:
                known = past[names[name]].versions
                known[version] = known.get(version, 0) + number
        return past

    async def _exposed(self, project: str) -> dict[str, int]:
        """How many sessions each version has had since anything was counted."""
        blocks = range(block_of(0), day_number(self.clock.today()) + 1, BLOCK_DAYS)
        rows = await self.sums_on(project, [(BLOCK_DAYS, blocks)], ALL, ["version"])
        return {version: sum(numbers) for version, *numbers in rows if any(numbers)}

    async def messages(
        self, project: str, period: Period, only: Filter, limit: int = 10
    ) -> list[Message]:
        """The messages of sessions that failed, those that count last first."""
        # Few are chosen before what they say is looked up, else PostgreSQL looks up all of them.
        newest = (
            select(COUNTED_AT.label("counted"), sessions.c.version, sessions.c.last_idx)
            .where(*only.within(project, period), FAILED)
            .order_by(COUNTED_AT.desc(), sessions.c.last_idx.desc())
            .limit(limit)
            .subquery()
        )
        query = (
            select(newest.c.counted, newest.c.version, crumbs.c.error_desc)
            .join(crumbs, crumbs.c.idx == newest.c.last_idx)
            .order_by(newest.c.counted.desc(), newest.c.last_idx.desc())
        )
        return [
            Message(moment(began), version, text) for began, version, text in await self.rows(query)
        ]


@lru_cache(MAX_KEPT)
def _by_error(dialect: str, seen: Callable[[int], Select[Any]], weeks: int) -> Select[Any]:
    """Of each error the first and the last week, the least row, and lists by version."""
    each = seen(weeks).subquery()
    ends = (func.min(each.c.first), func.max(each.c.last), func.min(each.c.least))
    lists = (listed(each.c[name], dialect) for name in ("version", "number", "within"))
    return select(each.c.error, *ends, *lists).group_by(each.c.error)


def _seen_by_row(weeks: int) -> Select[Any]:
    """By error and version: the first and the last week, the sessions in all and those of some.

    It is one pass over the index. Behind them comes the least row of these: one below 0 takes back
    what another shard's row has counted, so that there may be no session in the week of that one.
    """
    has_any = daily.c.sessions > 0
    columns = (
        func.min(daily.c.day).filter(has_any).label("first"),
        func.max(daily.c.day).filter(has_any).label("last"),
        *_totals(daily.c.day, daily.c.sessions, weeks),
    )
    query = select(*_NAMES, *columns).where(*_NAMED).group_by(*_NAMES)
    return query.having(func.sum(daily.c.sessions) > 0)


def _seen_by_week(weeks: int) -> Select[Any]:
    """The same from the sums of weeks, which takes several times as long."""
    total = func.sum(daily.c.sessions)
    by_week = select(*_NAMES, daily.c.day, total.label("number")).where(*_NAMED)
    each = by_week.group_by(*_NAMES, daily.c.day).having(total > 0).subquery()
    columns = (
        func.min(each.c.day).label("first"),
        func.max(each.c.day).label("last"),
        *_totals(each.c.day, each.c.number, weeks),
    )
    by_version = each.c.error, each.c.version
    return select(*by_version, *columns).group_by(*by_version)


def _totals(
    monday: ColumnElement[int], number: ColumnElement[int], weeks: int
) -> tuple[ColumnElement[int], ...]:
    """The sum of all weeks, that of those in some ranges of them, and the least number."""
    ranges = (
        monday.between(bindparam(f"first_{of}"), bindparam(f"last_{of}")) for of in range(weeks)
    )
    return (
        func.sum(number).label("number"),
        func.sum(case((or_(false(), *ranges), number), else_=0)).label("within"),
        func.min(number).label("least"),
    )


def said(indices: Iterable[int]) -> Select[Any]:
    """What breadcrumbs say of their errors, by their numbers."""
    columns = (crumbs.c.idx, crumbs.c.error_type, crumbs.c.status_desc, crumbs.c.error_desc)
    return select(*columns).where(is_one_of(crumbs.c.idx, list(indices)))
