"""Sums of slices, whichever rows they are made of."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import func

from migas.collector.counts.filters import Filter
from migas.collector.database.tables import slices
from migas.collector.days import Period
from tests.collector.counts.asking import DAY, WEDNESDAY, asked, run

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from migas.collector.counts.reports import Reports
    from tests.collector.counts.asking import Sent
    from tests.collector.databases import Database

MOST = (
    {"platform": "linux"},
    {"platform": "linux", "version": "1.1"},
    {"platform": "linux", "outcome": "failed"},
    {"platform": "linux", "version": "1.2", "outcome": "completed"},
    {"platform": "linux", "version": "on darwin alone"},
)
"""Filters that leave more sessions than they leave out."""

VERSIONS = ("1.0", "1.1", "1.2", "on darwin alone")


def runs() -> list[Sent]:
    """Runs of seventy days on three profiles of Linux and one other, some told to begin."""
    chosen = random.Random(7)
    sent = []
    for number, days_ago in enumerate(sorted(chosen.choices(range(70), k=200), reverse=True), 1):
        platform = chosen.choice(("linux", "linux", "darwin"))
        versions = VERSIONS if platform == "darwin" else VERSIONS[:-1]
        fields = {
            "platform": platform,
            "container": chosen.choice(("docker", "unknown", "apptainer"))
            if platform == "linux"
            else "unknown",
            "project_version": chosen.choice(versions),
            "status": chosen.choice("CCFSR"),
        }
        if chosen.random() < 0.3:
            sent.append(run(number, days_ago, **fields | {"status": "R"}))
        sent.append(run(number, days_ago, **fields))
    return sent


def meant(sent: Sequence[Sent], only: Filter, period: Period) -> Counter[tuple[date, str]]:
    """How many runs a filter leaves by bar and version, each of them looked at."""
    last = {fields["session_id"]: (days_ago, fields) for days_ago, fields in sent}
    return Counter(
        (period.bucket(day), fields["project_version"])
        for days_ago, fields in last.values()
        if period.first <= (day := WEDNESDAY - days_ago * DAY) <= period.last
        and fields["platform"] == only.platform
        and only.version in (None, fields["project_version"])
        and fields["status"] in only.statuses
    )


@pytest.mark.parametrize("values", MOST, ids=[" ".join(of.values()) for of in MOST])
def test_what_a_filter_leaves_is_all_without_the_rest(
    values: dict[str, str], database: Database
) -> None:
    sent, only = runs(), Filter.read(values)
    periods = [
        replace(Period(WEDNESDAY - first * DAY, WEDNESDAY - last * DAY), by=by)
        for first, last in ((69, 0), (60, 8), (20, 0))
        for by in ("day", "week")
    ]

    async def question(reports: Reports) -> list[Any]:
        resolved = await reports.resolved("a/b", only)
        assert resolved.profiles is not None
        assert resolved.others is not None
        assert (len(resolved.profiles), len(resolved.others)) == (3, 1)
        return [
            (
                await reports.timeline("a/b", period, resolved),
                await reports.by_version("a/b", period, resolved),
                await reports.of_versions("a/b", period, resolved, VERSIONS),
                await reports.by_bar("a/b", period, resolved),
                await reports.outcomes("a/b", period, resolved),
            )
            for period in periods
        ]

    for period, told in zip(periods, asked(database, sent, question), strict=True):
        timeline, by_version, of_versions, by_bar, outcomes = told
        expected = meant(sent, only, period)
        charted = [((row.day, row.version), row.outcomes.total) for row in timeline]
        for found in (charted, of_versions.items()):
            bars: Counter[tuple[date, str]] = Counter()
            for (day, version), number in found:
                bars[period.bucket(day), version] += number
            assert bars == expected
        versions: Counter[str] = Counter()
        for (_, version), number in expected.items():
            versions[version] += number
        assert {of: each.outcomes.total for of, each in by_version.items()} == versions
        assert sum(each.total for each in by_bar.values()) == outcomes.total == expected.total()


def test_a_filter_that_leaves_few_has_no_others(database: Database) -> None:
    async def question(reports: Reports) -> Filter:
        return await reports.resolved("a/b", Filter(platform="darwin"))

    resolved = asked(database, runs(), question)
    assert resolved.profiles is not None
    assert (len(resolved.profiles), resolved.others) == (1, None)


def test_what_most_is_is_told_by_sessions_and_not_by_profiles(database: Database) -> None:
    sent = [run(number, platform="linux") for number in range(1, 10)]
    sent += [run(20 + number, platform=f"other {number}") for number in range(3)]

    async def question(reports: Reports) -> tuple[Filter, Filter]:
        return (
            await reports.resolved("a/b", Filter(platform="linux")),
            await reports.resolved("a/b", Filter(platform="other 1")),
        )

    most, few = asked(database, sent, question)
    assert (len(most.profiles or ()), len(most.others or ())) == (1, 3)
    assert (len(few.profiles or ()), few.others) == (1, None)


def test_another_value_forgets_the_profiles_and_another_version_does_not() -> None:
    only = Filter(platform="linux", profiles=(1, 2), others=(3,))
    assert (only.with_(ci="no").profiles, only.with_(ci="no").others) == (None, None)
    assert (only.with_(version="1.0").profiles, only.with_(version="1.0").others) == ((1, 2), (3,))


def test_nothing_more_is_asked_of_sums_that_are_taken_away(sqlite: Database) -> None:
    async def question(reports: Reports) -> None:
        only = await reports.resolved("a/b", Filter(platform="linux"))
        with pytest.raises(ValueError, match="1 more columns"):
            await reports.sums_on("a/b", [(1, [0])], only, ["version"], func.min(slices.c.day))

    asked(sqlite, runs(), question)
