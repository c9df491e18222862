"""How sessions divide: by time, version and outcome, and by what they ran on.

All of it comes from counts, with a filter from those of slices, so that an answer takes the same
time over ten million breadcrumbs as over ten; only those of one error are read one by one.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from sqlalchemy import (
    ColumnElement,
    func,
    select,
)

from migas.collector.counts.error_counts import ErrorCounts
from migas.collector.counts.outcomes import (
    Outcomes,
    UsageCount,
    VersionOutcomes,
    counted,
    outcomes_by,
)
from migas.collector.counts.reading import ALL, DAY
from migas.collector.counts.sessions import OUTCOME
from migas.collector.counts.slice_sums import SliceSums
from migas.collector.counts.slices import STATUSES
from migas.collector.database.tables import daily, profiles, sessions
from migas.collector.days import day_number, day_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from migas.collector.counts.filters import Filter
    from migas.collector.counts.slice_sums import Division
    from migas.collector.days import Period


Facet = Literal["platform", "container", "language", "ci"]
"""Kinds of counts that divide all sessions."""

FACETS: tuple[Facet, ...] = ("platform", "container", "language", "ci")


class StatusCount(NamedTuple):
    """How many sessions that began in a day or week, on `start` or after, have a status.

    `status` is a letter: R has not ended, C completed, F failed, S was suspended.
    """

    start: date
    status: str
    sessions: int


class Usage(SliceSums, ErrorCounts):
    """How sessions divide."""

    async def by_project(
        self, names: Sequence[str], period: Period
    ) -> list[tuple[tuple[str, date], str, int]]:
        """Sessions of several projects by project and the day they began, and by their status."""
        rows = await self._counts(names, OUTCOME, period, "project", "day", "detail")
        return [((name, day_of(day)), status, number) for name, day, status, number in rows]

    async def timeline(
        self, project: str, period: Period, only: Filter = ALL
    ) -> list[VersionOutcomes]:
        """How the sessions of each day and version ended, those with any, in order.

        A day stands for all that are in its bar of the period's chart.
        """
        found: dict[tuple[Any, ...], list[int]]
        if only.error:
            rows = await self._of_error(project, period, only)
            found = {(day, version): [0, number, 0, 0] for day, version, number in rows}
        else:
            found = await self.slice_sums(project, period, only, "day", "version")
        days = {day: day_of(day) for day in {day for day, _ in found}}
        return [
            VersionOutcomes(days[key[0]], key[1], counted(numbers))
            for key, numbers in sorted(found.items())
            if any(numbers)
        ]

    async def _of_error(
        self, project: str, period: Period, only: Filter
    ) -> Sequence[tuple[Any, ...]]:
        """How many sessions failed with an error, by day and version."""
        if only.outcome not in (None, "failed") or only.error is None:
            return []
        if only.values.keys() - {"version", "error", "outcome"}:
            by = (DAY, sessions.c.version)
            query = select(*by, func.count()).where(*only.within(project, period)).group_by(*by)
            return await self.scanned(query)
        found = await self.failed(project, period, [only.error], ("day", "version"), only.version)
        return [(*key, number) for key, number in found.items()]

    async def usage(self, project: str, period: Period, only: Filter = ALL) -> list[UsageCount]:
        """Sessions by the day they began, and by their version and status."""
        return [
            UsageCount(day, version, status, number)
            for day, version, outcomes in await self.timeline(project, period, only)
            for status, number in outcomes.by_status
        ]

    async def shares(
        self, project: str, period: Period, only: Filter = ALL
    ) -> dict[Facet, Counter[str]]:
        """How many sessions have a value of what they ran on: `linux`, or CI (`yes`, `no`)."""
        shares: dict[Facet, Counter[str]] = {facet: Counter() for facet in FACETS}
        if only.error:
            of = sessions.c.profile
            query = select(of, func.count()).where(*only.within(project, period)).group_by(of)
            rows = await self.scanned(query)
        else:
            by_status = await self._sliced(project, period, only, "profile")
            rows = [(profile, number) for profile, _, number in by_status]
        named = await self._ran_on(project)
        for profile, number in rows:
            for facet, value in zip(FACETS, named.get(profile, ()), strict=False):
                shares[facet][value] += number
        return shares

    async def _ran_on(self, project: str) -> dict[int, Sequence[str]]:
        """What the sessions of each profile ran on: the values of `FACETS`."""
        ran_on = [profiles.c[facet] for facet in FACETS]
        known = select(profiles.c.profile, *ran_on).where(profiles.c.project == project)
        return {row.profile: row[1:] for row in await self.rows(known)}

    async def sessions(self, project: str, period: Period) -> list[StatusCount]:
        """Sessions by the day, or by the week from Monday on, they began; and by their status.

        Returns:
            The counts above zero, in the order of time. Weeks are whole ones of the calendar:
            the first and the last of a period may have fewer days in it.
        """
        found: Counter[tuple[date, str]] = Counter()
        for day, status, number in await self._counts([project], OUTCOME, period, "day", "detail"):
            found[period.bar_of(day), status] += number
        return [StatusCount(*key, number) for key, number in sorted(found.items())]

    async def outcomes(self, project: str, period: Period, only: Filter = ALL) -> Outcomes:
        """How the sessions of a period ended."""
        if only.error:
            query = select(sessions.c.status, func.count()).where(*only.within(project, period))
            rows = [tuple(row) for row in await self.scanned(query.group_by(sessions.c.status))]
        else:
            rows = await self._sliced(project, period, only)
        return outcomes_by((None, status, number) for status, number in rows).get(None, Outcomes())

    async def _counts(
        self, names: Sequence[str], kind: str, period: Period, *columns: str
    ) -> list[tuple[Any, ...]]:
        """Sums of one kind, by some columns of `daily` and in their order, those above zero."""
        total = func.sum(daily.c.sessions)
        by = [daily.c[column] for column in columns]
        query = select(*by, total).where(*_are(names, kind, period)).group_by(*by).having(total > 0)
        # Sorted here: the databases disagree about the order of texts.
        found = [(*row[:-1], int(row[-1])) for row in await self.rows(query)]
        return sorted(found)

    async def _sliced(
        self, project: str, period: Period, only: Filter, *columns: Division
    ) -> list[tuple[Any, ...]]:
        """Sums of the slices of a filter, by some of their columns and by status.

        With `day` in them a day stands for all that are in its bar of the period's chart.
        """
        found = await self.slice_sums(project, period, only, *columns)
        return sorted(
            (*key, letter, number)
            for key, numbers in found.items()
            for letter, number in zip(STATUSES, numbers, strict=True)
            if number > 0
        )


def _are(names: Sequence[str], kind: str, period: Period) -> tuple[ColumnElement[bool], ...]:
    """The conditions of counts of one kind of some projects in a period."""
    days = daily.c.day.between(day_number(period.first), day_number(period.last))
    return (daily.c.project.in_(names), daily.c.kind == kind, days)
