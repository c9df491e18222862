"""On which day a version came, and how sessions are shared out among versions."""

from __future__ import annotations

import datetime as dt
from itertools import product
from typing import TYPE_CHECKING, cast

from migas.collector.counts.adoption import MAX_VERSIONS, Adoption, adoption, most_used
from migas.collector.counts.filters import Filter
from migas.collector.counts.outcomes import Outcomes, VersionOutcomes, totals
from migas.collector.counts.releases import (
    MAX_ARRIVALS,
    Arrival,
    Seen,
    among,
    arrivals,
    versions_in_question,
)
from migas.collector.days import Period
from tests.collector.databases import a_session, putting, with_collector

if TYPE_CHECKING:
    from migas.collector.collector import Collector
    from migas.collector.days import Step
    from tests.collector.databases import Database

STEPS = cast("tuple[Step, ...]", ("day", "week", "month"))
FIRST = dt.date(2026, 11, 1)
NOVEMBER = Period(FIRST, dt.date(2026, 11, 30))


def used(version: str, days: range, sessions: int) -> list[VersionOutcomes]:
    outcomes = Outcomes(completed=sessions)
    return [VersionOutcomes(FIRST + dt.timedelta(days=day), version, outcomes) for day in days]


def came(usage: list[VersionOutcomes]) -> list[Arrival]:
    by_version = totals((row.version, row.outcomes) for row in usage)
    seen = Seen(
        {name: min(row.day for row in usage if row.version == name) for name in by_version},
        {name: outcomes.total for name, outcomes in by_version.items()},
        {day: of.total for day, of in totals((row.day, row.outcomes) for row in usage).items()},
    )
    return arrivals(seen, versions_in_question(seen))


def adopted(usage: list[VersionOutcomes], latest: str = "") -> Adoption:
    by_version = totals((row.version, row.outcomes) for row in usage)
    by_day = totals((row.day, row.outcomes) for row in usage)
    shown = most_used({name: of.total for name, of in by_version.items()}, latest)
    used = {(row.day, row.version): row.outcomes.total for row in usage if row.version in shown}
    return adoption(shown, len(by_version) - len(shown), used, by_day, NOVEMBER)


def test_of_the_versions_with_faults_the_most_frequent_one_is_shown() -> None:
    numbers = {f"1.{number}": 100 + number for number in range(9)} | {"0.2": 2, "0.1": 3}
    assert most_used(numbers, "1.0", ["0.1", "0.2", "7"]) == ["1.8", "1.7", "1.6", "1.0", "0.1"]
    assert most_used(numbers, "", ["7"]) == ["1.8", "1.7", "1.6", "1.5", "1.4"]


def test_a_version_came_where_none_of_its_sessions_lies_before() -> None:
    usage = used("1.0", range(30), 100) + used("1.1", range(10, 30), 40)
    assert came(usage) == [("1.1", dt.date(2026, 11, 11))]


def test_a_later_release_of_an_older_line_has_come_as_well() -> None:
    usage = used("2.0", range(30), 100) + used("1.9.1", range(15, 30), 20)
    assert came(usage) == [("1.9.1", dt.date(2026, 11, 16))]


def test_a_rare_guest_and_what_may_be_chance_are_no_release() -> None:
    usage = used("1.0", range(30), 1000)
    assert came(usage + used("0.3", range(20, 21), 5)) == []
    assert came(used("1.0", range(30), 2) + used("0.9", range(1, 30, 9), 1)) == []
    assert came(usage + used("nightly", range(10, 30), 500)) == []


def test_a_version_that_all_sessions_have_did_not_come() -> None:
    assert came(used("1.0", range(30), 10)) == []
    assert came([]) == []


def test_the_most_frequent_releases_of_those_that_a_chart_has_are_told() -> None:
    day = dt.date(2026, 11, 16)
    arrived = {day: [Arrival(f"2.{number}", day) for number in range(40)]}
    numbers = {f"2.{number}": 10 + number for number in range(40)}
    told = {one.version for one in among(arrived, numbers)[day]}
    assert told == {f"2.{number}" for number in range(40 - MAX_ARRIVALS, 40)}
    # Whatever is more frequent without the filter that leaves this one alone.
    assert among(arrived, {"2.0": 10, "9.9": 500}) == {day: [Arrival("2.0", day)]}
    assert among(arrived, {}) == {}


def test_a_version_came_on_the_same_day_whatever_the_bars(database: Database) -> None:
    """Also in the middle of a week and of a month, and in the first days of the period."""
    days = {"1.0": 0, "1.1": 12, "1.2": 52, "2.0rc1": 118, "2.0": 125, "2.0.1": 128}
    start = dt.datetime(2026, 6, 17, 9, tzinfo=dt.UTC)  # a Wednesday
    sent = [
        a_session(
            start + dt.timedelta(days=day, hours=number),
            "a/b",
            version=version,
            platform="darwin" if number == 0 else "linux",
            status="F" if number == 1 else "C",
        )
        for version, first in days.items()
        for day in range(first, 130)
        for number in range(6)
    ]
    filters = [Filter(), Filter(platform="linux"), Filter(outcome="completed"), Filter(error="x")]
    asked: list[tuple[Filter, int, list[list[Arrival]]]] = []

    async def ask(collector: Collector) -> None:
        await putting(sent)(collector)
        for only, first in product(filters, (0, 8, 11, 40, 120)):
            told = []
            for step in STEPS:
                begin = start.date() + dt.timedelta(days=first)
                period = Period(begin, start.date() + dt.timedelta(days=129), step)
                by_version = await collector.reports.by_version("a/b", period, only)
                numbers = {version: of.outcomes.total for version, of in by_version.items()}
                found = among(await collector.reports.arrivals("a/b", period), numbers)
                assert all(period.bucket(one.day) == bar for bar in found for one in found[bar])
                told.append([arrival for bar in sorted(found) for arrival in found[bar]])
            asked.append((only, first, told))

    with_collector(database.url, ask)
    for only, first, (by_day, by_week, by_month) in asked:
        assert by_day == by_week == by_month, (only, first)
        told = {version: (day - start.date()).days for version, day in by_day}
        # One that came a day after the period began may have been there before.
        late = {version: day for version, day in days.items() if day > first + 3}
        assert told == ({} if only.error else late), (only, first)


def test_a_day_of_which_another_process_has_taken_all_back_is_no_first_day(
    database: Database,
) -> None:
    start = dt.datetime(2026, 6, 17, 9, tzinfo=dt.UTC)
    sent = [
        a_session(start + dt.timedelta(days=day, hours=hour), "a/b", version=version)
        for version, first in (("1.0", 0), ("1.1", 60))
        for day in range(first, 90)
        for hour in range(4)
    ]
    earlier = (
        "INSERT INTO slices (project, span, day, profile, version, shard, completed, failed,"
        " suspended, running) SELECT project, span, day - 28, profile, version, {shard},"
        " {sign}completed, {sign}failed, {sign}suspended, {sign}running FROM slices"
        " WHERE version IN ('1.1', '') AND shard NOT IN (90, 91)"
    )
    asked: list[object] = []

    async def ask(collector: Collector) -> None:
        for only, by in product([Filter(), Filter(outcome="completed")], STEPS):
            last = start.date() + dt.timedelta(days=89)
            period = Period(start.date() - dt.timedelta(days=60), last, by)
            by_version = await collector.reports.by_version("a/b", period, only)
            by_day = await collector.reports.by_bar("a/b", period, only)
            came = await collector.reports.arrivals("a/b", period)
            asked.append((by_version, by_day, came))

    with_collector(database.url, putting(sent))
    with_collector(database.url, ask)
    for shard, sign in ((90, ""), (91, "-")):
        database.execute(earlier.format(shard=shard, sign=sign))
    with_collector(database.url, ask)
    assert asked[len(asked) // 2 :] == asked[: len(asked) // 2]


def test_adoption_shows_the_most_frequent_versions_and_all_others_as_one() -> None:
    usage = [row for n in range(9) for row in used(f"1.{n}", range(n, 30), 10 + n)]
    shown = adopted(usage)
    assert len(shown.versions) == MAX_VERSIONS
    assert shown.others == 9 - MAX_VERSIONS
    assert list(shown.bars) == NOVEMBER.buckets()
    by_day = {day: sum(row.outcomes.total for row in usage if row.day == day) for day in shown.bars}
    assert {day: sum(numbers) for day, numbers in shown.bars.items()} == by_day


def test_the_newest_version_is_shown_first_and_however_rare_it_is() -> None:
    usage = [row for n in range(9) for row in used(f"1.{n}", range(30), 10)]
    assert adopted(usage + used("2.0", range(29, 30), 1), "2.0").versions[0] == "2.0"
