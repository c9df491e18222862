"""A project's figures as tables, for people with a spreadsheet, a notebook or a script."""

from __future__ import annotations

from collections import Counter, defaultdict
from inspect import getdoc
from typing import TYPE_CHECKING

from migas.collector.counts.chance import VERY_CONFIDENT, compared
from migas.collector.counts.columns import numbers_of, rate_of, share_of, took
from migas.collector.counts.comparison import ENOUGH, versions_before
from migas.collector.counts.durations import longer
from migas.collector.counts.frequency import frequent
from migas.collector.counts.likelihood import by_kind
from migas.collector.counts.outcomes import Outcomes, outcomes_by, rated
from migas.collector.counts.period_table import beside_each_other
from migas.collector.counts.rows import (
    AdoptionRow,
    DifferenceRow,
    DurationRow,
    EnvironmentRow,
    ErrorRow,
    LostRow,
    SessionsRow,
    UsersRow,
    VersionDurationRow,
    VersionRow,
    WhereRow,
)
from migas.collector.projects.versions import newest_first

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping, Sequence

    from migas.collector.counts.filters import Filter
    from migas.collector.counts.lasting import Durations
    from migas.collector.counts.outcomes import UsageCount
    from migas.collector.counts.reports import Reports
    from migas.collector.counts.rows import PeriodRow, Row
    from migas.collector.days import Period

MAX_ERRORS = 1000
"""So many errors a table has."""

MAX_LOST = 1000
"""And so many runs that were never heard of again."""


class Tables:
    """The tables of one project, of a period and the sessions of a filter.

    Args:
        reports: Where the figures come from.
        project: `owner/repo`.
        period: Which days, and what is counted together.
        only: Which sessions.
        today: The present day, which is not over.
        two: Two versions that are set side by side, where somebody names them.
    """

    def __init__(
        self,
        reports: Reports,
        project: str,
        period: Period,
        only: Filter,
        today: dt.date,
        *,
        two: tuple[str, str] = ("", ""),
    ) -> None:
        self._reports = reports
        self._asked = (project, period, only)
        self._period = period
        self._today = today
        self._two = two

    async def read(self, name: str) -> Sequence[Row]:
        """The rows of the table of that name, one of `ROWS`."""
        project, period, only = self._asked
        self._asked = project, period, await self._reports.resolved(project, only)
        rows: Sequence[Row] = await getattr(self, _method(name))()
        return rows

    @classmethod
    def described(cls, name: str) -> str:
        """What the table of that name, one of `ROWS`, has."""
        return getdoc(getattr(cls, _method(name))) or ""

    async def sessions(self) -> list[SessionsRow]:
        """Sessions by the day, week or month they count in, and by outcome; none is left out."""
        usage = await self._reports.usage(*self._asked)
        every, finished = (
            outcomes_by((self._period.bucket(row.day), row.status, row.sessions) for row in rows)
            for rows in (usage, self._rated(usage))
        )
        found = []
        for start in self._period.buckets():
            numbers = numbers_of(every.get(start, Outcomes()))
            ended, completed, rate, *_ = rate_of(finished.get(start, Outcomes()))
            row = SessionsRow(start, *numbers, ended, completed, rate, self._is_open(start))
            found.append(row)
        return found

    async def periods(self) -> list[PeriodRow]:
        """Sessions, users and durations of the period, the one before, and the same a year ago."""
        return await beside_each_other(self._reports, *self._asked, self._today)

    async def versions(self) -> list[VersionRow]:
        """Sessions by version, the newest first, with the completion rate and its 95 % interval."""
        usage = await self._reports.usage(*self._asked)
        every, finished = (
            outcomes_by((row.version, row.status, row.sessions) for row in rows)
            for rows in (usage, self._rated(usage))
        )
        found = []
        for version in newest_first(every):
            rate = rate_of(finished.get(version, Outcomes()))
            found.append(VersionRow(version, *numbers_of(every[version]), *rate))
        return found

    async def adoption(self) -> list[AdoptionRow]:
        """Sessions by the day, week or month they count in, and by version, the newest first."""
        found: defaultdict[dt.date, Counter[str]] = defaultdict(Counter)
        for row in await self._reports.usage(*self._asked):
            found[self._period.bucket(row.day)][row.version] += row.sessions
        versions = newest_first(version for by_version in found.values() for version in by_version)
        return [
            AdoptionRow(
                start,
                version,
                by_version[version],
                round(100 * by_version[version] / by_version.total(), 2),
                self._is_open(start),
            )
            for start, by_version in sorted(found.items())
            for version in versions
            if version in by_version
        ]

    async def errors(self) -> list[ErrorRow]:
        """Errors, those that hit most users first."""
        found = await self._reports.errors(*self._asked, MAX_ERRORS)
        rows = []
        for error in found:
            first, last, mark, since = error.history
            rows.append(
                ErrorRow(
                    error=error.name,
                    error_type=error.error_type,
                    node=error.node,
                    users=error.users,
                    sessions=error.sessions,
                    first=first and first.day,
                    first_version=first and first.version,
                    last=last and last.day,
                    last_version=last and last.version,
                    mark=mark,
                    since=since,
                    message=error.message,
                )
            )
        return rows

    async def where(self) -> list[WhereRow]:
        """Where the error happens that `error` names; without that filter there is no row.

        Of each kind those values come first that it meets most often.
        """
        project, period, only = self._asked
        if only.error is None:
            return []
        # Of what fails, whatever the outcome that is asked for.
        anything, ask = only.with_(error=None, outcome=None), self._reports
        hit = await ask.timeline(project, period, only)
        everything = await ask.by_version(project, period, anything)
        shares = await ask.shares(project, period, only)
        outcomes = {version: of.outcomes for version, of in everything.items()}
        met = by_kind(hit, outcomes, shares, await ask.shares(project, period, anything))
        failed = sum(row.outcomes.total for row in hit)
        whole = sum(of.total for of in outcomes.values())
        return [
            WhereRow(
                kind,
                row.value,
                row.failed,
                row.sessions,
                round(100 * row.failed / failed, 2),
                round(100 * row.sessions / whole, 2),
                float(f"{row.times:.4g}"),
                ("", "more", "less")[row.verdict],
            )
            for kind, rows in met.items()
            for row in rows
        ]

    async def differences(self) -> list[DifferenceRow]:
        """What fails in two versions, which `first` and `second` name, or in one of them alone.

        Without both names there is no row.
        """
        first, second = two = self._two
        if not first or not second or first == second:
            return []
        project, period, only = self._asked
        only = only.with_(version=None)
        every = await self._reports.by_version(project, period, only.with_(outcome=None))
        whole = {of: every[of].outcomes.total if of in every else 0 for of in two}
        found, _ = await self._reports.differences(
            project, period, only, versions=whole, limit=MAX_ERRORS
        )
        return [
            DifferenceRow(
                error.name,
                error.error_type,
                error.node,
                error.where,
                first,
                *error.first,
                share_of(error.first.sessions, whole[first]),
                second,
                *error.second,
                share_of(error.second.sessions, whole[second]),
                ("", "more", "less")[error.verdict],
                error.message,
            )
            for error in found
        ]

    async def users(self) -> list[UsersRow]:
        """Users by the day, week or month, none left out: all, new and returning."""
        return self.of_users(await self._reports.users_over_time(*self._asked))

    def of_users(self, found: Mapping[dt.date, tuple[int, int, int]]) -> list[UsersRow]:
        """The rows of some users, those that are new, and their sessions."""
        rows = []
        for start in self._period.buckets():
            users, new, sessions = found.get(start, (0, 0, 0))
            new = min(new, users)
            rows.append(UsersRow(start, users, new, users - new, sessions, self._is_open(start)))
        return rows

    async def durations(self) -> list[DurationRow]:
        """How long runs took that completed, by the day, week or month, none left out.

        Quantiles are estimates within 2 %.
        """
        return self.timed(await self._reports.durations(*self._asked))

    def timed(self, found: Durations) -> list[DurationRow]:
        """The rows of some durations by time."""
        rows = []
        for start in self._period.buckets():
            lasted = took(found.by_time.get(start, {}))
            rows.append(DurationRow(start, *lasted, self._is_open(start)))
        return rows

    async def version_durations(self) -> list[VersionDurationRow]:
        """How long runs took that completed, by version, the newest first.

        Quantiles are estimates within 2 %.
        """
        return timed_versions(await self._reports.durations(*self._asked))

    async def environments(self) -> list[EnvironmentRow]:
        """What sessions ran on: platforms, containers, languages and CI, and for which users.

        Of each kind the most frequent come first.
        """
        project, period, only = self._asked
        first, second = period.halves
        activity = await self._reports.activity(project, period, only)
        now, of_first, of_second = (activity.by_facet(of) for of in (period, first, second))
        wholes = (activity.users(first), activity.users(second))
        _, then = await self._reports.users_by_facet(project, period.before, only)
        rows = []
        for kind, found in (await self._reports.shares(project, period, only)).items():
            for value, number in frequent(found):
                halves = (of_first[kind][value], of_second[kind][value])
                trend = ("", "grows", "shrinks")[trend_of(halves, wholes)]
                users = (now[kind][value], then[kind][value])
                rows.append(EnvironmentRow(kind, value, number, *users, *halves, trend))
        return rows + await self._kinds_of_users()

    async def lost(self) -> list[LostRow]:
        """The runs that were never heard of again, the latest first, a thousand at most."""
        found = await self._reports.lost_runs(*self._asked, MAX_LOST)
        return [LostRow(*run) for run in found.latest]

    async def _kinds_of_users(self) -> list[EnvironmentRow]:
        project, period, only = self._asked
        now = (await self._reports.users(project, period, only)).types
        then = (await self._reports.users(project, period.before, only)).types
        rows = []
        for kind, users in frequent(now):
            outcomes = await self._reports.outcomes(project, period, only.with_(user=kind))
            rows.append(EnvironmentRow("user", kind, outcomes.total, users, then.get(kind, 0)))
        return rows

    def _rated(self, usage: Sequence[UsageCount]) -> Sequence[UsageCount]:
        """What rates are made of: nothing of sessions that all ended in one way."""
        return [] if self._asked[2].outcome else rated(usage, self._today)

    def _is_open(self, start: dt.date) -> bool:
        return self._period.bucket(self._today) == start


def trend_of(users: tuple[int, int], wholes: tuple[int, int]) -> int:
    """Whether a share of users grows (1) or shrinks (-1) from one time to another.

    Args:
        users: How many have a value, at the one time and at the other.
        wholes: How many there are.
    """
    return compared((users[1], wholes[1]), (users[0], wholes[0]), VERY_CONFIDENT)


def timed_versions(found: Durations) -> list[VersionDurationRow]:
    """The rows of some durations by version."""
    rows = []
    enough = [name for name, of in found.by_version.items() if sum(of.values()) >= ENOUGH]
    befores = versions_before(enough, enough)
    for version in newest_first(found.by_version):
        counts = found.by_version[version]
        before = befores.get(version)
        verdict = longer(counts, found.by_version[before]) if before else 0
        change = ("", "slower", "faster")[verdict]
        rows.append(VersionDurationRow(version, *took(counts), before, change))
    return rows


def _method(name: str) -> str:
    return name.replace("-", "_")
