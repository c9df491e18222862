"""Packed visits: the same users, whichever of their visits are packed, whatever happens then."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from sqlalchemy import text, update

from migas.collector.collector import Collector
from migas.collector.counts import visit_packing
from migas.collector.counts.filters import Filter
from migas.collector.counts.packed_visits import PARTS, Visit, days_of, pack, part_of, unpack
from migas.collector.counts.visits import SAMPLES, first_number, number_of_user
from migas.collector.database.tables import packed_visits
from migas.collector.days import SECONDS_A_DAY, Period, day_of
from migas.collector.ingestion.timing import Timing
from migas.collector.projects.moves import rename_rows, unregister
from migas.collector.server.upkeep import keep_up
from tests.collector.counts.test_sessions import Clock, record, recounted, some_crumbs
from tests.collector.counts.test_visits import FILTERS, TODAY, asked, fill
from tests.collector.databases import with_collector
from tests.collector.test_collector import a_crumb

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.collector.databases import Database, Databases

SPANS = [Period(day_of(TODAY - 20), day_of(TODAY)), Period(day_of(TODAY - 130), day_of(TODAY))]


@pytest.fixture(autouse=True)
def every_visit_is_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    """However few there are; and hardly any two groups of them at once."""
    monkeypatch.setattr(visit_packing, "MANY", 1)
    monkeypatch.setattr(visit_packing, "AT_ONCE", 3)


def packed_by(packing: str, database: Database) -> int:
    """Pack what there is by a collector's part of that name; return how many rows were packed."""
    found: list[int] = []

    async def work(collector: Collector) -> None:
        found.append(await getattr(collector, packing).pack())

    with_collector(database.url, work)
    return found[0]


packed = partial(packed_by, "visit_packing")


def keep_up_until(url: str, is_done: Callable[[], bool]) -> None:
    """Have a collector do what it does by itself until something is done."""

    async def serve() -> None:
        async with Collector.open(url) as collector:
            upkeep = asyncio.create_task(keep_up(collector, None, None))
            async with asyncio.timeout(30):
                while not is_done():  # noqa: ASYNC110  nothing tells of it
                    await asyncio.sleep(0.05)
            upkeep.cancel()
            with suppress(asyncio.CancelledError):
                await upkeep

    asyncio.run(serve())


def loose(database: Database) -> int:
    """How many visits to versions are rows."""
    number: int = database.value("SELECT count(*) FROM visits WHERE version <> ''")
    return number


def figures(database: Database) -> list[Any]:
    """Everything that is told of users by their visits."""
    return [
        asked(database, question, period, only)
        for question in ("users", "users_over_time", "users_by_facet")
        for period in SPANS
        for only in FILTERS
    ]


def test_users_are_the_same_when_their_visits_are_packed(database: Database) -> None:
    fill(database)
    before, number = figures(database), loose(database)
    assert packed(database) == number > 50
    assert loose(database) == 0
    assert figures(database) == before
    assert packed(database) == 0


def test_users_are_the_same_when_some_visits_are_packed_and_others_came_later(
    database: Database,
) -> None:
    """Some of them on days of the same block, and of users whose visits are packed already."""
    fill(database)
    packed(database)
    record(database, *some_crumbs(0, 120), clock=Clock((TODAY - 2) * SECONDS_A_DAY))
    assert loose(database) > 0
    before = figures(database)
    packed(database)
    assert loose(database) == 0
    assert figures(database) == before
    assert recounted(database).none
    assert figures(database) == before


def test_few_visits_stay_rows(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visit_packing, "MANY", 20)
    users = [str(UUID(int=number)) for number in range(19)]
    crumbs = [a_crumb(session_id=str(UUID(int=n << 64)), user_id=of) for n, of in enumerate(users)]
    record(database, *crumbs, clock=Clock(TODAY * SECONDS_A_DAY))
    assert packed(database) == 0
    one_more = a_crumb(session_id=str(UUID(int=99 << 64)), user_id=str(UUID(int=99)))
    record(database, one_more, clock=Clock(TODAY * SECONDS_A_DAY))
    assert packed(database) == 20


@pytest.mark.parametrize("seed", range(3))
def test_visits_are_right_after_sessions_changed_and_went(seed: int, database: Database) -> None:
    chosen = random.Random(seed)
    for number in range(4):
        crumbs = some_crumbs(seed * 10 + number, 40)
        record(database, *crumbs, clock=Clock((TODAY - 30 * number) * SECONDS_A_DAY))
        if chosen.random() < 0.8:
            packed(database)
    packed(database)
    people_there = [row["user_id"] for row in database.rows("SELECT user_id FROM users")]

    async def remove(collector: Collector) -> None:
        await collector.removal.forget_user(chosen.choice(people_there))
        await collector.visit_packing.pack()
        await collector.removal.forget_before(TODAY - 50)

    with_collector(database.url, remove)
    assert recounted(database).none


def test_a_day_is_taken_back_from_packed_visits(database: Database) -> None:
    user = str(UUID(int=1))
    run = a_crumb(status="R", session_id=str(UUID(int=7 << 64)), user_id=user)
    record(database, run, clock=Clock(TODAY * SECONDS_A_DAY - 5))
    packed(database)
    end = run._replace(status="C").timed(Timing(0.0, 9.0))
    record(database, end, clock=Clock(TODAY * SECONDS_A_DAY + 5))
    days, only = Period(day_of(TODAY - 1), day_of(TODAY)), Filter(version=run.version)
    found = asked(database, "users_over_time", days, only)
    assert [users_then for users_then, *_ in found.values()] == [0, 1]
    assert recounted(database).none


def test_nothing_is_kept_of_who_is_forgotten(database: Database) -> None:
    users = [str(UUID(int=number)) for number in (1, 2)]
    crumbs = [a_crumb(session_id=str(UUID(int=n << 64)), user_id=of) for n, of in enumerate(users)]
    record(database, *crumbs, clock=Clock(TODAY * SECONDS_A_DAY))
    packed(database)

    async def forget(collector: Collector) -> None:
        for user in users:
            await collector.removal.forget_user(user)

    with_collector(database.url, forget)
    assert database.value("SELECT count(*) FROM packed_visits") == 0
    assert database.value("SELECT count(*) FROM visits") == 0


def test_a_rebuild_finds_what_is_wrong_in_packed_visits(database: Database) -> None:
    user = str(UUID(int=1))
    crumb = a_crumb(session_id=str(UUID(int=7 << 64)), user_id=user)
    record(database, crumb, clock=Clock(TODAY * SECONDS_A_DAY))
    packed(database)
    (visit,) = unpack(database.rows("SELECT * FROM packed_visits")[0])
    assert visit.user_number == number_of_user(user)
    wrong = pack([visit._replace(days=(visit.days[0] | 1, *visit.days[1:]))])["days"]

    async def spoil(collector: Collector) -> None:
        async with collector.connections.writing() as connection:
            await connection.execute(update(packed_visits).values(days=wrong))

    with_collector(database.url, spoil)
    assert recounted(database).wrong_users == 1
    assert recounted(database).none


def test_nothing_is_lost_while_others_write(databases: Databases) -> None:
    """Visits are packed again and again while sessions end, some of them on another day."""

    async def write(collector: Collector, number: int) -> None:
        chosen = random.Random(number)
        users = [str(UUID(int=of)) for of in range(8)]
        for turn in range(12):
            session = str(UUID(int=(number * 100 + turn + 1) << 64))
            run = a_crumb(status="R", session_id=session, user_id=chosen.choice(users))
            await collector.ingestion.record(run)
            ago = Timing(float(chosen.randrange(3) * SECONDS_A_DAY), 9.0)
            await collector.ingestion.record(run._replace(status=chosen.choice("CFS")).timed(ago))

    async def pack_again(collector: Collector, writing: asyncio.Future[Any]) -> None:
        while not writing.done():
            await collector.visit_packing.pack()

    async def run(url: str) -> None:
        clock = Clock(TODAY * SECONDS_A_DAY + 99)
        opened = [Collector.open(url, clock=clock, open_registration=True) for _ in range(2)]
        async with opened[0] as one, opened[1] as other:
            writing = asyncio.gather(*(write((one, other)[n % 2], n) for n in range(6)))
            await asyncio.gather(writing, pack_again(one, writing), pack_again(other, writing))

    with databases.fresh("postgresql") as database:
        asyncio.run(run(database.url))
        assert recounted(database).none


def test_a_day_is_taken_back_from_visits_that_are_being_packed(databases: Databases) -> None:
    """They are gone from the one table, and not yet in the other."""
    user, session = str(UUID(int=1)), str(UUID(int=7 << 64))
    run = a_crumb(status="R", session_id=session, user_id=user)
    end = run._replace(status="C").timed(Timing(0.0, 9.0))

    async def meet(url: str) -> None:
        clock = Clock(TODAY * SECONDS_A_DAY + 5)
        async with Collector.open(url, clock=clock) as one, Collector.open(url) as other:
            async with other.connections.writing() as waiting:
                await waiting.execute(text("LOCK TABLE packed_visits IN SHARE MODE"))
                packing_them = asyncio.create_task(other.visit_packing.pack())
                await asyncio.sleep(0.5)
                ending = asyncio.create_task(one.ingestion.record(end))
                await asyncio.sleep(0.5)
            await asyncio.gather(packing_them, ending)

    with databases.fresh("postgresql") as database:
        record(database, run, clock=Clock(TODAY * SECONDS_A_DAY - 5))
        asyncio.run(meet(database.url))
        assert recounted(database).none


def test_a_collector_packs_by_itself(database: Database) -> None:
    user = str(UUID(int=1))
    crumb = a_crumb(session_id=str(UUID(int=7 << 64)), user_id=user)
    record(database, crumb, clock=Clock(TODAY * SECONDS_A_DAY))

    keep_up_until(database.url, lambda: not loose(database))


@pytest.mark.parametrize("how", ["rename", "remove"])
def test_a_project_takes_its_visits_along_while_they_are_packed(
    how: str, databases: Databases
) -> None:
    """Packing begins while the table of packed visits was handled, and that of visits was not."""
    users = [str(UUID(int=number)) for number in range(1, 12)]
    crumbs = [
        a_crumb(session_id=str(UUID(int=n + 1 << 64)), user_id=of) for n, of in enumerate(users)
    ]

    async def run(url: str) -> None:
        async with (
            Collector.open(url, clock=Clock(TODAY * SECONDS_A_DAY)) as one,
            Collector.open(url, clock=Clock(TODAY * SECONDS_A_DAY)) as other,
        ):
            registration = await one.connections.transact(partial(unregister, "a/b"))
            assert registration is not None
            renaming = partial(rename_rows, "a/b", "x/y", registration)
            async with other.connections.writing() as waiting:
                # Between both tables, in the order of their names, whoever handles all comes here.
                await waiting.execute(text("LOCK TABLE profiles IN EXCLUSIVE MODE"))
                moving: asyncio.Task[Any] = asyncio.create_task(
                    one.connections.transact(renaming)
                    if how == "rename"
                    else one.removal.forget_project("a/b")
                )
                await asyncio.sleep(0.5)
                packing_them = asyncio.create_task(one.visit_packing.pack())
                await asyncio.sleep(0.5)
            await moving
            await packing_them

    with databases.fresh("postgresql") as database:
        record(database, *crumbs, clock=Clock(TODAY * SECONDS_A_DAY))
        asyncio.run(run(database.url))
        for table in ("visits", "packed_visits"):
            assert database.value(f"SELECT count(*) FROM {table} WHERE project = 'a/b'") == 0
        assert recounted(database).none


def test_a_row_that_cannot_be_read_is_found_and_made_anew(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """Until then breadcrumbs are taken, and what is wrong is said."""
    user = str(UUID(int=1))
    crumb = a_crumb(session_id=str(UUID(int=7 << 64)), user_id=user)
    record(database, crumb, clock=Clock(TODAY * SECONDS_A_DAY))
    packed(database)

    async def spoil(collector: Collector) -> None:
        async with collector.connections.writing() as connection:
            await connection.execute(update(packed_visits).values(days=b"no days"))

    with_collector(database.url, spoil)
    end = crumb._replace(status="F", status_desc="failed", error_type="E")
    record(database, end, clock=Clock(TODAY * SECONDS_A_DAY + 5))
    assert packed(database) == 0
    assert "cannot be read" in caplog.text
    assert not recounted(database).none
    assert recounted(database).none
    days, only = Period.ending(day_of(TODAY), 1), Filter(version=crumb.version)
    assert asked(database, "users", days, only).active == 1


def test_what_is_packed_is_unpacked() -> None:
    chosen = random.Random(1)
    visits = [
        Visit(
            chosen.getrandbits(47),
            chosen.getrandbits(47),
            tuple(chosen.getrandbits(56) for _ in range(4)),
        )
        for _ in range(500)
    ]
    assert unpack(pack(visits)) == sorted(visits)
    assert unpack(pack([])) == []


def test_days_are_those_of_some_users_and_of_an_ending() -> None:
    those = [Visit(user, 10 + user, (0b111, 0b001, 0b010, 0b100)) for user in range(9)]
    row = pack(those)
    assert list(days_of(row["keys"], row["days"], 3, 5)) == [(13, 3, 0b111), (14, 4, 0b111)]
    assert list(days_of(row["keys"], row["failed"], 8, 99)) == [(18, 8, 0b010)]
    assert list(days_of(row["keys"], row["suspended"], 9, 99)) == []


@pytest.mark.parametrize("part", [0, 1, 7, 255, 256])
def test_a_sample_begins_in_one_part_of_what_is_packed(part: int) -> None:
    """Whoever looks for users from one number on to another knows in which parts they are."""
    number = first_number(part)
    assert part_of(number) == part * PARTS // SAMPLES
    if number:
        assert part_of(number - 1) == (part - 1) * PARTS // SAMPLES
