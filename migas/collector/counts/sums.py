"""What a page shows of sessions over time and by version, summed up where the counts are.

A year of a project has some thousands of pairs of a week and a version. To add them up, by the one
and by the other, takes a database less time than to hand them over.
"""

from __future__ import annotations

from operator import add
from typing import TYPE_CHECKING, Any

from migas.collector.counts.outcomes import Outcomes, VersionSum, counted, totals
from migas.collector.counts.slices import STATUSES, starts_in
from migas.collector.counts.usage import Usage
from migas.collector.days import day_of

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
        found = await self.slice_sums(project, period, only, "day")
        return {day_of(day): counted(of) for (day,), of in sorted(found.items()) if any(of)}

    async def by_version(self, project: str, period: Period, only: Filter) -> dict[str, VersionSum]:
        """How the sessions of each version ended, those versions with any."""
        if not only.error:
            days = starts_in(period, charted=False)
            return _summed(await self.sums_on(project, days, only, ("version", "is_todays")))
        today = self.clock.today()
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
        elif versions:
            days = starts_in(period, charted=True)
            rows = await self.sums_on(project, days, only, ("day", "version"), versions=versions)
            for day, version, *numbers in rows:
                key = day_of(day), version
                found[key] = found.get(key, 0) + sum(numbers)
        return {key: number for key, number in found.items() if number > 0}


def _summed(rows: Iterable[tuple[Any, ...]]) -> dict[str, VersionSum]:
    """Sums by version of rows of a version, whether they are of today, and four numbers."""
    found: dict[str, list[Any]] = {}
    for version, is_todays, *numbers in rows:
        sums = found.setdefault(version, [_NOTHING, _NOTHING])
        sums[is_todays] = list(map(add, sums[is_todays], numbers))
    return {
        version: VersionSum(counted(before), counted(todays))
        for version, (before, todays) in found.items()
        if any(before) or any(todays)
    }
