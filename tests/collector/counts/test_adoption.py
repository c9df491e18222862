"""Where in a period a version came, and how sessions are shared out among versions."""

from __future__ import annotations

import datetime as dt

from migas.collector.counts.adoption import MAX_ARRIVALS, MAX_VERSIONS, adoption, arrivals, uses
from migas.collector.counts.outcomes import Outcomes, VersionOutcomes
from migas.collector.days import Period

FIRST = dt.date(2026, 11, 1)
NOVEMBER = Period(FIRST, dt.date(2026, 11, 30))


def used(version: str, days: range, sessions: int) -> list[VersionOutcomes]:
    outcomes = Outcomes(completed=sessions)
    return [VersionOutcomes(FIRST + dt.timedelta(days=day), version, outcomes) for day in days]


def test_a_version_came_where_none_of_its_sessions_lies_before() -> None:
    usage = used("1.0", range(30), 100) + used("1.1", range(10, 30), 40)
    assert arrivals(uses(usage), NOVEMBER) == {dt.date(2026, 11, 11): ["1.1"]}
    weeks = Period(NOVEMBER.first, NOVEMBER.last, by="week")
    assert arrivals(uses(usage), weeks) == {dt.date(2026, 11, 9): ["1.1"]}


def test_a_later_release_of_an_older_line_has_come_as_well() -> None:
    usage = used("2.0", range(30), 100) + used("1.9.1", range(15, 30), 20)
    assert arrivals(uses(usage), NOVEMBER) == {dt.date(2026, 11, 16): ["1.9.1"]}


def test_a_rare_guest_and_what_may_be_chance_are_no_release() -> None:
    usage = used("1.0", range(30), 1000)
    assert arrivals(uses(usage + used("0.3", range(20, 21), 5)), NOVEMBER) == {}
    assert (
        arrivals(uses(used("1.0", range(30), 2) + used("0.9", range(1, 30, 9), 1)), NOVEMBER) == {}
    )
    assert arrivals(uses(usage + used("nightly", range(10, 30), 500)), NOVEMBER) == {}


def test_a_version_that_all_sessions_have_did_not_come() -> None:
    assert arrivals(uses(used("1.0", range(30), 10)), NOVEMBER) == {}
    assert arrivals(uses([]), NOVEMBER) == {}


def test_only_so_many_releases_are_told() -> None:
    usage = used("1.0", range(30), 100)
    for number in range(40):
        usage += used(f"2.{number}", range(15, 30), 20)
    found = arrivals(uses(usage), NOVEMBER)
    assert sum(map(len, found.values())) == MAX_ARRIVALS


def test_adoption_shows_the_most_frequent_versions_and_all_others_as_one() -> None:
    usage = [row for n in range(9) for row in used(f"1.{n}", range(n, 30), 10 + n)]
    shown = adoption(uses(usage), NOVEMBER)
    assert len(shown.versions) == MAX_VERSIONS
    assert shown.others == 9 - MAX_VERSIONS
    assert list(shown.bars) == NOVEMBER.buckets()
    by_day = {day: sum(row.outcomes.total for row in usage if row.day == day) for day in shown.bars}
    assert {day: sum(numbers) for day, numbers in shown.bars.items()} == by_day


def test_the_newest_version_is_shown_first_and_however_rare_it_is() -> None:
    usage = [row for n in range(9) for row in used(f"1.{n}", range(30), 10)]
    assert (
        adoption(uses(usage + used("2.0", range(29, 30), 1)), NOVEMBER, "2.0").versions[0] == "2.0"
    )
