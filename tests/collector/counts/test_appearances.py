"""Users by the days on which they were first and last seen: always what `project_users` says."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest

from migas.collector.collector import Collector
from migas.collector.counts.ledger import Ledger
from migas.collector.days import Period, day_of
from migas.collector.ingestion.recorder import Recorder
from migas.collector.ingestion.timing import Timing
from tests.collector.counts.test_removal import forgotten
from tests.collector.counts.test_sessions import DAY, Clock, record, recounted
from tests.collector.counts.test_visits import asked, fill_weeks
from tests.collector.test_collector import a_crumb

if TYPE_CHECKING:
    from collections.abc import Sequence

    from migas.collector.ingestion.crumb import Crumb
    from tests.collector.databases import Database, Databases

ONE, TWO = str(UUID(int=1)), str(UUID(int=2))


def users_counted(database: Database, project: str = "a/b") -> dict[tuple[str, int, str], int]:
    """How many users were first and last seen on which day, by their types."""
    rows = database.rows(
        "SELECT kind, day, value, sum(sessions) AS n FROM daily WHERE project = ?"
        " AND kind IN ('first seen', 'last seen') GROUP BY kind, day, value"
        " HAVING sum(sessions) <> 0",
        project,
    )
    return {(row["kind"], row["day"], row["value"]): int(row["n"]) for row in rows}


def test_a_user_counts_on_the_first_day_and_on_the_last(database: Database) -> None:
    for day in (20_002, 20_003, 20_003):
        record(database, a_crumb(user_id=ONE, user_type="dev"), clock=Clock(day * DAY))
    record(database, a_crumb(user_id=TWO), a_crumb("c/d", user_id=TWO), clock=Clock(20_003 * DAY))
    assert users_counted(database) == {
        ("first seen", 20_002, "dev"): 1,
        ("last seen", 20_003, "dev"): 1,
        ("first seen", 20_003, "general"): 1,
        ("last seen", 20_003, "general"): 1,
    }
    assert len(users_counted(database, "c/d")) == 2
    assert recounted(database).none


def test_what_is_told_late_moves_the_first_day(database: Database) -> None:
    late = a_crumb(session_id=str(uuid4()), user_id=ONE, status="C").timed(Timing(5 * DAY))
    record(database, a_crumb(user_id=ONE), late)
    assert users_counted(database) == {
        ("first seen", 19_995, "general"): 1,
        ("last seen", 20_000, "general"): 1,
    }


def test_a_users_type_is_the_one_that_was_told_first(database: Database) -> None:
    record(database, a_crumb("c/d", user_id=ONE, user_type="ci"))
    record(database, a_crumb(user_id=ONE, user_type="dev"), clock=Clock(20_001 * DAY))
    record(database, a_crumb(user_id=ONE), clock=Clock(20_002 * DAY))
    assert users_counted(database) == {
        ("first seen", 20_001, "ci"): 1,
        ("last seen", 20_002, "ci"): 1,
    }


def test_a_repeated_breadcrumb_moves_no_user(database: Database) -> None:
    crumb = a_crumb(session_id=str(uuid4()), user_id=ONE)
    record(database, crumb)
    counted = users_counted(database)
    record(database, crumb, clock=Clock(20_003 * DAY))
    assert users_counted(database) == counted != {}


async def written_at_once(
    database: Database, first: Sequence[Crumb], second: Sequence[Crumb], *, is_kept: bool
) -> None:
    """Two transactions, the second of which begins while the first one has written its batch."""

    async def store(collector: Collector, batch: Sequence[Crumb], shard: int, day: int) -> None:
        recorder = Recorder("postgresql", Ledger("postgresql", shard))
        async with collector.connections.writing() as connection:
            await recorder.store(connection, batch, day * DAY)

    async with Collector.open(database.url) as one, Collector.open(database.url) as other:
        connecting = one.connections.writing()
        connection = await connecting.__aenter__()
        await Recorder("postgresql", Ledger("postgresql", 1)).store(connection, first, 20_002 * DAY)
        waiting = asyncio.create_task(store(other, second, 2, 20_004))
        done, _ = await asyncio.wait({waiting}, timeout=0.3)
        assert not done
        if not is_kept:
            await connection.rollback()
        await connecting.__aexit__(None, None, None)
        await waiting


@pytest.mark.parametrize("is_kept", [True, False])
@pytest.mark.parametrize("known", ["nowhere", "elsewhere", "here"])
def test_two_processes_may_see_a_user_at_once(
    known: str, is_kept: bool, databases: Databases
) -> None:
    """One who is new, new to the project, or known: the first one may also be rolled back."""
    with databases.fresh("postgresql") as database:
        if known != "nowhere":
            before = a_crumb("a/b" if known == "here" else "c/d", user_id=TWO, user_type="ci")
            record(database, before, clock=Clock(20_003 * DAY))
        theirs = [a_crumb(user_id=user, user_type="dev") for user in (ONE, TWO)]
        others = [a_crumb(user_id=user, user_type="general") for user in (TWO, str(UUID(int=3)))]
        asyncio.run(written_at_once(database, theirs, others, is_kept=is_kept))

        found = users_counted(database)
        kinds = {ONE: "dev", TWO: "dev" if is_kept else "general", str(UUID(int=3)): "general"}
        if known != "nowhere":
            kinds[TWO] = "ci"
        rows = database.rows("SELECT * FROM project_users WHERE project = 'a/b'")
        expected: dict[tuple[str, int, str], int] = {}
        for row in rows:
            for kind, day in (("first seen", row["first_day"]), ("last seen", row["last_day"])):
                key = (kind, day, kinds[row["user_id"]])
                expected[key] = expected.get(key, 0) + 1
        assert found == expected
        assert len(rows) == 2 + is_kept
        assert recounted(database).none


def test_a_forgotten_user_counts_no_more(database: Database) -> None:
    record(database, a_crumb(user_id=ONE), a_crumb(user_id=TWO), a_crumb("c/d", user_id=ONE))
    forgotten(database, ONE)
    assert users_counted(database) == {
        ("first seen", 20_000, "general"): 1,
        ("last seen", 20_000, "general"): 1,
    }
    assert users_counted(database, "c/d") == {}
    assert recounted(database).none


def test_a_user_without_breadcrumbs_is_forgotten_by_the_counts_too(database: Database) -> None:
    record(database, a_crumb(user_id=ONE, user_type="dev"))
    database.execute("DELETE FROM crumbs")
    forgotten(database, ONE)
    assert users_counted(database) == {}


def test_counts_of_users_that_went_wrong_are_put_right(database: Database) -> None:
    record(database, a_crumb(user_id=ONE), a_crumb(user_id=TWO, user_type="ci"))
    right = users_counted(database)
    database.execute("UPDATE daily SET sessions = 7 WHERE kind = 'last seen' AND value = 'ci'")
    database.execute("DELETE FROM daily WHERE kind = 'first seen'")
    assert recounted(database).wrong_counts == 3
    assert users_counted(database) == right != {}


def test_users_without_a_filter_are_those_of_all_breadcrumbs(database: Database) -> None:
    """Also those of whom no type is known, as in breadcrumbs that did not come this way."""
    fill_weeks(database)
    (gone,) = database.rows("SELECT user_id FROM project_users WHERE project = 'a/b' LIMIT 1")
    database.execute("DELETE FROM users WHERE user_id = ?", gone["user_id"])
    recounted(database)
    rows = database.rows(
        "SELECT coalesce(u.user_type, 'general') AS kind, first_day, last_day"
        " FROM project_users p LEFT JOIN users u ON u.user_id = p.user_id WHERE project = 'a/b'"
    )
    newest = max(row["last_day"] for row in rows)
    for days in (1, 20, 60, 90):
        period = Period(day_of(newest - days + 1), day_of(newest), "week")
        seen = [row for row in rows if day_of(row["last_day"]) >= period.first]
        came = [day_of(row["first_day"]) for row in seen]
        new = [day for day in came if day >= period.first]
        kinds = [row["kind"] for row in seen]
        types = {kind: kinds.count(kind) for kind in kinds}
        assert asked(database, "users", period) == (len(seen), len(new), types, 0)
        over_time = asked(database, "users_over_time", period)
        assert {start: number for start, (_, number, _) in over_time.items()} == {
            start: sum(period.bucket(day) == start for day in new) for start in period.buckets()
        }
