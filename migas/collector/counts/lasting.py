"""How long runs took, by time and by version, as counts in buckets."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import BigInteger, ColumnElement, cast, func, select, union_all

from migas.collector.counts.durations import bucket
from migas.collector.counts.reading import ALL, DAY
from migas.collector.counts.slices import cover
from migas.collector.counts.usage import Usage
from migas.collector.database.tables import durations, sessions
from migas.collector.days import day_of

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
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

    async def durations(
        self,
        project: str,
        period: Period,
        only: Filter = ALL,
        versions: Collection[str] | None = None,
    ) -> Durations | None:
        """How long the runs took that completed.

        Args:
            project: `owner/repo`.
            period: Which days.
            only: Which sessions.
            versions: Those that are told apart; all without them.

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
        of = durations.c.version
        mine = [] if only.version is None else [of == only.version]
        sign = -1 if only.version is None else 1
        rows = await self._buckets(project, period, durations.c.day, sign, mine)
        starts = {day: period.bucket(day_of(day)) for day in {row[0] for row in rows}}
        for day, number, runs in rows:
            counts = found.by_time[starts[day]]
            counts[number] = counts.get(number, 0) + runs
        if versions is not None:
            mine.append(of.in_(versions))
        for name, number, runs in await self._buckets(project, period, of, 1, mine):
            counts = found.by_version[name]
            counts[number] = counts.get(number, 0) + runs
        return found

    async def _buckets(
        self,
        project: str,
        period: Period,
        column: ColumnElement[Any],
        sign: int,
        those: Sequence[ColumnElement[bool]],
    ) -> Sequence[tuple[Any, int, int]]:
        """Counts of durations by a column and their bucket; one may come in several rows."""
        total = cast(func.sum(durations.c.sessions), BigInteger)
        by = (column, durations.c.bucket)
        counts = select(*by, total).where(durations.c.project == project, *those)
        # Days that are named lead straight to the rows of a version.
        parts = [
            counts.where(
                durations.c.span == sign * span, durations.c.day.in_(range(first, last + 1, span))
            )
            .group_by(*by)
            .having(total > 0)
            for span, first, last in cover(period, charted=column is durations.c.day)
        ]
        return await self.many(union_all(*parts))

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
