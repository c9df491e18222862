"""What can be read about a project."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.dialects.sqlite import dialect

from migas.collector.counts.filters import Filter
from migas.collector.counts.outcomes import UsageCount
from migas.collector.counts.people import UserCounts
from migas.collector.counts.reading import ALL
from migas.collector.counts.usage import Facet, StatusCount
from migas.collector.database.tables import RUNNING, sessions
from migas.collector.days import Period
from migas.collector.tokens import Access
from tests.collector.counts.asking import (
    DAY,
    WEDNESDAY,
    WHOLE,
    asked,
    run,
    session,
)

if TYPE_CHECKING:
    from migas.collector.counts.reports import Reports
    from tests.collector.databases import Database


def test_a_token_sees_its_project_and_a_root_token_all_of_them(database: Database) -> None:
    sent = [run(1, project="c/d"), run(2, project="a/b")]

    async def question(reports: Reports) -> list[list[str]]:
        return [
            await reports.visible_projects(access)
            for access in (None, Access("", None), Access("", "a/b"), Access("", "e/f"))
        ]

    everything = ["c/d", "a/b"]
    assert asked(database, sent, question) == [
        everything,
        everything,
        ["a/b"],
        [],
    ]


def test_sessions_by_day_and_by_week(database: Database) -> None:
    sent = [run(1), run(2), run(3, status="F"), run(4, 1), run(5, 3), run(6, 2), run(7, 31)]
    days = asked(database, sent, lambda reports: reports.sessions("a/b", WHOLE))
    assert days == [
        StatusCount(WEDNESDAY - 3 * DAY, "C", 1),
        StatusCount(WEDNESDAY - 2 * DAY, "C", 1),
        StatusCount(WEDNESDAY - DAY, "C", 1),
        StatusCount(WEDNESDAY, "C", 2),
        StatusCount(WEDNESDAY, "F", 1),
    ]
    weeks = asked(database, [], lambda reports: reports.sessions("a/b", replace(WHOLE, by="week")))
    monday = WEDNESDAY - 2 * DAY
    assert weeks == [
        StatusCount(monday - 7 * DAY, "C", 1),
        StatusCount(monday, "C", 4),
        StatusCount(monday, "F", 1),
    ]


def test_usage_by_day_version_and_status(database: Database) -> None:
    sent = [run(1), run(2, project_version="0.9"), run(3), run(4, project="c/d")]
    assert asked(database, sent, lambda reports: reports.usage("a/b", WHOLE)) == [
        UsageCount(WEDNESDAY, "0.9", "C", 1),
        UsageCount(WEDNESDAY, "1.0", "C", 2),
    ]


def test_a_language_is_told_from_one_in_capital_letters(database: Database) -> None:
    fields: list[dict[str, Any]] = [
        {"language": language, "language_version": "3.11.1", "status": "F", "error_type": "E"}
        for language in ("python", "Python", "Python")
    ]

    async def question(reports: Reports) -> list[int]:
        (error,) = await reports.errors("a/b", WHOLE)
        filters = [
            Filter(language=language, error=of)
            for language in ("python", "Python", "python 3.11", "PYTHON")
            for of in (None, error.name)
        ]
        return [(await reports.outcomes("a/b", WHOLE, only)).failed for only in filters]

    sent = [run(number, **of) for number, of in enumerate(fields)]
    assert asked(database, sent, question) == [1, 1, 2, 2, 1, 1, 0, 0]


def test_users_seen_and_users_new(database: Database) -> None:
    sent = [
        run(1, 60, user_id=session(1)),
        run(2, 2, user_id=session(1)),
        run(3, 2, user_id=session(2)),
        run(4, 1, user_id=session(2)),
        run(5, 50, user_id=session(3)),
        run(6),
    ]
    assert asked(database, sent, lambda reports: reports.users("a/b", WHOLE)) == UserCounts(
        2, 1, {"general": 2}
    )


@pytest.mark.parametrize(
    ("facet", "shares"),
    [
        ("platform", {"linux": 2, "darwin": 1}),
        ("container", {"unknown": 2, "docker": 1}),
        ("language", {"python 3.12": 2, "python 3.11": 1}),
        ("ci", {"no": 2, "yes": 1}),
    ],
)
def test_sessions_divide(facet: Facet, shares: dict[str, int], database: Database) -> None:
    sent = [
        run(1, platform="linux", language_version="3.12.1"),
        run(2, platform="linux", language_version="3.12.9", is_ci=True),
        run(3, platform="darwin", language_version="3.11.7", container="docker"),
    ]
    found = asked(database, sent, lambda reports: reports.shares("a/b", WHOLE))
    assert found[facet] == shares


def test_a_filter_leaves_the_same_figures_as_the_ledger_has(database: Database) -> None:
    """A filter that every session meets, but for the way of counting, changes nothing."""
    kinds = [{"status": letter, "error_type": "KeyError"} for letter in "CFSR"]
    sent = [
        run(number, number % 4, user_id=session(number % 3), **kinds[number % 4])
        for number in range(20)
    ]

    async def question(reports: Reports) -> list[list[Any]]:
        return [
            [
                await ask("a/b", WHOLE, only)
                for ask in (
                    reports.usage,
                    reports.shares,
                    reports.users,
                    reports.errors,
                    reports.lost_runs,
                )
            ]
            for only in (ALL, Filter(ci="no"), Filter(version="1.0", language="python 3.11"))
        ]

    ledger, *filtered = asked(database, sent, question)
    assert filtered == [ledger, ledger]
    assert ledger[0]
    assert ledger[4].number


def test_questions_for_some_sessions_are_answered_by_an_index_alone(sqlite: Database) -> None:
    """No row of the table is looked up: that would take as long as there are sessions."""
    failed_too = Filter(platform="linux", outcome="failed", error=f"{7:016x}")
    running = (*Filter(platform="linux").within("a/b", WHOLE), RUNNING, sessions.c.seen >= 5)
    questions = [
        (select(func.count()).where(*failed_too.within("a/b", WHOLE)), "ix_sessions_"),
        (select(func.count()).where(*running), "ix_sessions_running "),
    ]
    for question, index in questions:
        told = question.compile(dialect=dialect(), compile_kwargs={"literal_binds": True})
        plan = [row["detail"] for row in sqlite.rows(f"EXPLAIN QUERY PLAN {told}")]
        assert any(f"sessions USING COVERING INDEX {index}" in step for step in plan), plan


def test_a_period_of_weeks_ends_today() -> None:
    assert Period.weeks(1, WEDNESDAY) == Period(WEDNESDAY - 6 * DAY, WEDNESDAY)
    assert Period.weeks(4).last == datetime.now(UTC).date()


def test_of_an_unknown_project_there_is_nothing_to_tell(database: Database) -> None:
    async def question(reports: Reports) -> list[object]:
        return [
            await reports.sessions("no/such", WHOLE),
            await reports.errors("no/such", WHOLE),
            await reports.users("no/such", WHOLE),
            await reports.usage("no/such", WHOLE),
            await reports.lost_runs("no/such", WHOLE),
        ]

    nobody = UserCounts(0, 0, {})
    assert asked(database, [], question) == [[], [], nobody, [], (0, ())]
