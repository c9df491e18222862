"""How long runs took, by time and by version, as counts in buckets."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import ColumnElement, func, select

from migas.collector.counts.durations import bucket
from migas.collector.counts.reading import ALL, DAY
from migas.collector.counts.slices import cover
from migas.collector.counts.usage import Usage
from migas.collector.database.tables import durations, sessions
from migas.collector.days import day_of

if TYPE_CHECKING:
    from datetime import date

    from migas.collector.counts.filters import Filter
    from migas.collector.days import Period


MAX_TIMED = 50_000
"""Of no more sessions is each one's duration read where no count has the answer."""


class Durations(NamedTuple):
    """How many runs took how long, by `bucket`: of days, weeks or months, and of versions."""

    by_time: defaultdict[date, Counter[int]]
    by_version: defaultdict[str, Counter[int]]


class Lasting(Usage):
    """How long the runs of a project took."""

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
            found += [(row[0], row[1], int(row[2])) for row in await self.rows(query)]
        return found

    async def _durations_one_by_one(self, project: str, period: Period, only: Filter) -> Durations:
        found = Durations(defaultdict(Counter), defaultdict(Counter))
        query = select(DAY, sessions.c.version, sessions.c.duration).where(
            *only.with_(outcome="completed").within(project, period),
            sessions.c.duration.isnot(None),
        )
        for day, version, seconds in await self.scanned(query):
            number = bucket(seconds)
            found.by_time[period.bucket(day_of(day))][number] += 1
            found.by_version[version][number] += 1
        return found
