"""Failures by version and by day, whichever way they are counted."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from migas.collector.counts import error_spread
from migas.collector.counts.error_spread import ErrorSpread
from migas.collector.counts.filters import Filter
from migas.collector.days import Period
from tests.collector.counts.asking import (
    DAY,
    WEDNESDAY,
    WHOLE,
    asked,
    failed,
    run,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from migas.collector.counts.failures import ErrorSummary
    from migas.collector.counts.reports import Reports
    from tests.collector.databases import Database

KINDS = ("OSError", "KeyError", "ValueError")
MOST = (
    {"platform": "linux"},
    {"ci": "no"},
    {"ci": "no", "platform": "linux"},
    {"platform": "linux", "version": "1.1"},
    {"platform": "linux", "outcome": "failed"},
)
"""Filters that leave more than they leave out."""


def failures() -> list[tuple[int, dict[str, Any]]]:
    """Failures of seventy days, most of them on Linux and outside of CI; the last came latest."""
    chosen = random.Random(4)
    sent = []
    for number, days_ago in enumerate(sorted(chosen.choices(range(70), k=150), reverse=True), 1):
        sent.append(
            failed(
                number,
                chosen.choice(KINDS),
                f"{days_ago} days ago",
                chosen.choice(("1.0", "1.1", "1.2")),
                days_ago=days_ago,
                platform=chosen.choice(("linux", "linux", "linux", "darwin")),
                is_ci=chosen.random() < 0.2,
            )
        )
    return [*sent, run(1000), run(1001, platform="win32")]


def told(found: Sequence[ErrorSummary]) -> list[tuple[Any, ...]]:
    return [(of.name, of.sessions, of.users, of.versions, of.days, of.message) for of in found]


@pytest.mark.parametrize("values", MOST, ids=[" ".join(of.values()) for of in MOST])
def test_what_a_filter_leaves_of_errors_is_all_without_the_rest(
    values: dict[str, str], database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = failures()
    periods = [
        replace(Period(WEDNESDAY - first * DAY, WEDNESDAY - last * DAY), by=by)
        for first, last in ((69, 0), (60, 8), (20, 0))
        for by in ("day", "week")
    ]

    async def question(reports: Reports) -> list[list[tuple[Any, ...]]]:
        only = await reports.resolved("a/b", Filter.read(values))
        return [told(await reports.errors("a/b", period, only)) for period in periods]

    def never(*_: object) -> None:
        raise AssertionError("they were counted one by one")

    listed = asked(database, sent, question)
    monkeypatch.setattr(error_spread, "MAX_LISTED", 0)
    monkeypatch.setattr(ErrorSpread, "_grouped", never)
    assert asked(database, [], question) == listed
    meant = [
        fields
        for days_ago, fields in sent
        if 8 <= days_ago <= 60
        and fields.get("platform") == values.get("platform", fields.get("platform"))
        and not (values.get("ci") == "no" and fields.get("is_ci"))
        and fields.get("project_version") == values.get("version", fields.get("project_version"))
        and fields["status"] == "F"
    ]
    assert sum(error[1] for error in listed[2]) == len(meant)
    versions = Counter(fields["project_version"] for fields in meant)
    assert sum((Counter(dict(error[3])) for error in listed[2]), Counter()) == versions


def test_sessions_of_an_earlier_collector_are_of_no_filter(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None of its profiles is known: what is left of all must be without them."""
    monkeypatch.setattr(error_spread, "MAX_LISTED", 0)
    sent = [failed(number, "OSError", "full", platform="linux") for number in range(1, 6)]
    sent.append(failed(6, "OSError", "full", platform="darwin"))
    asked(database, sent, lambda reports: reports.errors("a/b", WHOLE))
    session: str = sent[0][1]["session_id"]
    database.execute("UPDATE sessions SET profile = NULL WHERE session_id = ?", session)

    async def question(reports: Reports) -> list[ErrorSummary]:
        only = await reports.resolved("a/b", Filter(platform="linux"))
        return await reports.errors("a/b", WHOLE, only)

    (error,) = asked(database, [], question)
    assert (error.sessions, error.versions, error.days) == (4, (("1.0", 4),), {WEDNESDAY: 4})


@pytest.mark.parametrize(
    ("platform", "most_values"), [("darwin", error_spread.MAX_VALUES), ("linux", 2)]
)
def test_what_a_filter_leaves_is_counted_where_it_is_less_or_has_too_many_profiles(
    platform: str, most_values: int, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    grouped: list[object] = []
    group = ErrorSpread._grouped

    async def noted(self: ErrorSpread, those: Any) -> Any:
        grouped.append(those)
        return await group(self, those)

    async def question(reports: Reports) -> list[tuple[Any, ...]]:
        only = await reports.resolved("a/b", Filter(platform=platform))
        # What came last is chosen otherwise, if two ended at the same second.
        return [of[:5] for of in told(await reports.errors("a/b", WHOLE, only))]

    monkeypatch.setattr(ErrorSpread, "_grouped", noted)
    monkeypatch.setattr(error_spread, "MAX_VALUES", most_values)
    listed = asked(database, failures(), question)
    assert not grouped
    monkeypatch.setattr(error_spread, "MAX_LISTED", 0)
    assert asked(database, [], question) == listed
    assert len(grouped) == 1
    assert listed


def test_a_filter_that_leaves_everything_is_none(database: Database) -> None:
    async def question(reports: Reports) -> list[Filter]:
        filters = (
            Filter(language="python"),
            Filter(language="python", version="1.0", ci="no"),
            Filter(platform="linux"),
            Filter(platform="plan9"),
        )
        return [await reports.resolved("a/b", only) for only in filters]

    sent = [run(1, platform="linux"), run(2, platform="darwin")]
    every, of_version, linux, nothing = asked(database, sent, question)
    assert not every
    assert of_version == Filter(version="1.0")
    assert (len(linux.profiles or ()), nothing.profiles) == (1, ())
    assert linux.platform == "linux"
