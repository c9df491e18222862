"""Which versions sessions have over time."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from migas.collector.projects.versions import version_order

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Sequence

    from migas.collector.counts.outcomes import VersionOutcomes
    from migas.collector.days import Period

MAX_VERSIONS = 5
"""More could not be told apart in a chart."""


class Adoption(NamedTuple):
    """How the sessions of each day, week or month are shared out among versions.

    `versions` are the most frequent ones, the newest first. `bars` has by its first day how many
    sessions each of them has, and behind these those of all `others`, of which there are so many.
    """

    versions: Sequence[str]
    others: int
    bars: Mapping[dt.date, Sequence[int]]


Uses = Mapping[tuple["dt.date", str], int]
"""How many sessions a version has on a day."""


def uses(timeline: Iterable[VersionOutcomes]) -> Uses:
    """How many sessions ended in whichever way, by day and version."""
    return {(day, version): outcomes.total for day, version, outcomes in timeline}


def adoption(used: Uses, period: Period, latest: str = "") -> Adoption:
    """Share the sessions of a period out among its versions.

    Args:
        used: How many sessions have which version, by day.
        period: Which days, and what is counted together; none of them is left out.
        latest: The newest version, which is among those shown where it has a session.
    """
    by_version: Counter[str] = Counter()
    by_start: defaultdict[dt.date, Counter[str]] = defaultdict(Counter)
    starts = {day: period.bucket(day) for day in {day for day, _ in used}}
    for (day, version), number in used.items():
        by_version[version] += number
        by_start[starts[day]][version] += number
    ranked = sorted(by_version, key=lambda name: (name != latest, -by_version[name], name))
    shown = sorted(ranked[:MAX_VERSIONS], key=version_order, reverse=True)
    bars = {}
    for start in period.buckets():
        numbers = [by_start[start][version] for version in shown]
        bars[start] = [*numbers, by_start[start].total() - sum(numbers)]
    return Adoption(shown, len(ranked) - len(shown), bars)
