"""What can be read about projects: the questions of the usage call and of the page.

Nearly all of it comes from counts and other small tables, with a filter from those of slices, so
that an answer takes the same time over ten million breadcrumbs as over ten. Days are those of UTC.
Texts are what senders wrote: whoever shows them treats them as hostile.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from sqlalchemy import ColumnElement, Integer, case, distinct, func, literal_column, select

from migas.collector.counts.durations import bucket
from migas.collector.counts.filters import Filter
from migas.collector.counts.fingerprint import node_of
from migas.collector.counts.history import history
from migas.collector.counts.outcomes import Outcomes, UsageCount, outcomes_by
from migas.collector.counts.sessions import ERROR, LAST_ANONYMOUS, OUTCOME, error_name, facets
from migas.collector.counts.slices import STATUSES, cover
from migas.collector.database.tables import (
    COUNTED_AT,
    MAX_VALUE_CHARS,
    RUNNING,
    crumbs,
    daily,
    durations,
    profiles,
    project_users,
    projects,
    sessions,
    slices,
    users,
)
from migas.collector.days import SECONDS_A_DAY, day_number, day_of, moment

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence
    from datetime import date, datetime

    from migas.collector.clock import Clock
    from migas.collector.counts.history import History
    from migas.collector.database.connections import Connections
    from migas.collector.days import Period
    from migas.collector.tokens import Access

ALL = Filter()
"""No filter: every session."""

_FAILED = sessions.c.fingerprint.isnot(None)

Facet = Literal["platform", "container", "language", "ci"]
"""Kinds of counts that divide all sessions."""

FACETS: tuple[Facet, ...] = ("platform", "container", "language", "ci")

_RAN_ON = ("platform", "container", "language", "language_version", "is_ci")
_DAY = COUNTED_AT // SECONDS_A_DAY

MAX_COUNTING = 2
"""So many questions that look at breadcrumbs or sessions one by one are answered at a time."""

MAX_TIMED = 50_000
"""Of no more sessions is each one's duration read where no count has the answer."""

SILENT_SECONDS = SECONDS_A_DAY
"""After so long without a word a run that has not ended counts as never heard of again."""


class StatusCount(NamedTuple):
    """How many sessions that began in a day or week, on `start` or after, have a status.

    `status` is a letter: R has not ended, C completed, F failed, S was suspended.
    """

    start: date
    status: str
    sessions: int


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


class UserCounts(NamedTuple):
    """How many users were seen in a period, how many for the first time, and their types."""

    active: int
    new: int
    types: Mapping[str, int]


class Breakdown(NamedTuple):
    """How sessions divide.

    `shares` has how many have a value: a platform, a container, `python 3.11`, CI or not (`yes`,
    `no`).
    """

    usage: Sequence[UsageCount]
    shares: Mapping[Facet, Mapping[str, int]]


class Message(NamedTuple):
    """What a session that began at a time said of its error; None when it said nothing."""

    began: datetime
    version: str
    text: str | None


class Durations(NamedTuple):
    """How many runs took how long, by `bucket`: of days, weeks or months, and of versions."""

    by_time: defaultdict[date, Counter[int]]
    by_version: defaultdict[str, Counter[int]]


class LostRun(NamedTuple):
    """A run that has not ended and of which nothing was heard; times are in UTC."""

    session_id: str
    version: str
    began: datetime
    seen: datetime


class LostRuns(NamedTuple):
    """How many runs were never heard of again, and the latest of them."""

    number: int
    latest: tuple[LostRun, ...]


class Reports:
    """Answers from one database.

    Args:
        connections: To the database.
        clock: Tells since when a run is silent.
    """

    def __init__(self, connections: Connections, clock: Clock) -> None:
        self._connections = connections
        self._clock = clock
        self._counting = asyncio.Semaphore(MAX_COUNTING)

    async def visible_projects(self, access: Access | None) -> list[str]:
        """The registered projects that a token may read, in the order of their registration.

        Args:
            access: What the token opens; None for whoever may read everything without one.
        """
        query = select(projects.c.project).order_by(projects.c.idx)
        if access is not None and not access.is_root:
            query = query.where(projects.c.project == access.project)
        return [row.project for row in await self._rows(query)]

    async def by_project(
        self, names: Sequence[str], period: Period
    ) -> list[tuple[tuple[str, date], str, int]]:
        """Sessions of several projects by project and the day they began, and by their status."""
        rows = await self._counts(names, OUTCOME, period, "project", "day", "detail")
        return [((name, day_of(day)), status, number) for name, day, status, number in rows]

    async def usage(self, project: str, period: Period, only: Filter = ALL) -> list[UsageCount]:
        """Sessions by the day they began, and by their version and status."""
        if only.error:
            by = (_DAY, sessions.c.version, sessions.c.status)
            query = select(*by, func.count()).where(*only.within(project, period)).group_by(*by)
            rows = sorted(tuple(row) for row in await self._scanned(query))
        elif only:
            rows = await self._sliced(project, period, only, "day", "version")
        else:
            rows = await self._counts([project], OUTCOME, period, "day", "value", "detail")
        return [UsageCount(day_of(row[0]), *row[1:]) for row in rows]

    async def breakdown(self, project: str, period: Period, only: Filter = ALL) -> Breakdown:
        """How sessions divide, by time and outcome and by what they ran on."""
        shares: dict[Facet, Counter[str]] = {facet: Counter() for facet in FACETS}
        usage = await self.usage(project, period, only)
        if only.error:
            by = [sessions.c[name] for name in _RAN_ON]
            query = select(*by, func.count()).where(*only.within(project, period)).group_by(*by)
            for *ran_on, number in await self._scanned(query):
                for facet, value in facets(*ran_on):
                    shares[facet][value] += number
            return Breakdown(usage, shares)
        if only:
            ran_on = [profiles.c[facet] for facet in FACETS]
            known = select(profiles.c.profile, *ran_on).where(profiles.c.project == project)
            named = {row.profile: row[1:] for row in await self._rows(known)}
            for profile, _, number in await self._sliced(project, period, only, "profile"):
                for facet, value in zip(FACETS, named.get(profile, ()), strict=False):
                    shares[facet][value] += number
            return Breakdown(usage, shares)
        for facet in FACETS:
            for value, number in await self._counts([project], facet, period, "value"):
                shares[facet][value] = number
        return Breakdown(usage, shares)

    async def durations(self, project: str, period: Period, only: Filter = ALL) -> Durations | None:
        """How long the runs took that completed.

        Returns:
            None where that takes too long: of many sessions, by another filter than version.
        """
        found = Durations(defaultdict(Counter), defaultdict(Counter))
        asked = only.with_(outcome=None).values
        if only.outcome not in (None, "completed") or only.error:
            return found
        if asked.keys() - {"version"}:
            few = (await self.outcomes(project, period)).total <= MAX_TIMED
            return await self._durations_one_by_one(project, period, only) if few else None
        for day, number, runs in await self._buckets(project, period, only, durations.c.day):
            found.by_time[period.bucket(day_of(day))][number] += runs
        for name, number, runs in await self._buckets(project, period, only, durations.c.version):
            found.by_version[name][number] += runs
        return found

    async def _buckets(
        self, project: str, period: Period, only: Filter, column: ColumnElement[Any]
    ) -> list[tuple[Any, int, int]]:
        """Counts of durations by a column and their bucket; one may come in several rows."""
        total, found = func.sum(durations.c.sessions), []
        by = (column, durations.c.bucket)
        over_time = column is durations.c.day
        mine = [durations.c.project == project]
        if only.version is not None:
            mine.append(durations.c.version == only.version)
        sign = -1 if over_time and only.version is None else 1
        for span, first, last in cover(period, charted=over_time):
            those = (durations.c.span == sign * span, durations.c.day.between(first, last))
            query = select(*by, total).where(*mine, *those).group_by(*by).having(total > 0)
            found += [(row[0], row[1], int(row[2])) for row in await self._rows(query)]
        return found

    async def _durations_one_by_one(self, project: str, period: Period, only: Filter) -> Durations:
        found = Durations(defaultdict(Counter), defaultdict(Counter))
        query = select(_DAY, sessions.c.version, sessions.c.duration).where(
            *only.with_(outcome="completed").within(project, period),
            sessions.c.duration.isnot(None),
        )
        for day, version, seconds in await self._scanned(query):
            number = bucket(seconds)
            found.by_time[period.bucket(day_of(day))][number] += 1
            found.by_version[version][number] += 1
        return found

    async def sessions(self, project: str, period: Period) -> list[StatusCount]:
        """Sessions by the day, or by the week from Monday on, they began; and by their status.

        Returns:
            The counts above zero, in the order of time. Weeks are whole ones of the calendar:
            the first and the last of a period may have fewer days in it.
        """
        found: Counter[tuple[date, str]] = Counter()
        for day, status, number in await self._counts([project], OUTCOME, period, "day", "detail"):
            found[period.bucket(day_of(day)), status] += number
        return [StatusCount(*key, number) for key, number in sorted(found.items())]

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
        top = await self._rows(query)
        if not top:
            return []
        seen = await self._seen(project, [error_name(row[0]) for row in top])
        histories = await self._histories(project, seen)
        if only.values.keys() - {"version", "error"}:  # else the counts have the answer
            by = (sessions.c.fingerprint, sessions.c.version, _DAY)
            found = sessions.c.fingerprint.in_([row[0] for row in top])
            spread = select(*by, func.count()).where(*those, _FAILED, found).group_by(*by)
            seen = {name: [] for name in seen}
            for fingerprint, version, day, sessions_then in await self._rows(spread):
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
        exposed = await self._rows(
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
        seen = await self._rows(
            select(*by, total)
            .where(daily.c.project == project, daily.c.kind == ERROR, daily.c.value.in_(names))
            .group_by(*by)
            .having(total > 0)
        )
        rows: dict[str, list[tuple[date, str, int]]] = {name: [] for name in names}
        for name, version, number, found in seen:
            rows[name].append((day_of(number), version, int(found)))
        return rows

    async def users(self, project: str, period: Period, only: Filter = ALL) -> UserCounts:
        """How many users a period has, and how many of them were first seen then.

        Without a filter they are those last seen in it or later: for a period that ends today
        these are its users.
        """
        first, last = day_number(period.first), day_number(period.last)
        seen = project_users.c.last_day >= first
        if only:
            theirs = select(sessions.c.user_id).where(*only.within(project, period))
            seen = project_users.c.user_id.in_(theirs.where(sessions.c.user_id.isnot(None)))
        is_new = project_users.c.first_day.between(first, last)
        kind = func.coalesce(users.c.user_type, "general")
        query = (
            select(kind, func.count(), func.count().filter(is_new))
            .join_from(
                project_users, users, users.c.user_id == project_users.c.user_id, isouter=True
            )
            .where(project_users.c.project == project, seen)
            .group_by(kind)
        )
        rows = await (self._scanned(query) if only else self._rows(query))
        return UserCounts(
            sum(row[1] for row in rows),
            sum(row[2] for row in rows),
            {row[0]: row[1] for row in rows},
        )

    async def users_over_time(
        self, project: str, period: Period, only: Filter = ALL
    ) -> dict[date, tuple[int, int, int]]:
        """Users, those first seen then, and sessions of users, by the day, week or month.

        Those without a user are not in it.
        """
        starts = period.buckets()
        seen, joined = (_bucket(column, starts) for column in (_DAY, project_users.c.first_day))
        those = (*only.within(project, period), sessions.c.user_id.isnot(None))
        hit = distinct(sessions.c.user_id)
        query = select(seen, func.count(hit), func.count()).where(*those).group_by(seen)
        if only:
            of_user = (project_users.c.user_id == sessions.c.user_id) & (
                project_users.c.project == sessions.c.project
            )
            new = select(seen, func.count(hit)).join(project_users, of_user)
            new = new.where(*those, joined == seen).group_by(seen)
        else:
            first, last = day_number(period.first), day_number(period.last)
            is_new = project_users.c.first_day.between(first, last)
            new = select(joined, func.count())
            new = new.where(project_users.c.project == project, is_new).group_by(joined)
        found_new = {row[0]: row[1] for row in await self._scanned(new)}
        return {
            starts[number]: (users_then, found_new.get(number, 0), sessions_then)
            for number, users_then, sessions_then in await self._scanned(query)
        }

    async def users_by_facet(
        self, project: str, period: Period, only: Filter = ALL
    ) -> tuple[int, dict[Facet, Counter[str]]]:
        """How many users sessions have, and by what those ran on; a user may be in several."""
        columns = (sessions.c.user_id, *(sessions.c[name] for name in _RAN_ON))
        those = (*only.within(project, period), sessions.c.user_id.isnot(None))
        seen: set[tuple[Facet, str, str]] = set()
        people: set[str] = set()
        for user, *ran_on in await self._scanned(select(*columns).where(*those).distinct()):
            people.add(user)
            seen.update((facet, value, user) for facet, value in facets(*ran_on))
        found: dict[Facet, Counter[str]] = {facet: Counter() for facet in FACETS}
        for facet, value, _ in seen:
            found[facet][value] += 1
        return len(people), found

    async def outcomes(self, project: str, period: Period, only: Filter = ALL) -> Outcomes:
        """How the sessions of a period ended."""
        if only.error:
            query = select(sessions.c.status, func.count()).where(*only.within(project, period))
            rows = [tuple(row) for row in await self._scanned(query.group_by(sessions.c.status))]
        elif only:
            rows = await self._sliced(project, period, only)
        else:
            rows = await self._counts([project], OUTCOME, period, "detail")
        return outcomes_by((None, status, number) for status, number in rows).get(None, Outcomes())

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
            Message(moment(began), version, said)
            for began, version, said in await self._rows(query)
        ]

    async def lost_runs(
        self, project: str, period: Period, only: Filter = ALL, limit: int = 10
    ) -> LostRuns:
        """Runs that began in a period, did not end, and have been silent for a day or longer.

        What stands for a day's breadcrumbs without a session is no run.
        """
        silent_since = self._clock.now() - SILENT_SECONDS
        first = day_number(period.first) * SECONDS_A_DAY
        lost = (
            *only.within(project, period),
            RUNNING,
            sessions.c.seen >= first,  # as the index has them
            sessions.c.seen < silent_since,
            sessions.c.session_id > LAST_ANONYMOUS,
        )
        latest = (
            select(sessions.c.session_id, sessions.c.version, sessions.c.began, sessions.c.seen)
            .where(*lost)
            .order_by(sessions.c.seen.desc(), sessions.c.session_id)
            .limit(limit)
        )
        runs = tuple(
            LostRun(row.session_id, row.version, moment(row.began), moment(row.seen))
            for row in await self._rows(latest)
        )
        if only.error:
            number = 0  # it has ended
        else:
            number = await self._count_lost(project, period, only, silent_since)
        # Between two questions a run may have ended.
        return LostRuns(max(number, len(runs)), runs)

    async def _count_lost(
        self, project: str, period: Period, only: Filter, silent_since: int
    ) -> int:
        """How many runs that began in a period are lost, without reading each."""
        first = day_number(period.first) * SECONDS_A_DAY
        end = (day_number(period.last) + 1) * SECONDS_A_DAY
        # Counting the rows would read every unfinished session. So: the unfinished sessions by the
        # counts, less those heard from within a day, less the rows that stand for breadcrumbs
        # without a session.
        unfinished = (await self.outcomes(project, period, only)).running
        query = select(func.count()).where(
            *only.within(project, period), RUNNING, sessions.c.seen >= silent_since
        )
        ((recent,),) = await self._rows(query)
        # A condition on the status would have SQLite prefer the index of all that do not end.
        anonymous = select(sessions.c.status, sessions.c.began, sessions.c.seen).where(
            sessions.c.session_id <= LAST_ANONYMOUS,
            sessions.c.project == project,
            *only.conditions(),
        )
        no_runs = sum(
            row.status == "R" and first <= row.began < end and row.seen < silent_since
            for row in await self._rows(anonymous)
        )
        return int(unfinished - recent - no_runs)

    async def hits(
        self, project: str, start: int, end: int | None = None, unique: bool = False
    ) -> int:
        """Count a project's breadcrumbs, or the users who sent them, one by one.

        Args:
            project: `owner/repo`.
            start: The first second that counts, since 1970 in UTC.
            end: The last second that counts; all are counted without it.
            unique: Count users; breadcrumbs without a user then count for nothing.
        """
        counted = func.count(distinct(crumbs.c.user_id)) if unique else func.count()
        query = select(counted).where(crumbs.c.project == project, crumbs.c.timestamp >= start)
        if end is not None:
            query = query.where(crumbs.c.timestamp <= end)
        ((number,),) = await self._scanned(query)
        return int(number)

    async def breadcrumbs(
        self, columns: Sequence[str], project: str | None = None, since: date | None = None
    ) -> AsyncGenerator[Sequence[Any]]:
        """Every breadcrumb there is, in the order of their commits.

        Args:
            columns: What to tell of each, after its time in seconds since 1970.
            project: Only those of this one.
            since: Only those of this day and later.
        """
        query = select(crumbs.c.timestamp, *(crumbs.c[name] for name in columns))
        if project is not None:
            query = query.where(crumbs.c.project == project)
        if since is not None:
            query = query.where(crumbs.c.timestamp >= day_number(since) * SECONDS_A_DAY)
        async with self._connections.reading() as connection:
            async for row in await connection.stream(query.order_by(crumbs.c.idx)):
                yield row

    async def _counts(
        self, names: Sequence[str], kind: str, period: Period, *columns: str
    ) -> list[tuple[Any, ...]]:
        """Sums of one kind, by some columns of `daily` and in their order, those above zero."""
        total = func.sum(daily.c.sessions)
        by = [daily.c[column] for column in columns]
        query = select(*by, total).where(*_are(names, kind, period)).group_by(*by).having(total > 0)
        # Sorted here: the databases disagree about the order of texts.
        found = [(*row[:-1], int(row[-1])) for row in await self._rows(query)]
        return sorted(found)

    async def _sliced(
        self, project: str, period: Period, only: Filter, *columns: str
    ) -> list[tuple[Any, ...]]:
        """Sums of the slices of a filter, by some of their columns and by status.

        With `day` in them a day stands for all that are in its bar of the period's chart.
        """
        by = [slices.c[column] for column in columns]
        letters = only.statuses
        sums = [func.sum(slices.c[STATUSES[letter]]) for letter in letters]
        total: Counter[tuple[Any, ...]] = Counter()
        for span, first, last in cover(period, charted="day" in columns) if letters else ():
            query = (
                select(*by, *sums)
                .group_by(*by)
                .where(
                    slices.c.project == project,
                    slices.c.span == span,
                    slices.c.day.between(first, last),
                    *only.slice_conditions(project),
                )
            )
            for row in await self._scanned(query):
                for letter, number in zip(letters, row[len(by) :], strict=True):
                    total[(*row[: len(by)], letter)] += int(number or 0)
        return sorted((*key, number) for key, number in total.items() if number > 0)

    async def _messages(self, indices: Sequence[int]) -> dict[int, Any]:
        """What breadcrumbs say of their errors, by their numbers."""
        columns = (crumbs.c.idx, crumbs.c.error_type, crumbs.c.status_desc, crumbs.c.error_desc)
        query = select(*columns).where(crumbs.c.idx.in_(indices))
        return {row.idx: row for row in await self._rows(query)}

    async def _scanned(self, query: Any) -> Sequence[Any]:
        """The answer to a question that looks at rows one by one; few are asked at a time."""
        async with self._counting:
            return await self._rows(query)

    async def _rows(self, query: Any) -> Sequence[Any]:
        async with self._connections.reading() as connection:
            return (await connection.execute(query)).all()


def _bucket(day: ColumnElement[int], starts: Sequence[date]) -> ColumnElement[int]:
    """Which of some days that stand for others, in order, stands for a day; counted from 0."""

    def plain(value: int) -> ColumnElement[int]:
        # No parameter: PostgreSQL has to see that what is asked for is what is grouped by.
        return literal_column(str(value), Integer)

    steps = {(later - start).days for start, later in pairwise(starts)}
    if len(steps) <= 1:
        return (day - plain(day_number(starts[0]))) // plain(max(steps, default=31))
    return case(
        *((day < plain(day_number(end)), plain(number)) for number, end in enumerate(starts[1:])),
        else_=plain(len(starts) - 1),
    )


def _are(names: Sequence[str], kind: str, period: Period) -> tuple[ColumnElement[bool], ...]:
    """The conditions of counts of one kind of some projects in a period."""
    days = daily.c.day.between(day_number(period.first), day_number(period.last))
    return (daily.c.project.in_(names), daily.c.kind == kind, days)
