"""Runs of which no end was heard."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from migas.collector.counts import lost
from migas.collector.counts.filters import Filter
from migas.collector.counts.lost import LostRun, LostRuns
from migas.collector.counts.sessions import anonymous_session
from migas.collector.database.tables import RUNNING
from migas.collector.days import Period
from tests.collector.counts.asking import (
    DAY,
    NOON,
    WEDNESDAY,
    WHOLE,
    asked,
    run,
    session,
)

if TYPE_CHECKING:
    import pytest

    from migas.collector.counts.reports import Reports
    from tests.collector.databases import Database


def test_runs_never_heard_of_again(database: Database) -> None:
    sent = [
        run(1, 5, status="R"),
        run(2, 3, status="R"),
        run(3, 3, status="R"),
        run(3, 2),  # that one ended
        run(4, 0, status="R"),  # may still be heard of
        run(5, 40, status="R"),  # began before the period
        (4, {"status": "R", "session_id": None}),  # may be of many runs, or of none
    ]
    number, latest = asked(database, sent, lambda reports: reports.lost_runs("a/b", WHOLE))
    assert number == len(latest) == 2
    moment = datetime(2026, 1, 11, 12, tzinfo=UTC)
    assert latest[0] == LostRun(session(2), "1.0", moment, moment)


def test_a_lost_run_that_was_heard_of_after_its_period_is_named(database: Database) -> None:
    sent = [run(1, 5, status="R"), run(1, 3, status="R", status_desc="still here")]
    period = Period(WEDNESDAY - 9 * DAY, WEDNESDAY - 4 * DAY)
    found = asked(database, sent, lambda reports: reports.lost_runs("a/b", period))
    assert found.number == len(found.latest) == 1


def test_the_latest_lost_runs_of_any_period_are_named(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of a period that is over stand behind all that began later."""
    monkeypatch.setattr(lost, "NEARLY_ALL_SECONDS", 3600)
    begun = {number: 3 + number % 13 for number in range(1, 53)}  # four on each of these days
    linux = {"status": "R", "platform": "linux"}
    sent = [run(number, ago, **linux) for number, ago in begun.items()]
    sent += [(ago, {"session_id": None} | linux) for ago in range(3, 16)]
    # Heard of again, long after.
    sent += [run(number, 2, status_desc="still here", **linux) for number in (3, 16)]
    sent += [run(number, ago, status="R", platform="darwin") for number, ago in ((60, 7), (61, 8))]
    sent.sort(key=lambda of: -of[0])
    heard = begun | {3: 2, 16: 2}

    def expected(period: Period) -> list[str]:
        those = [
            of for of, ago in begun.items() if period.first <= WEDNESDAY - ago * DAY <= period.last
        ]
        return [session(of) for of in sorted(those, key=lambda of: (heard[of], session(of)))]

    async def question(reports: Reports) -> list[tuple[Period, int, LostRuns]]:
        only = Filter(platform="linux")
        return [
            (period, limit, await reports.lost_runs("a/b", period, only, limit))
            for period in (WHOLE, *(Period.ending(WEDNESDAY - ago * DAY, 3) for ago in range(13)))
            for limit in (1, 3, 5, 100)
        ]

    for period, limit, (number, latest) in asked(database, sent, question):
        names = expected(period)
        assert number == len(names), period
        assert [of.session_id for of in latest] == names[:limit], (period, limit)


def test_what_older_collectors_took_for_a_session_is_no_run(database: Database) -> None:
    sent = [run(1, 5, status="R"), run(2, 5, status="R")]

    async def question(reports: Reports) -> LostRuns:
        for number, stored in ((1, anonymous_session(0)), (2, anonymous_session(NOON))):
            for table in ("sessions", "crumbs"):
                change = f"UPDATE {table} SET session_id = ? WHERE session_id = ?"
                database.execute(change, stored, session(number))
        return await reports.lost_runs("a/b", WHOLE)

    assert asked(database, sent, question) == (0, ())


def test_runs_not_ended_are_asked_for_in_the_words_of_their_index() -> None:
    """With a parameter for the status a database reads each row instead: ten times slower."""
    asked_for = RUNNING.compile()
    assert (str(asked_for), asked_for.params) == ("sessions.status = 'R'", {})
