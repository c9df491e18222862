"""On which day a version came: the same one, whatever is counted together in a chart."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import select

from migas.collector.counts.reading import Reading
from migas.collector.counts.slices import STATUSES, cover
from migas.collector.database.tables import slices
from migas.collector.days import day_number, day_of
from migas.collector.projects.versions import version_order

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable

    from migas.collector.counts.adoption import Uses
    from migas.collector.counts.filters import Filter
    from migas.collector.days import Period

MAX_ARRIVALS = 12
MAX_IN_QUESTION = 24
"""Of so many versions it is found out whether they came: that is nearly always enough for those."""

RARE = 0.01
"""A version with a smaller share of the sessions since it was first seen is no release to mark."""

CHANCE = 0.001
"""How likely it may be that a version was there before, and none of its sessions was seen."""


class Arrival(NamedTuple):
    """A version, and the day on which it came."""

    version: str
    day: dt.date


class Releases(Reading):
    """When the versions of a project came."""

    async def arrivals(
        self, project: str, period: Period, only: Filter, used: Uses
    ) -> dict[dt.date, list[Arrival]]:
        """The versions that came within a period, by the day, week or month of its chart.

        Args:
            project: `owner/repo`.
            period: Which days.
            only: Which sessions.
            used: How many of those sessions have which version, as the chart needs it.
        """
        rough = _weeks(period, only) & days_in_question(used)
        exact = {key: number for key, number in used.items() if key[0] not in rough}
        exact |= await self._by_day(project, only, rough)
        found: defaultdict[dt.date, list[Arrival]] = defaultdict(list)
        for arrival in arrivals(exact):
            found[period.bucket(arrival.day)].append(arrival)
        return dict(found)

    async def _by_day(self, project: str, only: Filter, weeks: Iterable[dt.date]) -> Uses:
        """How many sessions of each day of some weeks have which version."""
        days = [day_number(monday) + number for monday in weeks for number in range(7)]
        if not days:
            return {}
        by = (slices.c.day, slices.c.version)
        sign, which = only.slice_conditions(project, ("day", "version"))
        columns = [slices.c[STATUSES[letter]] for letter in only.statuses]
        query = select(*by, *columns).where(
            slices.c.project == project, slices.c.span == sign, slices.c.day.in_(days), *which
        )
        found: Counter[tuple[dt.date, str]] = Counter()
        for day, version, *numbers in await self.scanned(query):
            found[day_of(day), version] += sum(numbers)
        return {key: number for key, number in found.items() if number > 0}


def arrivals(used: Uses) -> list[Arrival]:
    """The versions that came, from the oldest on.

    A version has come where all its sessions lie behind a day by more than chance, and where it
    is more than a rare guest from then on. Strangers name versions: only the most frequent ones
    are told.

    Args:
        used: How many sessions have which version, by day.
    """
    first, numbers, since = _summed(used)
    everything = numbers.total()
    came = [
        Arrival(version, first[version])
        for version in sorted(numbers, key=lambda version: (-numbers[version], version))
        if _has_come(version, numbers[version], since[first[version]], everything)
    ]
    return sorted(came[:MAX_ARRIVALS], key=lambda arrival: version_order(arrival.version))


def days_in_question(used: Uses) -> set[dt.date]:
    """The first days of versions that may have come, where a day may stand for a week of them.

    On whichever of its days a version came, there were no fewer sessions since then than in all
    the weeks after: what is no release even beside those is none.
    """
    first, numbers, since = _summed(used)
    everything = numbers.total()
    after = {day: since[later] for day, later in pairwise(sorted(since))}
    came = [
        version
        for version in sorted(numbers, key=lambda version: (-numbers[version], version))
        if _has_come(version, numbers[version], after.get(first[version], 0), everything)
    ]
    return {first[version] for version in came[:MAX_IN_QUESTION]}


def _summed(used: Uses) -> tuple[dict[str, dt.date], Counter[str], dict[dt.date, int]]:
    """Each version's first day and sessions; and how many sessions there are from each day on."""
    first: dict[str, dt.date] = {}
    numbers: Counter[str] = Counter()
    by_day: Counter[dt.date] = Counter()
    for (day, version), number in used.items():
        first[version] = min(day, first.get(version, day))
        numbers[version] += number
        by_day[day] += number
    since: dict[dt.date, int] = {}
    left = numbers.total()
    for day in sorted(by_day):
        since[day] = left
        left -= by_day[day]
    return first, numbers, since


def _has_come(version: str, number: int, since: int, everything: int) -> bool:
    """Whether a version came, given how many sessions there are since it did, and in all."""
    return (
        version_order(version)[0]
        and number >= RARE * since
        and (since / everything) ** number <= CHANCE
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
