"""On which day a version came: the same one, whatever sessions and bars a chart is made of."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import func

from migas.collector.counts.chance import RARELY, was_missing
from migas.collector.counts.reading import ALL
from migas.collector.counts.slices import WEEKS, starts_in
from migas.collector.counts.usage import Usage
from migas.collector.database.tables import slices
from migas.collector.days import day_number, day_of
from migas.collector.projects.versions import version_order

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from migas.collector.counts.slices import Span
    from migas.collector.days import Period

MAX_ARRIVALS = 12
"""So many marks a chart has at most."""

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


_NUMBER = slices.c.completed + slices.c.failed + slices.c.suspended + slices.c.running
_FIRST_AND_LEAST = (
    func.min(slices.c.day).filter(_NUMBER > 0).label("first"),
    func.min(_NUMBER).label("least"),
)
"""Of some slices the first day that has a session, and how many the least row has."""


class Releases(Usage):
    """When the versions of a project came."""

    async def arrivals(self, project: str, period: Period) -> dict[dt.date, list[Arrival]]:
        """The versions that came within a period, by the day, week or month of its chart.

        All sessions tell, whatever filter others are asked for with: a release is one for all.
        """
        days = starts_in(period, charted=False, spans=WEEKS)
        seen = await self._by_week(project, days)
        in_question = versions_in_question(seen)
        mondays = {day_of(monday) for span, starts in days if span == 7 for monday in starts}
        rough = [version for version in in_question if seen.first[version] in mondays]
        if rough:
            seen = await self._by_day(project, seen, rough)
        found: defaultdict[dt.date, list[Arrival]] = defaultdict(list)
        for arrival in arrivals(seen, in_question):
            found[period.bucket(arrival.day)].append(arrival)
        return dict(found)

    async def _by_week(self, project: str, days: Iterable[tuple[Span, Collection[int]]]) -> Seen:
        """What was seen, where a Monday stands for each whole week."""
        of_versions, of_days = await asyncio.gather(
            self.sums_on(project, days, ALL, ["version"], *_FIRST_AND_LEAST),
            self.sums_on(project, days, ALL, ["day"]),
        )
        if any(least < 0 for *_, least in of_versions):
            # One below 0 takes back what another shard's row has counted: that day may have none.
            pairs = await self.sums_on(project, days, ALL, ["version", "day"])
            of_versions = [(of, *numbers, on, 0) for of, on, *numbers in pairs if any(numbers)]
        first: dict[str, int] = {}
        total: Counter[str] = Counter()
        for of, *numbers, on, _ in of_versions:
            if any(numbers):
                first[of] = min(on, first.get(of, on))
                total[of] += max(0, sum(numbers))
        by_day = {day_of(on): max(0, sum(numbers)) for on, *numbers in of_days if any(numbers)}
        return Seen({of: day_of(on) for of, on in first.items()}, total, by_day)

    async def _by_day(self, project: str, seen: Seen, versions: Sequence[str]) -> Seen:
        """The same, but for the days of those weeks in which some versions were first seen."""
        weeks = {seen.first[of] for of in versions}
        days: list[tuple[Span, Collection[int]]] = [
            (1, [day_number(monday) + number for monday in weeks for number in range(7)])
        ]
        of_days, of_versions = await asyncio.gather(
            self.sums_on(project, days, ALL, ["day"]),
            self.sums_on(project, days, ALL, ["version", "day"], versions=versions),
        )
        first: dict[str, dt.date] = {}
        for of, number, *numbers in of_versions:
            on = day_of(number)
            if any(numbers) and on >= seen.first[of]:
                first[of] = min(on, first.get(of, on))
        by_day = {on: number for on, number in seen.by_day.items() if on not in weeks}
        by_day |= {day_of(on): max(0, sum(numbers)) for on, *numbers in of_days}
        return Seen({**seen.first, **first}, seen.numbers, by_day)


def among(
    came: Mapping[dt.date, Sequence[Arrival]], numbers: Mapping[str, int]
) -> dict[dt.date, list[Arrival]]:
    """The arrivals of the most frequent of the versions that a chart has sessions of.

    Args:
        came: All arrivals, by the bars of a chart.
        numbers: How many sessions each of the versions has there.
    """
    those = {one.version for of_bar in came.values() for one in of_bar} & numbers.keys()
    kept = sorted(those, key=lambda version: (-numbers[version], version))[:MAX_ARRIVALS]
    some = {bar: [one for one in of_bar if one.version in kept] for bar, of_bar in came.items()}
    return {bar: of_bar for bar, of_bar in some.items() if of_bar}


def arrivals(seen: Seen, versions: Collection[str]) -> list[Arrival]:
    """The versions that came, from the oldest on.

    A version has come where all its sessions lie behind a day by more than chance, and where it
    is more than a rare guest from then on.

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
    return sorted(came, key=lambda arrival: version_order(arrival.version))


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
