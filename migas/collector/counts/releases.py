"""On which day a version came: the same one, whatever is counted together in a chart."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from migas.collector.counts.chance import RARELY, was_missing
from migas.collector.counts.slices import cover
from migas.collector.counts.usage import Usage
from migas.collector.database.tables import slices
from migas.collector.days import day_number, day_of
from migas.collector.projects.versions import version_order

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Collection, Mapping, Sequence

    from migas.collector.counts.filters import Filter
    from migas.collector.counts.outcomes import Outcomes, VersionSum
    from migas.collector.days import Period

MAX_ARRIVALS = 12
MAX_IN_QUESTION = 24
"""Of so many versions it is found out whether they came: that is nearly always enough for those."""

RARE = 0.01
"""A version with a smaller share of the sessions since it was first seen is no release to mark."""


class Arrival(NamedTuple):
    """A version, and the day on which it came."""

    version: str
    day: dt.date


class Seen(NamedTuple):
    """When versions were first seen, how many sessions each has, and how many there are by day."""

    first: Mapping[str, dt.date]
    numbers: Mapping[str, int]
    by_day: Mapping[dt.date, int]


class Releases(Usage):
    """When the versions of a project came."""

    async def arrivals(
        self,
        project: str,
        period: Period,
        only: Filter,
        by_version: Mapping[str, VersionSum],
        by_day: Mapping[dt.date, Outcomes],
    ) -> dict[dt.date, list[Arrival]]:
        """The versions that came within a period, by the day, week or month of its chart.

        Args:
            project: `owner/repo`.
            period: Which days.
            only: Which sessions.
            by_version: How those of each version ended, and in which bar it was first seen.
            by_day: How all of them ended, by the day that stands for a bar.
        """
        seen = Seen(
            {version: of.first for version, of in by_version.items()},
            {version: of.outcomes.total for version, of in by_version.items()},
            {day: outcomes.total for day, outcomes in by_day.items()},
        )
        in_question = versions_in_question(seen)
        weeks = _weeks(period, only)
        rough = [version for version in in_question if seen.first[version] in weeks]
        if rough:
            seen = await self._by_day(project, only, seen, rough)
        found: defaultdict[dt.date, list[Arrival]] = defaultdict(list)
        for arrival in arrivals(seen, in_question):
            found[period.bucket(arrival.day)].append(arrival)
        return dict(found)

    async def _by_day(
        self, project: str, only: Filter, seen: Seen, versions: Sequence[str]
    ) -> Seen:
        """The same, but for the days of those weeks in which some versions were first seen."""
        weeks = {seen.first[version] for version in versions}
        days = [day_number(monday) + of for monday in weeks for of in range(7)]
        (of_days,) = self.summed_slices(project, only, ("day",), [(1, days)], [slices.c.day])
        (of_versions,) = self.summed_slices(
            project,
            only,
            ("day", "version"),
            [(1, days)],
            [slices.c.version, slices.c.day],
            where=[slices.c.version.in_(versions)],
        )
        sums, firsts = await asyncio.gather(self.many(of_days), self.many(of_versions))
        first: dict[str, dt.date] = {}
        for version, number, *numbers in firsts:
            day = day_of(number)
            if any(numbers) and day >= seen.first[version]:
                first[version] = min(day, first.get(version, day))
        by_day = {day: number for day, number in seen.by_day.items() if day not in weeks}
        by_day |= {day_of(day): sum(numbers) for day, *numbers in sums}
        return Seen({**seen.first, **first}, seen.numbers, by_day)


def arrivals(seen: Seen, versions: Collection[str]) -> list[Arrival]:
    """The versions that came, from the oldest on.

    A version has come where all its sessions lie behind a day by more than chance, and where it
    is more than a rare guest from then on. Strangers name versions: only the most frequent ones
    are told.

    Args:
        seen: When which versions were seen.
        versions: Those in question, the most frequent first.
    """
    since, everything = _since(seen.by_day)
    came = [
        Arrival(version, seen.first[version])
        for version in versions
        # Between two questions all that was seen on a day may have gone.
        if seen.first[version] in since
        and _has_come(version, seen.numbers[version], since[seen.first[version]], everything)
    ]
    return sorted(came[:MAX_ARRIVALS], key=lambda arrival: version_order(arrival.version))


def versions_in_question(seen: Seen) -> list[str]:
    """The versions that may have come, where a day may stand for a week, the most frequent first.

    On whichever of its days a version came, there were no fewer sessions since then than in all
    the weeks after: what is no release even beside those is none.
    """
    since, everything = _since(seen.by_day)
    after = {day: since[later] for day, later in pairwise(sorted(since))}
    came = [
        version
        for version in sorted(seen.numbers, key=lambda version: (-seen.numbers[version], version))
        if _has_come(version, seen.numbers[version], after.get(seen.first[version], 0), everything)
    ]
    return came[:MAX_IN_QUESTION]


def _since(by_day: Mapping[dt.date, int]) -> tuple[dict[dt.date, int], int]:
    """How many sessions there are from each day on, and in all."""
    since: dict[dt.date, int] = {}
    everything = left = sum(by_day.values())
    for day in sorted(by_day):
        since[day] = left
        left -= by_day[day]
    return since, everything


def _has_come(version: str, number: int, since: int, everything: int) -> bool:
    """Whether a version came, given how many sessions there are since it did, and in all."""
    return (
        version_order(version)[0]
        and number >= RARE * since
        and was_missing(number, since, everything - since, RARELY)
    )


def _weeks(period: Period, only: Filter) -> set[dt.date]:
    """The days of a timeline that stand for a week, of which they are the Mondays."""
    if only.error:  # then sessions are read one by one
        return set()
    return {
        day_of(monday)
        for span, first, last in cover(period, charted=True)
        if span == 7
        for monday in range(first, last + 1, span)
    }
