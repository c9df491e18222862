"""What of many values a page shows, and in which order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migas.collector.projects.versions import oldest_first

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Mapping

    from migas.collector.counts.outcomes import Outcomes
    from migas.collector.days import Period

MAX_VERSIONS = 50
"""Whoever reports runs names their versions: a page must not grow with what strangers make up."""

MAX_FAILURES = 10
MAX_SHARES = 8


def bars(days: Iterable[tuple[dt.date, int]], period: Period) -> dict[dt.date, int]:
    """Numbers of days by what is counted together, none of the period left out."""
    found = dict.fromkeys(period.buckets(), 0)
    for day, number in days:
        found[period.bucket(day)] += number
    return found


def most_frequent(by_version: Mapping[str, Outcomes], latest: str) -> tuple[list[str], list[str]]:
    """The versions to show, the newest first, and the others; the named newest one is shown."""
    ranked = sorted(
        by_version, key=lambda version: (version != latest, -by_version[version].total, version)
    )
    shown = oldest_first(ranked[:MAX_VERSIONS])[::-1]
    return list(shown), ranked[MAX_VERSIONS:]
