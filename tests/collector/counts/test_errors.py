"""The errors of a project, whatever is asked of them."""

from __future__ import annotations

import random
import sqlite3
from collections import Counter, defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Engine, event

from migas.collector.collector import Collector
from migas.collector.counts import error_spread, most_hit
from migas.collector.counts.filters import Filter
from migas.collector.counts.history import Seen
from migas.collector.counts.reading import ALL
from migas.collector.days import Period, day_number
from tests.collector.counts.asking import (
    DAY,
    WEDNESDAY,
    WHOLE,
    YEAR,
    asked,
    failed,
    run,
    session,
)

if TYPE_CHECKING:
    from migas.collector.counts.failures import ErrorSummary
    from migas.collector.counts.reports import Reports
    from tests.collector.databases import Database


def test_errors_come_with_their_versions_days_and_newest_message(database: Database) -> None:
    sent = [
        failed(1, "ValueError", "row 7 of 9"),
        failed(2, "ValueError", "row 12 of 40", "2.0"),
        (1, failed(3, "ValueError", "row 3 of 3")[1]),
        failed(4, "OSError", None),
        failed(6, "ValueError", "something else"),
        run(5, error_type="KeyError"),  # completed all the same
    ]
    first, *others = asked(database, sent, lambda reports: reports.errors("a/b", WHOLE))
    assert (first.error_type, first.sessions, first.users) == ("ValueError", 3, 0)
    assert first.versions == (("1.0", 2), ("2.0", 1))
    assert first.days == {WEDNESDAY: 2, WEDNESDAY - DAY: 1}
    assert first.message == "row 12 of 40"  # what came last is of a day before
    assert first.history == (Seen(WEDNESDAY - DAY, "1.0"), Seen(WEDNESDAY, "2.0"), "", "")
    assert {(error.error_type, error.message) for error in others} == {
        ("OSError", None),
        ("ValueError", "something else"),
    }


def test_a_year_of_an_error_is_added_up_from_weeks_and_days(database: Database) -> None:
    """The same whether its first and last week are whole or not, and by whichever step."""
    sent = [
        failed(number, "ValueError", None, days_ago=days)
        for number, days in enumerate(range(0, 400, 9))
    ]
    periods = [
        Period(WEDNESDAY - first * DAY, WEDNESDAY - last * DAY, by)
        for first, last in ((364, 0), (200, 3), (11, 4), (10, 0), (5, 5), (399, 1))
        for by in ("day", "week", "month")
    ]

    async def question(reports: Reports) -> list[tuple[int, int, int]]:
        found = []
        for period in periods:
            errors = await reports.errors("a/b", period)
            timeline = (
                await reports.timeline("a/b", period, Filter(error=errors[0].name))
                if errors
                else []
            )
            (numbers,) = [
                (e.sessions, sum(e.days.values()), sum(dict(e.versions).values())) for e in errors
            ] or [(0, 0, 0)]
            assert numbers[0] == sum(row.outcomes.total for row in timeline)
            found.append(numbers)
        return found

    expected = [
        (number,) * 3
        for period in periods
        for number in [
            sum(period.first <= WEDNESDAY - days * DAY <= period.last for days in range(0, 400, 9))
        ]
    ]
    assert asked(database, reversed(sent), question) == expected


def test_days_of_errors_may_be_asked_for_in_any_number_of_ranges(database: Database) -> None:
    async def question(reports: Reports) -> dict[Any, int]:
        (error,) = await reports.errors("a/b", WHOLE)
        last = day_number(WEDNESDAY)
        weeks = {(last - 7 * of - 6, last - 7 * of): {error.name} for of in range(700)}
        return await reports.failed_on("a/b", weeks | {(last - 1, last): {error.name}})

    found = asked(database, [failed(1, "ValueError", None)], question)
    assert [(day, version, number) for (day, _, version), number in found.items()] == [
        (day_number(WEDNESDAY), "1.0", 1)
    ]


def test_what_hits_most_users_comes_first(database: Database) -> None:
    sent = [failed(number, "OftenError", "x", user_id=session(1)) for number in range(5)]
    sent += [failed(9 + n, "WideError", "x", user_id=session(1 + n)) for n in range(2)]
    found = asked(database, sent, lambda reports: reports.errors("a/b", WHOLE))
    assert [(error.error_type, error.users, error.sessions) for error in found] == [
        ("WideError", 2, 2),
        ("OftenError", 1, 5),
    ]
    (top,) = asked(database, [], lambda reports: reports.errors("a/b", WHOLE, limit=1))
    assert top.error_type == "WideError"


def test_an_error_is_known_after_its_newest_sender_was_forgotten(database: Database) -> None:
    sent = [
        failed(1, "ValueError", "one", user_id=session(1)),
        failed(2, "ValueError", "one", user_id=session(2)),
    ]

    async def question(reports: Reports) -> list[ErrorSummary]:
        async with Collector.open(database.url) as collector:
            await collector.removal.forget_user(session(2))
        return await reports.errors("a/b", WHOLE)

    (error,) = asked(database, sent, question)
    assert (error.error_type, error.sessions, error.users, error.message) == (
        "ValueError",
        1,
        1,
        "one",
    )


def test_a_thousand_errors_are_told_by_the_month_however_few_values_sqlite_takes(
    database: Database,
) -> None:
    """Its own limit of values in a question is eight times as low as that of some packages."""

    def limit(connection: Any, _record: object) -> None:
        if isinstance(connection, sqlite3.Connection):
            connection.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 32_766)

    async def question(reports: Reports) -> dict[Any, int]:
        (error,) = await reports.errors("a/b", WHOLE)
        names = {error.name, *(f"{number:016x}" for number in range(4_999))}
        years = Period(WEDNESDAY - 3650 * DAY, WEDNESDAY, "month")
        return dict(await reports.failed("a/b", years, names, ("error", "day")))

    event.listen(Engine, "connect", limit)
    try:
        found = asked(database, [failed(1, "ValueError", None)], question)
    finally:
        event.remove(Engine, "connect", limit)
    assert [(day, number) for (_, day), number in found.items()] == [(day_number(WEDNESDAY), 1)]


def test_errors_of_any_period_are_those_that_hit_most(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long it is, sums of as many days say which errors are to be looked at."""
    monkeypatch.setattr(most_hit, "FREQUENT", 1)
    chosen = random.Random(5)
    ran = [(chosen.randrange(8), chosen.randrange(5), chosen.randrange(110)) for _ in range(220)]
    sent = [
        (ago, failed(number, f"Error{of}", "no", user_id=session(1000 + user))[1])
        for number, (of, user, ago) in enumerate(ran, 1)
    ]
    sent.sort(key=lambda one: -one[0])

    def expected(since: int, until: int) -> list[tuple[int, int]]:
        users, numbers = defaultdict[int, set[int]](set), Counter[int]()
        for of, user, ago in ran:
            if until <= ago < since:
                users[of].add(user)
                numbers[of] += 1
        return sorted(((len(users[of]), numbers[of]) for of in users), reverse=True)

    async def question(reports: Reports) -> dict[tuple[int, int], list[tuple[int, int]]]:
        return {
            (until + days, until): [
                (error.users, error.sessions)
                for error in await reports.errors(
                    "a/b", Period.ending(WEDNESDAY - until * DAY, days), limit=3
                )
            ]
            for days in (1, 6, 7, 8, 30, 90, 91)
            for until in (0, 1, 2, 4, 6, 11)
        }

    for ends, found in asked(database, sent, question).items():
        assert found == expected(*ends)[:3], ends


def test_of_many_errors_each_has_its_newest_message(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(error_spread, "_AT_ONCE", 2)
    sent = [
        (ago, failed(10 * of + ago, f"Error{of}", f"{ago} days ago", f"1.{of % 2}")[1])
        for ago in (9, 6, 3, 0)
        for of in range(5)
    ]

    async def question(reports: Reports) -> list[tuple[str, list[tuple[str, str | None]]]]:
        return [
            (
                f"{ago} days ago",
                [
                    (of.error_type, of.message)
                    for of in await reports.errors("a/b", Period.ending(day, 30), only)
                ],
            )
            for ago in (0, 3, 6)
            for day in (WEDNESDAY - ago * DAY,)
            for only in (ALL, Filter(version="1.0"), Filter(ci="no"))
        ]

    for message, found in asked(database, sent, question):
        assert len(found) in (3, 5)
        assert {said for _, said in found} == {message}
        assert len({name for name, _ in found}) == len(found)


def test_what_fails_is_found_by_as_much_of_an_index_as_there_is(sqlite: Database) -> None:
    """Strangers name versions and errors: to read those of all others would take a second."""
    plans: list[str] = []

    def note(_c: object, cursor: Any, statement: str, parameters: Any, *_more: object) -> None:
        if "FROM daily" in statement and isinstance(parameters, tuple):
            # With its values, for which SQLite may choose another way.
            told = cursor.connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
            plans.extend(step for *_, step in told if " daily " in step)

    async def question(reports: Reports) -> None:
        (error, *_) = await reports.errors("a/b", YEAR)
        both = {"1.0": 3, "1.1": 3}
        await reports.differences("a/b", YEAR, ALL, versions=both, limit=5)
        for only in (Filter(error=error.name), Filter(error=error.name, version="1.0")):
            await reports.timeline("a/b", YEAR, only)
            await reports.errors("a/b", YEAR, only)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        asked(sqlite, [failed(n, "ValueError", None) for n in range(1, 4)], question)
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    by_index = [step for step in plans if "ix_daily_errors" in step]
    assert by_index
    assert all("detail=?" in step for step in by_index), by_index
    assert all(step in by_index or "day" in step for step in plans), plans


@pytest.mark.parametrize("frequent", [1, most_hit.FREQUENT])
@pytest.mark.parametrize("seed", range(2))
def test_no_error_that_hits_most_users_is_overlooked(
    seed: int, frequent: int, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However frequent others are, in the sessions of others or of few users."""
    monkeypatch.setattr(most_hit, "FREQUENT", frequent)
    chosen = random.Random(seed)
    ran = [
        (
            chosen.randrange(12),
            chosen.randrange(6),
            "docker" if chosen.random() < 0.2 else "unknown",
        )
        for _ in range(80)
    ] + [(20, 7, "unknown")] * 20
    sent = [
        failed(number, f"Error{kind}", None, container=container, user_id=session(1000 + user))
        for number, (kind, user, container) in enumerate(ran, 1)
    ]

    async def question(reports: Reports) -> None:
        for only in (ALL, Filter(container="docker"), Filter(container="apptainer")):
            users: defaultdict[str, set[int]] = defaultdict(set)
            number: Counter[str] = Counter()
            for kind, user, container in ran:
                if only.container in (None, container):
                    users[f"Error{kind}"].add(user)
                    number[f"Error{kind}"] += 1
            ranked = sorted(users, key=lambda kind: (-len(users[kind]), -number[kind]))
            for limit in (1, 3, 50):
                found = await reports.errors("a/b", WHOLE, only, limit)
                expected = [(len(users[kind]), number[kind]) for kind in ranked[:limit]]
                assert [(error.users, error.sessions) for error in found] == expected

    asked(database, sent, question)


@pytest.mark.parametrize("most", [error_spread.MAX_LISTED, 2], ids=["listed", "grouped"])
def test_errors_of_some_sessions_have_their_own_versions_and_days(
    most: int, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(error_spread, "MAX_LISTED", most)
    ran = [(3, "1.0", "docker"), (2, "1.0", "docker"), (0, "1.0", "docker"), (0, "0.9", "docker")]
    sent = [
        (days_ago, failed(number, "OSError", f"of {version}", version, container=container)[1])
        for number, (days_ago, version, container) in enumerate([*ran, (0, "3.0", "unknown")], 1)
    ]

    async def question(reports: Reports) -> list[list[ErrorSummary]]:
        only = await reports.resolved("a/b", Filter(container="docker"))
        return [
            await reports.errors("a/b", replace(WHOLE, by=by), only)
            for by in ("day", "week", "month")
        ]

    monday = WEDNESDAY - 2 * DAY
    of_day, of_week, of_month = ((*of,) for of in asked(database, sent, question))
    assert dict(of_day[0].days) == {WEDNESDAY: 2, monday: 1, monday - DAY: 1}
    assert dict(of_week[0].days) == {monday: 3, monday - 7 * DAY: 1}
    assert dict(of_month[0].days) == {WEDNESDAY.replace(day=1): 4}
    for (error,) in (of_day, of_week, of_month):
        assert (error.sessions, error.versions) == (4, (("1.0", 3), ("0.9", 1)))
        assert error.message == "of 0.9"
