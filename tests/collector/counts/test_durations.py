"""How long runs take: quantiles within 2 %, and slower releases that are told from chance."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from datetime import timedelta
from fractions import Fraction
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from migas.collector.collector import Collector
from migas.collector.counts.durations import bucket, longer, middle, quantile
from migas.collector.counts.filters import Filter
from migas.collector.counts.tables import Tables
from migas.collector.days import Period, day_of
from migas.collector.ingestion.timing import MAX_SECONDS, Timing
from migas.collector.pages import figures
from tests.collector.counts.test_sessions import Clock, record, recounted
from tests.collector.test_collector import a_crumb

if TYPE_CHECKING:
    from tests.collector.databases import Database

TODAY = day_of(20_000)
PERIOD = Period(TODAY - timedelta(days=9), TODAY)


@pytest.mark.parametrize("seconds", [0.1, 0.5, 1, 1.04, 59.9, 60, 3600, 86_400, MAX_SECONDS])
def test_a_bucket_stands_for_its_durations_within_two_percent(seconds: float) -> None:
    assert middle(bucket(seconds)) == pytest.approx(seconds, rel=0.02)
    assert bucket(seconds) <= bucket(seconds * 1.05) - 1


def test_no_time_at_all_is_a_duration() -> None:
    assert middle(bucket(0.0)) == 0.0
    assert quantile(Counter({bucket(0.0): 3}), 0.5) == 0.0


def test_quantiles_are_within_two_percent() -> None:
    chosen = random.Random(5)
    seconds = sorted(chosen.lognormvariate(4, 1.5) for _ in range(5001))
    counts = Counter(map(bucket, seconds))
    assert quantile(counts, 0.5) == pytest.approx(seconds[2500], rel=0.02)
    assert quantile(counts, 0.9) == pytest.approx(seconds[4500], rel=0.02)
    assert quantile(counts, 1.0) == pytest.approx(seconds[5000], rel=0.02)
    assert quantile({}, 0.5) is None


@pytest.mark.parametrize("number", range(1, 101))
def test_of_few_runs_a_share_is_over_within_a_quantile_and_not_sooner(number: int) -> None:
    counts = Counter(range(number))  # one in each bucket
    for share in (Fraction(1, 2), Fraction(9, 10)):
        within = quantile(counts, float(share))
        assert within is not None
        assert sum(middle(of) <= within for of in counts) >= share * number
        assert sum(middle(of) < within for of in counts) < share * number


def sample(seed: int, factor: float, number: int = 400) -> Counter[int]:
    chosen = random.Random(seed)
    return Counter(bucket(factor * chosen.lognormvariate(4, 1)) for _ in range(number))


def test_slower_and_faster_are_told_from_chance() -> None:
    assert longer(sample(1, 1.5), sample(2, 1.0)) == 1
    assert longer(sample(1, 1.0), sample(2, 1.5)) == -1
    assert longer(sample(1, 1.02, 30), sample(2, 1.0, 30)) == 0
    assert longer(sample(1, 1.0), {}) == longer({}, {}) == 0
    assert longer({5: 100}, {5: 100}) == 0


def test_of_equal_durations_one_in_twenty_seems_to_differ() -> None:
    found = [longer(sample(seed, 1.0), sample(seed + 1000, 1.0)) for seed in range(200)]
    assert 1 <= sum(map(abs, found)) <= 22


def test_the_test_is_that_of_the_textbook() -> None:
    """Worked by hand: U of 25 and 0 among five and five, whose z is 2.61 without a tie."""
    assert longer(dict.fromkeys(range(5, 10), 1), dict.fromkeys(range(5), 1)) == 1
    # Of two and two even the farthest apart are but 1.55 deviations from the mean.
    assert longer(dict.fromkeys((4, 5), 1), dict.fromkeys((1, 2), 1)) == 0


def runs() -> list[dict[str, Any]]:
    """Sixty completed runs of each of three versions; the newest takes twice as long."""
    kinds = []
    for version, seconds in (("1.0", 10.0), ("1.1", 10.3), ("2.0", 20.0)):
        for number in range(60):
            kinds.append(
                {
                    "project_version": version,
                    "status": "F" if number % 10 == 9 else "C",
                    "platform": "linux" if number % 2 else "darwin",
                    "container": "docker" if number % 3 else "unknown",
                    "seconds": seconds * (1 + number % 7 / 10),
                }
            )
    return kinds


def put(database: Database) -> None:
    crumbs = []
    for number, fields in enumerate(runs()):
        seconds = fields.pop("seconds")
        crumb = a_crumb(session_id=str(UUID(int=number, version=4)), **fields)
        crumbs.append(crumb.timed(Timing((number % 8) * 86400.0, seconds)))
    record(database, *crumbs)


def asked(database: Database, only: Filter = Filter(), period: Period = PERIOD) -> Any:  # noqa: B008
    """The rows by time and those by version."""

    async def run() -> Any:
        async with Collector.open(database.url, clock=Clock()) as collector:
            tables = Tables(collector.reports, "a/b", period, only, TODAY)
            return await tables.durations(), await tables.version_durations()

    return asyncio.run(run())


def test_a_version_is_compared_with_an_older_one_that_tells_durations(database: Database) -> None:
    """Where those between the two have runs enough, and tell none; the page and the table agree."""
    untimed = dict.fromkeys(("1.1", "1.2rc1", "1.2rc2", "1.2rc3", "1.2"))
    seconds_of = {"1.0": 10.0, **untimed, "2.0": 20.0}
    crumbs = []
    for number, version in enumerate(list(seconds_of) * 60):
        seconds = seconds_of[version]
        fields = {"project_version": version, "status": "C"}
        crumb = a_crumb(session_id=str(UUID(int=number, version=4)), **fields)
        took = None if seconds is None else seconds * (1 + number % 7 / 10)
        crumbs.append(crumb.timed(Timing(86400.0, took)))
    record(database, *crumbs)

    async def run() -> Any:
        async with Collector.open(database.url, clock=Clock()) as collector:
            return await figures.project(collector, "a/b", PERIOD, Filter())

    _, rows = asked(database)
    lasting = asyncio.run(run()).durations
    told = [(row.version, row.before, row.change) for row in rows]
    assert told == [("2.0", "1.0", "slower"), ("1.0", None, "")]
    assert [(row.version, row.before, row.change) for row in lasting.versions] == told


def test_durations_by_day_and_version_are_kept_up_to_date(database: Database) -> None:
    put(database)
    assert recounted(database).none
    days, versions = asked(database)
    assert [row.start for row in days] == PERIOD.buckets()
    assert [row.runs for row in days[:2]] == [0, 0]
    assert days[0].median is None
    assert sum(row.runs for row in days) == 3 * 54  # those that failed are not among them
    assert [row.unfinished for row in days] == [False] * 9 + [True]
    assert [(row.version, row.before, row.change) for row in versions] == [
        ("2.0", "1.1", "slower"),
        ("1.1", "1.0", ""),
        ("1.0", None, ""),
    ]
    assert versions[0].median == pytest.approx(26, rel=0.02)
    assert versions[0].p90 == pytest.approx(32, rel=0.02)


def test_durations_obey_filters(database: Database) -> None:
    put(database)
    days, versions = asked(database, Filter(platform="linux"))
    assert sum(row.runs for row in days) == 3 * 24
    assert sum(row.runs for row in versions) == 3 * 24
    assert sum(row.runs for row in asked(database, Filter(version="2.0"))[0]) == 54
    both = Filter(platform="linux", container="docker", version="1.0")
    assert 0 < sum(row.runs for row in asked(database, both)[0]) < 54
    assert asked(database, Filter(outcome="completed")) == asked(database)
    days, versions = asked(database, Filter(outcome="failed"))
    assert all(row.runs == 0 for row in days)
    assert versions == []
