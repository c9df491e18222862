"""What is news of a project, and what is none."""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import TYPE_CHECKING, Any

import pytest

from migas.collector.collector import Collector
from migas.collector.counts.chance import CONFIDENT, compared
from tests.collector.counts.test_sessions import DAY, Clock
from tests.collector.databases import a_session, putting
from tests.collector.live import PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from migas.collector.news.news import Item
    from tests.collector.databases import Database

TODAY = dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)
PEOPLE = [f"00000000-0000-4000-8000-{number:012}" for number in range(40)]
BROKEN: dict[str, Any] = {"status": "F", "error_type": "OSError", "error_desc": "Read-only: <path>"}

Sessions = list[dict[str, Any]]


def many(number: int, ago: Iterable[int], people: int = 40, **fields: Any) -> Sessions:
    """So many sessions on each of some days before today, of people in turn."""
    return [
        a_session(TODAY - dt.timedelta(days=days), user_id=PEOPLE[one % people], **fields)
        for days in ago
        for one in range(number)
    ]


def found(database: Database, *looks: Sessions, days: int = 1) -> list[Item]:
    """What is found after each of several looks, between which days pass and sessions come."""
    clock = Clock(TODAY.timestamp() - days * DAY * (len(looks) - 1))

    async def run() -> list[Item]:
        async with Collector.open(database.url, clock=clock) as collector:
            await collector.projects.register([PROJECT])
            for number, sessions in enumerate(looks):
                if number:
                    clock.now += days * DAY
                database.execute("DELETE FROM users")  # they are put there anew
                await putting(sessions)(collector)
                await collector.news.look(PROJECT)
            return await collector.news.latest(PROJECT)

    return asyncio.run(run())


def texts(items: list[Item]) -> list[str]:
    return [item.text for item in items]


OLD = many(20, range(10, 20), version="1.0.0")


def test_a_new_error_that_hits_several_users_is_told_once(database: Database) -> None:
    failing = many(3, [2, 1], version="1.1.0", **BROKEN)
    (item,) = found(database, [*OLD, *many(10, [2], version="1.1.0"), *failing], [], [])
    assert item.kind == "new"
    assert item.text == "A new error since 1.1.0: OSError, 3 users in 3 sessions"
    assert item.page.startswith("errors/")


@pytest.mark.parametrize(
    "failing",
    [
        many(2, [1], version="1.1.0", **BROKEN),
        many(9, [1], people=1, version="1.1.0", **BROKEN),
        [*many(3, [1], version="1.1.0", **BROKEN), *many(3, [9], version="1.1.0", **BROKEN)],
        [],
    ],
    ids=["two users", "one user", "seen before", "none"],
)
def test_other_errors_are_no_news(database: Database, failing: Sessions) -> None:
    assert found(database, OLD + failing) == []


def test_an_error_that_a_release_brought_back_is_told_once(database: Database) -> None:
    past = [
        *many(5, range(40, 50), version="1.0.0", **BROKEN),
        *many(20, range(20, 30), version="1.1.0"),
    ]
    back = many(2, [3], version="1.2.0", **BROKEN)
    later = many(2, [2], version="1.1.5", **BROKEN)
    again = [*many(400, [2], version="1.9.0"), *many(5, [1], version="2.0.0", **BROKEN)]
    items = found(database, past + back, later, again, [])
    assert texts(items) == [
        "An error is back since 2.0.0: OSError, 5 users in 9 sessions",
        "An error is back since 1.2.0: OSError, 2 users in 2 sessions",
    ]
    assert {item.kind for item in items} == {"back"}


def test_news_of_one_hit_are_of_one_user_in_one_session(database: Database) -> None:
    past = [
        *many(5, range(40, 50), version="1.0.0", **BROKEN),
        *many(20, range(20, 30), version="1.1.0"),
    ]
    (item,) = found(database, past + many(1, [3], version="1.2.0", **BROKEN))
    assert item.text == "An error is back since 1.2.0: OSError, 1 user in 1 session"


def test_a_release_that_completes_less_often_is_told_once(database: Database) -> None:
    sessions = [
        *many(190, [9], version="2.2.1"),
        *many(10, [9], version="2.2.1", status="F"),
        *many(160, [3], version="2.3.0"),
        *many(40, [3], version="2.3.0", status="F"),
    ]
    (item,) = found(database, sessions, many(4, [2], version="2.3.0", status="F"), [])
    assert (item.kind, item.page) == ("release", "")
    assert item.text == "2.3.0 completes less often than 2.2.1: 80.0% against 95.0%"


def test_a_difference_that_may_be_chance_is_no_news(database: Database) -> None:
    sessions = [
        *many(36, [9], version="2.2.1"),
        *many(4, [9], version="2.2.1", status="F"),
        *many(34, [3], version="2.3.0"),
        *many(6, [3], version="2.3.0", status="F"),
    ]
    assert found(database, sessions) == []


def test_a_difference_that_one_release_in_twenty_has_by_chance_is_no_news(
    database: Database,
) -> None:
    """A page tells it, to whoever asks; news are looked for every day."""
    now, before = (83, 100), (95, 100)
    assert compared(now, before, CONFIDENT) == -1
    sessions = [
        session
        for version, days, (completed, whole) in (("2.3.0", [3], now), ("2.2.1", [9], before))
        for session in (
            *many(completed, days, version=version),
            *many(whole - completed, days, version=version, status="F"),
        )
    ]
    assert found(database, sessions) == []


def test_runs_that_stop_reporting_are_told_once(database: Database) -> None:
    steady = many(8, range(6, 40))
    came_late = many(1, [5])
    (item,) = found(database, steady, came_late, [], [])
    assert item.kind == "silence"
    assert item.text == "No run was reported since 2026-11-14; before, there were about 8 a day"


def test_a_silence_after_few_runs_a_day_is_told_by_the_week(database: Database) -> None:
    (item,) = found(database, many(1, range(12, 60)))
    assert item.text == "No run was reported since 2026-11-08; before, there were about 7 a week"


@pytest.mark.parametrize(
    "sessions",
    [
        many(8, range(1, 40)),
        many(8, range(32)),
        many(1, range(2, 40)),
        many(8, range(2, 20)),
        many(40, [2, 9, 16, 23]),
        many(8, range(40, 80)),
        many(8, [ago for ago in range(4, 40) if (TODAY - dt.timedelta(days=ago)).weekday() < 5]),
    ],
    ids=["until yesterday", "until today", "few", "young", "weekly", "long gone", "weekends"],
)
def test_other_silences_are_no_news(database: Database, sessions: Sessions) -> None:
    assert found(database, sessions) == []


def test_a_project_without_sessions_has_no_news(database: Database) -> None:
    assert found(database, [], []) == []


def test_what_strangers_write_makes_no_markup_and_no_mention(database: Database) -> None:
    hostile = "<!channel>\x1b[2J @all\u202e [x](https://evil.example) `*&\0"[:-1]
    failing = many(3, [1], **BROKEN | {"version": "1<b>@x", "error_type": hostile})
    (item,) = found(database, OLD + failing)
    assert not set(item.text) & set("<>@[]/*`&\x1b\u202e")
    assert len(item.text) < 200


def test_each_project_is_looked_at_by_one_process_now_and_then(database: Database) -> None:
    clock = Clock()

    async def run() -> None:
        async with (
            Collector.open(database.url, clock=clock) as one,
            Collector.open(database.url, clock=clock) as other,
        ):
            await one.projects.register(["a/b", "c/d"])
            claims = await asyncio.gather(one.news.claim(600), other.news.claim(600))
            assert sorted(claims[0] + claims[1]) == ["a/b", "c/d"]
            clock.now += 599
            assert await other.news.claim(600) == []
            clock.now += 1
            assert sorted(await other.news.claim(600)) == ["a/b", "c/d"]

    asyncio.run(run())
