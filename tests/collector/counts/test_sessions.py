"""Sessions and counts: always what the breadcrumbs say, however those arrive."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest

from migas.collector.collector import Collector
from migas.collector.counts.rebuild import rebuild
from migas.collector.counts.sessions import anonymous_session
from migas.collector.ingestion.timing import Timing
from tests.collector.databases import with_collector
from tests.collector.test_collector import a_crumb, count

if TYPE_CHECKING:
    from collections.abc import Callable

    from migas.collector.counts.rebuild import Difference
    from migas.collector.ingestion.crumb import Crumb
    from tests.collector.databases import Database

DAY = 86400


class Clock:
    """The time that a test says it is."""

    def __init__(self, now: float = 20_000 * DAY) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def record(database: Database, *crumbs: Crumb, clock: Callable[[], float] | None = None) -> None:
    """Store breadcrumbs, each in a transaction of its own."""

    async def run() -> None:
        opening = Collector.open(database.url, open_registration=True, clock=clock or Clock())
        async with opening as collector:
            for crumb in crumbs:
                await collector.ingestion.record(crumb)

    asyncio.run(run())


def recounted(database: Database) -> Difference:
    found: list[Difference] = []

    async def work(collector: Collector) -> None:
        async with collector.connections.writing() as connection:
            found.append(await connection.run_sync(rebuild))

    with_collector(database.url, work)
    return found[0]


def told_sessions(database: Database) -> list[dict[str, Any]]:
    """The sessions of a/b with what their last breadcrumbs have, and their users' types."""
    return database.rows(
        "SELECT s.began, s.fingerprint, u.user_type, c.version, c.status, c.ended, c.user_id,"
        " c.platform, c.container, c.language, c.language_version, c.is_ci FROM sessions s"
        " JOIN crumbs c ON c.idx = s.last_idx LEFT JOIN users u ON u.user_id = c.user_id"
        " WHERE s.project = 'a/b'"
    )


def outcomes(database: Database) -> list[tuple[object, ...]]:
    """Day, version, status and sessions, where there are any."""
    rows = database.rows(
        "SELECT day, value, detail, sum(sessions) AS n FROM daily WHERE kind = 'outcome'"
        " GROUP BY day, value, detail HAVING sum(sessions) <> 0 ORDER BY day, value, detail"
    )
    return [(row["day"], row["value"], row["detail"], int(row["n"])) for row in rows]


def test_a_repeated_breadcrumb_of_a_session_is_stored_once(database: Database) -> None:
    session = str(uuid4())
    again = a_crumb(session_id=session)
    record(database, again, again, a_crumb(session_id=session, status="C"), again)
    assert count(database) == 2


def test_repeated_in_one_batch_it_is_stored_once_too(database: Database) -> None:
    async def work(collector: Collector) -> None:
        crumb = a_crumb(session_id=str(uuid4()))
        answers = await asyncio.gather(*(collector.ingestion.record(crumb) for _ in range(20)))
        assert None not in answers

    with_collector(database.url, work, open_registration=True)
    assert count(database) == 1
    assert recounted(database).none


@pytest.mark.parametrize(
    "other",
    [
        {"project": "c/d"},
        {"project_version": "2.0"},
        {"status_desc": "x"},
        {"error_desc": ""},
        {"user_id": str(UUID(int=1))},
        {"platform": "linux"},
        {"session_id": str(UUID(int=2, version=4))},
    ],
)
def test_a_breadcrumb_that_differs_in_anything_is_another(
    other: dict[str, str], database: Database
) -> None:
    common = {"session_id": str(UUID(int=3, version=4)), "status_desc": "", "error_type": "x"}
    record(database, a_crumb(**common), a_crumb(**common | other))
    assert count(database) == 2


def test_without_a_session_nothing_is_a_repetition(database: Database) -> None:
    record(database, a_crumb(), a_crumb())
    assert count(database) == 2


def test_a_session_counts_once_as_its_last_breadcrumb_says(database: Database) -> None:
    session = str(uuid4())
    record(
        database,
        a_crumb(session_id=session),
        a_crumb(session_id=session, status="F", project_version="1.1"),
        a_crumb(session_id=str(uuid4()), status="C"),
    )
    assert outcomes(database) == [(20_000, "1.0", "C", 1), (20_000, "1.1", "F", 1)]


def test_a_session_counts_on_the_day_it_began(database: Database) -> None:
    session = str(uuid4())
    record(database, a_crumb(session_id=session), clock=Clock(20_000 * DAY + 86399))
    record(database, a_crumb(session_id=session, status="C"), clock=Clock(20_003 * DAY))
    assert outcomes(database) == [(20_000, "1.0", "C", 1)]
    assert recounted(database).none


def test_a_session_that_says_when_it_ended_counts_on_that_day(database: Database) -> None:
    """Run on a Monday without internet, and told of on Thursday; the day it began was a Sunday."""
    session, user = str(uuid4()), str(uuid4())
    record(database, a_crumb(session_id=session), clock=Clock(20_000 * DAY))
    end = a_crumb(session_id=session, user_id=user, status="C").timed(Timing(3 * DAY, 60.0))
    record(database, end, clock=Clock(20_004 * DAY + 10))
    assert outcomes(database) == [(20_001, "1.0", "C", 1)]
    assert seen_days(database) == [(20_001, 20_001)]
    told = "SELECT began, seen, ended, duration FROM sessions"
    assert database.rows(told) == [
        {
            "began": 20_000 * DAY,
            "seen": 20_004 * DAY + 10,
            "ended": 20_001 * DAY + 10,
            "duration": 60,
        }
    ]
    assert recounted(database).none


def test_ends_of_several_days_may_arrive_at_once(database: Database) -> None:
    user = str(uuid4())
    ends = [
        a_crumb(session_id=str(uuid4()), user_id=user, status="C").timed(Timing(days * DAY))
        for days in (2, 0, 5)
    ]

    async def run() -> None:
        opening = Collector.open(database.url, open_registration=True, clock=Clock())
        async with opening as collector:
            await asyncio.gather(*(collector.ingestion.record(end) for end in ends))

    asyncio.run(run())
    assert [row[0] for row in outcomes(database)] == [19_995, 19_998, 20_000]
    assert seen_days(database) == [(19_995, 20_000)]
    assert recounted(database).none


def test_an_id_used_in_two_projects_is_two_sessions(database: Database) -> None:
    session = str(uuid4())
    record(database, a_crumb("a/b", session_id=session), a_crumb("c/d", session_id=session))
    assert outcomes(database) == [(20_000, "1.0", "R", 2)]


def test_breadcrumbs_without_a_session_are_one_a_day(database: Database) -> None:
    record(database, a_crumb(), a_crumb(status="C"), a_crumb("c/d"))
    record(database, a_crumb(status="F"), clock=Clock(20_001 * DAY))
    assert outcomes(database) == [
        (20_000, "1.0", "C", 1),
        (20_000, "1.0", "R", 1),
        (20_001, "1.0", "F", 1),
    ]
    assert recounted(database).none


def test_a_clock_that_goes_back_dates_a_session_anew(database: Database) -> None:
    session = str(uuid4())
    record(database, a_crumb(session_id=session), clock=Clock(20_001 * DAY))
    record(database, a_crumb(session_id=session, status="C"), clock=Clock(20_000 * DAY))
    assert outcomes(database) == [(20_000, "1.0", "C", 1)]
    assert recounted(database).none


ENDS = ["C", "F", "S"]


def the_session(database: Database) -> dict[str, Any]:
    """The only session, without the number of the row that describes it, and that row's status."""
    (row,) = database.rows(
        "SELECT s.began, s.seen, s.version, s.status, s.error_type, s.fingerprint, s.ended,"
        " s.duration, s.user_number, c.status AS told FROM sessions s"
        " JOIN crumbs c ON c.idx = s.last_idx"
    )
    return row


@pytest.mark.parametrize("status", ENDS)
def test_what_says_that_a_run_goes_on_undoes_no_end(status: str, database: Database) -> None:
    """It was overtaken on its way; nothing but the second at which it came is news then."""
    session, user = str(uuid4()), str(uuid4())
    end = a_crumb(session_id=session, user_id=user, status=status, error_type="E")
    record(database, end.timed(Timing(2 * DAY, 60.0)), clock=Clock(20_000 * DAY))
    ended = the_session(database)
    late = a_crumb(session_id=session, project_version="2.0", status_desc="goes on")
    record(database, late, clock=Clock(20_001 * DAY))
    assert the_session(database) == ended | {"seen": 20_001 * DAY}
    assert (ended["status"], ended["ended"], ended["duration"]) == (status, 19_998 * DAY, 60)
    assert outcomes(database) == [(19_998, "1.0", status, 1)]
    assert recounted(database).none
    assert the_session(database) == ended | {"seen": 20_001 * DAY}


def test_a_later_end_takes_the_place_of_an_earlier_one_whatever_came_between(
    database: Database,
) -> None:
    session = str(uuid4())
    for status, version in (("C", "1.0"), ("R", "2.0"), ("F", "3.0"), ("R", "4.0")):
        record(database, a_crumb(session_id=session, status=status, project_version=version))
    assert outcomes(database) == [(20_000, "3.0", "F", 1)]
    assert recounted(database).none


def test_an_end_that_comes_with_what_it_overtook_stays_the_end(database: Database) -> None:
    """Both in one transaction, in either order of the two."""

    async def run() -> None:
        opening = Collector.open(database.url, open_registration=True, clock=Clock())
        async with opening as collector:
            pairs = [(str(uuid4()), order) for order in ("RC", "CR") for _ in range(10)]
            crumbs = [
                a_crumb(session_id=session, status=status)
                for session, order in pairs
                for status in order
            ]
            await asyncio.gather(*map(collector.ingestion.record, crumbs))

    asyncio.run(run())
    assert outcomes(database) == [(20_000, "1.0", "C", 20)]
    assert recounted(database).none


@pytest.mark.parametrize("seed", range(3))
def test_in_whichever_order_breadcrumbs_come_the_end_is_the_end(
    seed: int, database: Database
) -> None:
    """Of many runs each breadcrumb comes by one of two collectors, alone or beside others."""
    chosen = random.Random(seed)
    clock = Clock()
    orders = [chosen.choice(["RRF", "RF", "F", "RRRF"]) for _ in range(40)]
    crumbs = [
        a_crumb(
            session_id=str(UUID(int=number + 1, version=4)),
            user_id=str(UUID(int=number % 5 + 1)),
            status=status,
            status_desc=str(step),
            project_version="1.0" if status == "F" else "2.0",
            error_type="E" if status == "F" else None,
        ).timed(Timing(0, 7.0))
        for number, order in enumerate(orders)
        for step, status in enumerate(order)
    ]
    chosen.shuffle(crumbs)

    async def run() -> None:
        first, second = (
            Collector.open(database.url, open_registration=True, clock=clock) for _ in range(2)
        )
        async with first as one, second as other:
            while crumbs:
                clock.now += 1000
                together = [crumbs.pop() for _ in range(min(len(crumbs), chosen.randrange(1, 20)))]
                await asyncio.gather(
                    *(chosen.choice([one, other]).ingestion.record(crumb) for crumb in together)
                )

    asyncio.run(run())
    rows = database.rows("SELECT version, status, error_type, duration FROM sessions")
    assert rows == [{"version": "1.0", "status": "F", "error_type": "E", "duration": 7}] * 40
    wrong = (
        "SELECT count(*) FROM sessions s WHERE began <> (SELECT min(timestamp) FROM crumbs c"
        " WHERE c.session_id = s.session_id) OR seen <> (SELECT max(timestamp) FROM crumbs c"
        " WHERE c.session_id = s.session_id) OR ended <> (SELECT ended FROM crumbs c"
        " WHERE c.session_id = s.session_id AND c.status = 'F')"
    )
    assert database.value(wrong) == 0
    assert recounted(database).none


def some_crumbs(seed: int, number: int) -> list[Crumb]:
    """Breadcrumbs of few projects, sessions and users, so that they meet."""
    chosen = random.Random(seed)
    ids = [str(UUID(int=chosen.getrandbits(128))) for _ in range(20)]
    return [
        a_crumb(
            chosen.choice(["a/b", "c/d"]),
            session_id=chosen.choice([*ids, None]),
            user_id=chosen.choice([*ids[:5], None]),
            user_type=chosen.choice(["general", "dev"]),
            status=chosen.choice("RCFS"),
            project_version=chosen.choice(["1.0", "2.0"]),
            language_version=chosen.choice(["3.11.7", "3.12", "unknown"]),
            platform=chosen.choice(["linux", "darwin"]),
            error_type=chosen.choice([None, "ValueError", "x" * 300]),
        ).timed(Timing(chosen.choice([None, 0, 2.5 * DAY]), chosen.choice([None, 0.1, 3600])))
        for _ in range(number)
    ]


@pytest.mark.parametrize("seed", range(3))
def test_whatever_arrives_the_counts_are_those_of_the_breadcrumbs(
    seed: int, database: Database
) -> None:
    """Two collectors at work on the same sessions, for several days."""
    clock = Clock()

    async def work(first: Collector) -> None:
        opening = Collector.open(database.url, open_registration=True, clock=clock)
        async with opening as second:
            crumbs = some_crumbs(seed, 300)
            for start in range(0, 300, 60):
                clock.now += 40_000
                await asyncio.gather(
                    *(
                        chosen.ingestion.record(crumb)
                        for crumb, chosen in zip(
                            crumbs[start : start + 60], [first, second] * 30, strict=True
                        )
                    )
                )

    async def run() -> None:
        async with Collector.open(database.url, open_registration=True, clock=clock) as collector:
            await work(collector)

    asyncio.run(run())
    found = recounted(database)
    assert found.none, found
    assert found.sessions == database.value("SELECT count(*) FROM sessions") > 20
    assert found.counts > 20
    assert recounted(database) == found


def test_counts_that_went_wrong_are_told_and_put_right(database: Database) -> None:
    record(database, *some_crumbs(1, 50))
    right = outcomes(database)
    database.execute("UPDATE daily SET sessions = sessions + 1 WHERE kind = 'outcome'")
    database.execute("UPDATE slices SET failed = failed + 1 WHERE span = 7")
    database.execute("DELETE FROM profiles WHERE platform = 'linux'")
    database.execute("DELETE FROM sessions WHERE status = 'F'")
    database.execute("UPDATE project_users SET last_day = 1")
    database.execute("UPDATE visits SET days = days + 1")
    database.execute("DELETE FROM error_users")
    database.execute("UPDATE crumbs SET fingerprint = 7 WHERE fingerprint IS NOT NULL")

    found = recounted(database)
    assert not found.none
    assert found.wrong_counts > len(right)
    assert found.wrong_sessions > 0
    assert found.wrong_errors == found.errors > 0
    tables = ("project_users", "visits", "error_users")
    sizes = [database.value(f"SELECT count(*) FROM {table}") for table in tables]
    assert found.wrong_users == sum(sizes) > found.users
    assert outcomes(database) == right
    assert recounted(database).none


@pytest.mark.parametrize("day", [0, 20_000, 2**48 - 1])
def test_an_id_that_stands_for_no_session_is_none(day: int, database: Database) -> None:
    record(database, a_crumb(session_id=anonymous_session(day * DAY)), a_crumb(status="C"))
    assert database.rows("SELECT DISTINCT session_id FROM crumbs") == [{"session_id": None}]
    assert outcomes(database) == [(20_000, "1.0", "C", 1)]
    assert recounted(database).none


def seen_days(database: Database) -> list[tuple[int, int]]:
    rows = database.rows("SELECT first_day, last_day FROM project_users")
    return [(row["first_day"], row["last_day"]) for row in rows]


def test_a_repeated_breadcrumb_is_no_visit(database: Database) -> None:
    crumb = a_crumb(session_id=str(uuid4()), user_id=str(uuid4()))
    record(database, crumb)
    record(database, crumb, clock=Clock(20_003 * DAY))
    assert seen_days(database) == [(20_000, 20_000)]
    assert recounted(database).none


def test_a_user_is_seen_from_the_first_day_to_the_last_whatever_the_order(
    database: Database,
) -> None:
    user = str(uuid4())
    for day in (20_002, 20_000, 20_005, 20_003):
        record(database, a_crumb(user_id=user), clock=Clock(day * DAY))
    assert seen_days(database) == [(20_000, 20_005)]
    assert recounted(database).none
