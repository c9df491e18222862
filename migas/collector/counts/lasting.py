"""How long runs took, by time and by version, as counts in buckets."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import BigInteger, ColumnElement, cast, func, select, union_all

from migas.collector.counts.durations import bucket
from migas.collector.counts.reading import ALL, DAY
from migas.collector.counts.slices import starts_in
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
        by_version = mine if versions is None else [*mine, of.in_(versions)]
        of_days, of_versions = await asyncio.gather(
            self._buckets(project, period, durations.c.day, sign, mine),
            self._buckets(project, period, of, 1, by_version),
        )
        for day, *counts in of_days:
            found.by_time[period.bucket(day_of(day))].update(dict(zip(*counts, strict=True)))
        for name, *counts in of_versions:
            found.by_version[name].update(dict(zip(*counts, strict=True)))
        return found

    async def _buckets(
        self,
        project: str,
        period: Period,
        column: ColumnElement[Any],
        sign: int,
        those: Sequence[ColumnElement[bool]],
    ) -> Sequence[tuple[Any, Sequence[int], Sequence[int]]]:
        """Buckets of durations and their counts by a column; a value of it may come in several."""
        total = cast(func.sum(durations.c.sessions), BigInteger)
        by = (column.label("value"), durations.c.bucket)
        counts = select(*by, total.label("runs")).where(durations.c.project == project, *those)
        # Days that are named lead straight to the rows of a version.
        parts = [
            counts.where(durations.c.span == sign * span, durations.c.day.in_(starts))
            .group_by(*by)
            .having(total > 0)
            .subquery()
            for span, starts in starts_in(period, charted=column is durations.c.day)
        ]
        lists = [
            select(part.c.value, self.listed(part.c.bucket), self.listed(part.c.runs)).group_by(
                part.c.value
            )
            for part in parts
        ]
        return await self.many(union_all(*lists))

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
