"""Which versions sessions have over time."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from migas.collector.projects.versions import newest_first

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Collection, Mapping, Sequence

    from migas.collector.counts.outcomes import Outcomes
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


def most_used(
    by_version: Mapping[str, int], latest: str = "", flagged: Collection[str] = ()
) -> list[str]:
    """The versions whose shares are shown, the newest first.

    Args:
        by_version: How many sessions each version has.
        latest: The newest version, which is among them where it has a session.
        flagged: Versions with known faults. A bad one is soon left, and would hardly ever be
            frequent: the most frequent of them is shown.
    """
    known = [name for name in flagged if name in by_version]
    always = {latest, max(known, key=lambda name: (by_version[name], name), default=latest)}
    ranked = sorted(by_version, key=lambda name: (name not in always, -by_version[name], name))
    return newest_first(ranked[:MAX_VERSIONS])


def adoption(
    versions: Sequence[str],
    others: int,
    used: Mapping[tuple[dt.date, str], int],
    by_day: Mapping[dt.date, Outcomes],
    period: Period,
) -> Adoption:
    """Share the sessions of a period out among its versions.

    Args:
        versions: Those that are told apart.
        others: How many others there are.
        used: How many sessions have which of these versions, by day.
        by_day: How all sessions ended, by day.
        period: Which days, and what is counted together; none of them is left out.
    """
    everything = dict.fromkeys(period.buckets(), 0)
    for day, outcomes in by_day.items():
        everything[period.bucket(day)] += outcomes.total
    of_versions: Counter[tuple[dt.date, str]] = Counter()
    for (day, version), number in used.items():
        of_versions[period.bucket(day), version] += number
    shares = {}
    for start, number in everything.items():
        numbers = [of_versions[start, version] for version in versions]
        # Between two questions some sessions may have come.
        shares[start] = [*numbers, max(0, number - sum(numbers))]
    return Adoption(versions, others, shares)
