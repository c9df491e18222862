"""People's rights and old age: what is deleted is gone, and counts are those of the rest."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine, event

from migas.collector.collector import Collector
from migas.collector.counts import removal
from migas.collector.counts.removal import Removed
from migas.collector.counts.sessions import anonymous_session
from migas.collector.projects.moves import rename_rows
from tests.collector.counts.test_sessions import (
    DAY,
    Clock,
    outcomes,
    record,
    recounted,
    some_crumbs,
)
from tests.collector.live import PROJECT, LiveCollector
from tests.collector.test_collector import a_crumb, count

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from tests.collector.databases import Database, Databases

pytestmark = pytest.mark.slow

USER = str(UUID(int=7))
OTHER = str(UUID(int=8))


def forgotten(database: Database, user: str) -> Removed:
    async def run() -> Removed:
        async with Collector.open(database.url) as collector:
            return await collector.removal.forget_user(user)

    return asyncio.run(run())


def aged(database: Database, day: int) -> Removed:
    async def run() -> Removed:
        async with Collector.open(database.url) as collector:
            return await collector.removal.forget_before(day)

    return asyncio.run(run())


def test_nothing_of_a_forgotten_user_is_left(database: Database) -> None:
    session = str(uuid4())
    record(
        database,
        a_crumb(user_id=USER, session_id=session),
        a_crumb("c/d", user_id=USER, session_id=session, status="F", error_type="E"),
        a_crumb(user_id=USER),
        a_crumb(session_id=str(uuid4()), status="C"),
    )
    assert forgotten(database, USER) == Removed(3, 1)

    for table in ("crumbs", "users", "project_users"):
        assert USER not in str(database.rows(f"SELECT * FROM {table}"))
    assert session not in str(database.rows("SELECT * FROM sessions"))
    assert outcomes(database) == [(20_000, "1.0", "C", 1)]
    assert recounted(database).none
    assert forgotten(database, USER) == Removed(0, 0)


def test_what_was_deleted_is_not_in_the_file_either(databases: Databases) -> None:
    with databases.fresh("sqlite") as database:
        record(database, a_crumb(user_id=USER, error_desc="a secret" * 1000), a_crumb())
        forgotten(database, USER)
        content = Path(database.path).read_bytes()
    assert USER.encode() not in content
    assert b"a secret" not in content


def test_of_a_shared_session_the_others_part_stays(database: Database) -> None:
    session = str(uuid4())
    record(
        database,
        a_crumb(session_id=session),
        a_crumb(session_id=session, user_id=USER, status="F"),
    )
    forgotten(database, USER)
    assert outcomes(database) == [(20_000, "1.0", "R", 1)]


@pytest.mark.parametrize("at_once", [1, 500])
@pytest.mark.parametrize(
    ("gone", "status", "days"),
    [("end", "R", (0, 3)), ("late", "C", (0, 2)), ("first", "C", (1, 3))],
)
def test_of_a_session_that_was_heard_of_after_its_end_the_rest_describes_it(
    *,
    gone: str,
    status: str,
    days: tuple[int, int],
    at_once: int,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(removal, "AT_ONCE", at_once)
    session = str(uuid4())
    senders = {name: str(UUID(int=number + 1)) for number, name in enumerate(["first", "end"])}
    senders["late"] = OTHER
    for day, (who, said) in enumerate(
        [("first", "R"), ("end", "R"), ("end", "C"), ("late", "R"), ("late", "R")]
    ):
        crumb = a_crumb(session_id=session, user_id=senders[who], status=said, status_desc=str(day))
        record(database, crumb, clock=Clock((20_000 + min(day, 3)) * DAY))
    assert forgotten(database, senders[gone]).users == 1
    (row,) = database.rows("SELECT status, began, seen FROM sessions")
    first, last = ((20_000 + day) * DAY for day in days)
    assert row == {"status": status, "began": first, "seen": last}
    assert recounted(database).none


def test_old_sessions_are_looked_for_in_each_project_once(
    sqlite: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Strangers may have made a thousand of them, and one may have a thousand times as many."""
    monkeypatch.setattr(removal, "AT_ONCE", 1)
    names = [f"a/{number:02}" for number in range(20)]
    old = [a_crumb(project=name) for name in (*names, *["z/z"] * 10)]
    record(sqlite, *old, clock=Clock(20_000 * 86400))
    record(sqlite, *(a_crumb(project=name) for name in names), clock=Clock(20_009 * 86400))
    looked = 0

    def note(_c: object, _cursor: object, statement: str, *_more: object) -> None:
        nonlocal looked
        looked += "min(crumbs.project)" in statement

    event.listen(Engine, "before_cursor_execute", note)
    try:
        assert aged(sqlite, 20_005).breadcrumbs == 30
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    assert looked == 2 * (len(names) + 1) + 1  # and once more, whether there are any left
    assert sqlite.value("SELECT count(*) FROM crumbs") == len(names)
    assert recounted(sqlite).none


def test_what_gets_a_name_that_was_passed_is_forgotten_too(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = [a_crumb(project=name) for name in ("a/b", "m/n", "x/y")]
    record(database, *old, clock=Clock(20_000 * 86400))
    forget_older = removal.Removal._forget_older

    async def renamed_meanwhile(
        self: removal.Removal, day: int, project: str, connection: AsyncConnection
    ) -> tuple[int, str | None]:
        found = await forget_older(self, day, project, connection)
        if project == "a/b" and found[1] == "m/n":
            await rename_rows("x/y", "a/a", {"registered": 1}, connection)
        return found

    monkeypatch.setattr(removal.Removal, "_forget_older", renamed_meanwhile)
    assert aged(database, 20_005).breadcrumbs == 3
    assert count(database) == 0


@pytest.mark.parametrize("at_once", [1, 7, 500])
def test_whoever_is_forgotten_the_counts_are_those_of_the_rest(
    at_once: int, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removal, "AT_ONCE", at_once)
    crumbs = some_crumbs(5, 80)
    record(database, *crumbs)
    users = sorted({crumb.user_id for crumb in crumbs if crumb.user_id})
    for user in random.Random(5).sample(users, 2):
        forgotten(database, user)
    assert 0 < count(database) < 80
    assert recounted(database).none


def test_sessions_are_forgotten_by_the_day_they_began(database: Database) -> None:
    old, new = str(uuid4()), str(uuid4())
    clock = Clock(20_000 * DAY)
    record(database, a_crumb(session_id=old, user_id=USER), a_crumb(), clock=clock)
    clock.now += DAY
    record(database, a_crumb(session_id=new, user_id=str(UUID(int=8))), clock=clock)
    record(database, a_crumb(session_id=old, user_id=USER, status="C"), clock=clock)

    assert aged(database, 20_000) == Removed(0, 0)
    assert aged(database, 20_001) == Removed(3, 1)
    assert [row["session_id"] for row in database.rows("SELECT session_id FROM crumbs")] == [new]
    assert USER not in str(database.rows("SELECT * FROM users"))
    assert recounted(database).none


@pytest.mark.parametrize("at_once", [3, 500])
def test_whatever_is_old_the_counts_are_those_of_the_rest(
    at_once: int, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removal, "AT_ONCE", at_once)
    clock = Clock(20_000 * DAY)
    for part in range(4):
        record(database, *some_crumbs(part, 20), clock=clock)
        clock.now += DAY
    assert aged(database, 20_002).breadcrumbs > 0
    assert database.value("SELECT min(timestamp) FROM crumbs") >= 20_002 * DAY
    assert recounted(database).none


def stored_as_before(database: Database) -> None:
    """Breadcrumbs without a session, and one whose stored id stands for another day of them.

    Collectors no longer store such an id, but older ones did.
    """
    record(database, a_crumb(user_id=USER), a_crumb(user_id=OTHER, status="C"))
    database.execute(
        "INSERT INTO crumbs (project, version, language, language_version, timestamp, session_id,"
        " user_id, status, is_ci) VALUES ('a/b', '1.0', 'python', '3.11', ?, ?, ?, 'F', false)",
        20_001 * DAY,
        anonymous_session(20_000 * DAY),
        USER,
    )
    recounted(database)
    assert outcomes(database) == [(20_000, "1.0", "F", 1)]


def test_a_stored_id_that_stands_for_no_session_takes_nobody_along(database: Database) -> None:
    stored_as_before(database)
    assert forgotten(database, USER) == Removed(2, 1)
    assert outcomes(database) == [(20_000, "1.0", "C", 1)]
    assert recounted(database).none


@pytest.mark.parametrize("at_once", [1, 500])
def test_a_stored_id_that_stands_for_no_session_grows_old(
    at_once: int, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removal, "AT_ONCE", at_once)
    stored_as_before(database)
    assert aged(database, 20_001) == Removed(3, 2)
    assert recounted(database) == (0,) * 8


def test_a_session_whose_breadcrumbs_somebody_deleted_by_hand_goes_with_a_rebuild(
    database: Database,
) -> None:
    """No index has what is old of sessions: nothing else could leave one without breadcrumbs."""
    record(database, a_crumb(session_id=str(uuid4())))
    database.execute("DELETE FROM crumbs")
    assert aged(database, 20_001) == Removed(0, 0)
    assert recounted(database).wrong_sessions == 1
    assert database.value("SELECT count(*) FROM sessions") == 0


def test_a_session_that_is_deleted_in_parts_stays_old(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removal, "AT_ONCE", 1)
    session = str(uuid4())
    for day, status in ((20_000, "R"), (20_005, "S"), (20_003, "C")):
        crumb = a_crumb(session_id=session, user_id=USER, status=status)
        record(database, crumb, clock=Clock(day * DAY))
    assert aged(database, 20_001) == Removed(3, 1)


def test_a_day_of_many_people_without_sessions_is_forgotten(database: Database) -> None:
    people = [str(UUID(int=number, version=4)) for number in range(12_000)]
    database.executemany(
        "INSERT INTO crumbs (project, version, language, language_version, timestamp, user_id,"
        " status, is_ci) VALUES ('a/b', '1.0', 'python', '3.11', ?, ?, 'C', false)",
        [(20_000 * DAY, user) for user in people],
    )
    recounted(database)
    assert aged(database, 20_001).breadcrumbs == 12_000
    assert recounted(database) == (0,) * 8


@pytest.mark.parametrize("by_user", [True, False])
@pytest.mark.parametrize("days", [1, 3])
def test_a_session_of_very_many_breadcrumbs_is_not_read_again_for_each_part_of_it(
    days: int, by_user: bool, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removal, "AT_ONCE", 10)
    session, number = str(uuid4()), 600
    database.executemany(
        "INSERT INTO crumbs (project, version, language, language_version, timestamp, session_id,"
        " digest, user_id, status, is_ci) VALUES ('a/b', '1.0', 'python', '3.11', ?, ?, ?, ?, 'C',"
        " false)",
        [
            (20_000 * DAY + 7 + part * days * DAY // number, session, part, USER)
            for part in range(number)
        ],
    )
    recounted(database)
    read: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
        if "GROUP BY" in statement:
            read.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        gone = forgotten(database, USER) if by_user else aged(database, 20_001)
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    assert gone.breadcrumbs == number
    assert len(read) <= 12
    assert recounted(database) == (0,) * 8


def test_deleting_beside_ingestion_collides_with_nothing(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two collectors store while people are forgotten and old sessions go."""
    monkeypatch.setattr(removal, "AT_ONCE", 10)
    clock = Clock()

    async def run() -> None:
        opening = [
            Collector.open(database.url, open_registration=True, clock=clock) for _ in range(2)
        ]
        async with opening[0] as first, opening[1] as second:
            crumbs = some_crumbs(6, 400)
            users = sorted({crumb.user_id for crumb in crumbs if crumb.user_id})
            for start in range(0, 400, 100):
                part = zip(crumbs[start : start + 100], [first, second] * 50, strict=True)
                answers = await asyncio.gather(
                    *(collector.ingestion.record(crumb) for crumb, collector in part),
                    *(
                        collector.removal.forget_user(user)
                        for user in users
                        for collector in (first, second)
                    ),
                    first.removal.forget_before(int(clock.now) // DAY - 1),
                    second.removal.forget_before(int(clock.now) // DAY),
                )
                assert None not in answers
                clock.now += 40_000

    asyncio.run(run())
    found = recounted(database)
    assert found.none, found
    known = {row["user_id"] for row in database.rows("SELECT user_id FROM users")}
    assert {row["user_id"] for row in database.rows("SELECT user_id FROM crumbs")} <= {*known, None}


def test_whoever_holds_an_id_may_delete_it(collector: LiveCollector) -> None:
    collector.add_project(user_id=USER, session_id=str(uuid4()))
    collector.add_project(user_id=str(UUID(int=8)))

    reply = collector.send(f"/api/users/{USER.upper()}", b"", {}, "DELETE")
    assert (reply.status, reply.json()) == (200, {"success": True, "breadcrumbs": 1})
    assert [row["user_id"] for row in collector.users()] == [str(UUID(int=8))]
    assert collector.send(f"/api/users/{USER}", b"", {}, "DELETE").status == 404


@pytest.mark.parametrize("user", ["me", "1", "%00", "' OR 1=1 --", "*", "%25"])
def test_without_an_id_nothing_is_deleted(user: str, collector: LiveCollector) -> None:
    collector.add_project(user_id=USER)
    path = f"/api/users/{user}".replace(" ", "%20")
    assert collector.send(path, b"", {}, "DELETE").status == 422
    assert len(collector.crumbs()) == len(collector.users()) == 1
    assert collector.crumbs()[0]["project"] == PROJECT
