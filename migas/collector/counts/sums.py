"""What a page shows of sessions over time and by version, summed up where the counts are.

A year of a project has some thousands of pairs of a week and a version. To add them up in three
ways takes a database less time than to hand them over.
"""

from __future__ import annotations

from itertools import repeat
from operator import add
from typing import TYPE_CHECKING, Any

from sqlalchemy import union_all

from migas.collector.counts.outcomes import Outcomes, VersionSum, totals
from migas.collector.counts.slices import STATUSES, starts_in
from migas.collector.counts.usage import Usage
from migas.collector.database.tables import slices
from migas.collector.days import day_number, day_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from datetime import date

    from migas.collector.counts.filters import Filter
    from migas.collector.days import Period


_NOTHING = (0,) * len(STATUSES)


class Sums(Usage):
    """Sums of sessions, over time and by version."""

    async def by_bar(self, project: str, period: Period, only: Filter) -> dict[date, Outcomes]:
        """How the sessions of each day ended, those days with any, in order.

        A day stands for all that are in its bar of the period's chart, but for the last day.
        """
        if only.error:
            timeline = await self.timeline(project, period, only)
            return totals((row.day, row.outcomes) for row in timeline)
        found = await self._slices(project, period, only, "day")
        return {day_of(day): Outcomes(*of) for (day,), of in sorted(found.items()) if any(of)}

    async def by_version(self, project: str, period: Period, only: Filter) -> dict[str, VersionSum]:
        """How the sessions of each version ended, those versions with any."""
        today = self.clock.today()
        if only.statuses and not only.error:
            by = slices.c.version, (slices.c.day >= day_number(today)).label("todays")
            days = starts_in(period, charted=False)
            parts = self.summed_slices(project, only, ("day", "version"), days, by)
            return _summed(await self.many(union_all(*parts)))
        timeline = await self.timeline(project, period, only)
        return _summed((version, day >= today, *of) for day, version, of in timeline)

    async def of_versions(
        self, project: str, period: Period, only: Filter, versions: Collection[str]
    ) -> dict[tuple[date, str], int]:
        """How many sessions some versions have on each day, as `by_bar` has days."""
        found: dict[tuple[date, str], int] = {}
        if only.error:
            for day, version, outcomes in await self.timeline(project, period, only):
                if version in versions:
                    found[day, version] = outcomes.total
        elif only.statuses and versions:
            by = slices.c.day, slices.c.version
            days = starts_in(period, charted=True)
            named = repeat(slices.c.version.in_(versions))
            parts = self.summed_slices(project, only, ("day", "version"), days, by, where=named)
            for day, version, *numbers in await self.many(union_all(*parts)):
                key = day_of(day), version
                found[key] = found.get(key, 0) + sum(numbers)
        return found


def _summed(rows: Iterable[tuple[Any, ...]]) -> dict[str, VersionSum]:
    """Sums by version of rows of a version, whether they are of today, and four numbers."""
    found: dict[str, list[Any]] = {}
    for version, is_todays, *numbers in rows:
        sums = found.setdefault(version, [_NOTHING, _NOTHING])
        sums[is_todays] = list(map(add, sums[is_todays], numbers))
    return {
        version: VersionSum(Outcomes(*before), Outcomes(*todays))
        for version, (before, todays) in found.items()
        if any(before) or any(todays)
    }
