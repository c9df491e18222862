"""Counts that can be filtered: whatever the filter and the bars, they are the sessions' own."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, cast

import pytest

from migas.collector.collector import Collector
from migas.collector.counts.filters import OUTCOMES, Filter
from migas.collector.counts.outcomes import outcomes_by
from migas.collector.counts.sessions import facets
from migas.collector.counts.slices import cover
from migas.collector.counts.usage import FACETS
from migas.collector.days import SECONDS_A_DAY, Period, day_number, day_of
from tests.collector.counts.test_sessions import (
    Clock,
    record,
    recounted,
    some_crumbs,
    told_sessions,
)

if TYPE_CHECKING:
    from migas.collector.days import Step
    from tests.collector.databases import Database

TODAY = day_of(20_040)
PERIOD = Period(TODAY - timedelta(days=140), TODAY)
STEPS = cast("tuple[Step, ...]", ("day", "week", "month"))


@pytest.mark.parametrize("by", STEPS)
@pytest.mark.parametrize("charted", [True, False])
def test_a_period_is_covered_by_slices_that_have_each_day_once(by: Step, charted: bool) -> None:
    for first in (date(2024, 2, 26) + timedelta(days=number) for number in range(8)):
        for length in (*range(1, 24), 59, 366):
            period = Period(first, first + timedelta(days=length - 1), by)
            days: list[int] = []
            for span, begin, end in cover(period, charted=charted):
                for day in range(begin, end + 1, span):
                    of_slice = [day_of(day + number) for number in range(span)]
                    assert span == 1 or of_slice[0].weekday() == 0
                    assert span == 1 or period.last not in of_slice
                    assert not charted or len({period.bucket(of) for of in of_slice}) == 1
                    days += map(day_number, of_slice)
            assert days == [*range(day_number(period.first), day_number(period.last) + 1)]


def test_a_year_is_few_slices() -> None:
    year = Period(TODAY - timedelta(days=364), TODAY, "week")
    days = [(end - begin) // span + 1 for span, begin, end in cover(year, charted=True)]
    assert sum(days) <= 52 + 2 * 6
    days = [(end - begin) // span + 1 for span, begin, end in cover(year, charted=False)]
    assert sum(days) <= 6 + 2 * 7 + 2 * 6


FILTERS = [
    Filter(version="2.0"),
    Filter(platform="darwin"),
    Filter(container="unknown", ci="no"),
    Filter(ci="yes"),
    Filter(ci="perhaps"),
    Filter(language="python 3.11"),
    Filter(language="python"),
    Filter(language="python 3"),
    Filter(user="dev"),
    Filter(user="general", outcome="failed"),
    *(Filter(outcome=name) for name in (*OUTCOMES, "unheard-of")),
    Filter(version="1.0", platform="linux", language="python 3.12", user="dev", outcome="running"),
]


def test_filtered_figures_are_those_of_the_sessions(database: Database) -> None:
    for number in range(6):
        record(database, *some_crumbs(number, 30), clock=Clock((19_905 + 27 * number) * 86400))
    assert recounted(database).none
    rows = told_sessions(database)

    async def ask() -> None:
        async with Collector.open(database.url, clock=Clock(20_040 * 86400)) as collector:
            for only in FILTERS:
                mine = [row for row in rows if _meets(row, only)]
                for by in STEPS:
                    period = Period(PERIOD.first, PERIOD.last, by)
                    found = await collector.reports.usage("a/b", period, only)
                    usage, shares = _by_hand(mine, period)
                    bars: Counter[tuple[date, str, str]] = Counter()
                    for bar in found:
                        bars[period.bucket(bar.day), bar.version, bar.status] += bar.sessions
                    assert bars == usage, (only, by)
                    assert await collector.reports.shares("a/b", period, only) == shares, only
                versions = await collector.reports.by_version("a/b", PERIOD, only)
                of_versions: Counter[str] = Counter()
                for (_, version, _), number in usage.items():
                    of_versions[version] += number
                assert {of: sums.outcomes.total for of, sums in versions.items()} == of_versions
                sums = await collector.reports.outcomes("a/b", PERIOD, only)
                assert sums.total == sum(usage.values())
                statuses = ((None, status, number) for (*_, status), number in usage.items())
                assert sums == outcomes_by(statuses).get(None, sums)

    assert {row["user_type"] for row in rows} == {"general", "dev", None}
    asyncio.run(ask())


def _by_hand(
    rows: list[dict[str, Any]], period: Period
) -> tuple[Counter[tuple[date, str, str]], dict[str, Counter[str]]]:
    usage: Counter[tuple[date, str, str]] = Counter()
    shares: dict[str, Counter[str]] = {facet: Counter() for facet in FACETS}
    for row in rows:
        day = day_of((row["began"] if row["ended"] is None else row["ended"]) // SECONDS_A_DAY)
        if period.first <= day <= period.last:
            usage[period.bucket(day), row["version"], row["status"]] += 1
            for facet, value in _facets(row):
                shares[facet][value] += 1
    return usage, shares


def _facets(row: dict[str, Any]) -> tuple[tuple[Any, str], ...]:
    names = ("platform", "container", "language", "language_version", "is_ci")
    return facets(*(row[name] for name in names))


def _meets(row: dict[str, Any], only: Filter) -> bool:
    has = {"version": row["version"], "user": row["user_type"], **dict(_facets(row))}
    has["outcome"] = next(name for name, letter in OUTCOMES.items() if letter == row["status"])
    return all(
        value in (has[name], *(has[name].rpartition(end)[0] for end in " ."))
        if name == "language"
        else has[name] == value
        for name, value in only.values.items()
    )


def test_what_an_older_collector_never_counted_is_no_number_below_0(database: Database) -> None:
    """A newer one takes it back when such a session changes; counting anew mends it."""
    record(database, *some_crumbs(1, 30), clock=Clock(19_950 * 86400))
    database.execute("UPDATE slices SET completed = -3, failed = -1 WHERE abs(span) = 56")

    async def ask() -> None:
        async with Collector.open(database.url, clock=Clock(20_040 * 86400)) as collector:
            for only in (Filter(), Filter(platform="linux"), Filter(version="1.0")):
                by_version = await collector.reports.by_version("a/b", PERIOD, only)
                ends = [of for sums in by_version.values() for of in sums]
                ends.append(await collector.reports.outcomes("a/b", PERIOD, only))
                assert all(number >= 0 for of in ends for number in of), only
                assert all(of.interval is None or of.interval[0] >= 0 for of in ends), only

    asyncio.run(ask())
