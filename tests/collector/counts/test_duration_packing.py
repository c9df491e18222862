"""Packed durations: the same under every filter, whichever are packed, whatever happens then."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

import pytest
from sqlalchemy import text, update

from migas.collector.collector import Collector
from migas.collector.counts import duration_packing, durations_anew, reading
from migas.collector.counts.durations import BUCKETS, SHORTEST_BUCKET, bucket
from migas.collector.counts.filters import Filter
from migas.collector.counts.packed_durations import (
    add_to,
    cell,
    of_all,
    of_days,
    of_span,
    pack,
    parts,
    unpack,
)
from migas.collector.counts.slices import SPANS
from migas.collector.database.tables import packed_durations
from migas.collector.days import SECONDS_A_DAY, Period, day_of
from migas.collector.ingestion.timing import Timing
from migas.collector.projects.moves import delete_rows, rename_rows, unregister
from tests.collector.counts.test_sessions import Clock, record, recounted
from tests.collector.counts.test_visit_packing import keep_up_until, packed_by
from tests.collector.databases import with_collector
from tests.collector.test_collector import a_crumb

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from migas.collector.counts.lasting import Durations
    from migas.collector.counts.slices import Span
    from tests.collector.databases import Database, Databases

TODAY = 20_000
NOON = TODAY * SECONDS_A_DAY + SECONDS_A_DAY // 2

PERIODS = [
    Period(day_of(TODAY - 9), day_of(TODAY)),
    Period(day_of(TODAY - 139), day_of(TODAY - 3), by="week"),
    Period(day_of(TODAY - 139), day_of(TODAY), by="month"),
    Period(day_of(TODAY - 70), day_of(TODAY - 70)),
]

FILTERS = [
    Filter(),
    Filter(container="docker"),
    Filter(platform="linux", container="docker"),
    Filter(version="2.0"),
    Filter(version="2.0", container="docker"),
    Filter(outcome="completed", platform="darwin"),
    Filter(container="nowhere"),
]


class Run(NamedTuple):
    """What is known of a run that was recorded."""

    session: str
    day: int
    version: str
    status: str
    platform: str
    container: str
    seconds: float

    @property
    def crumb(self) -> Any:
        """The breadcrumb that says so at `NOON`."""
        fields = {name: getattr(self, name) for name in ("status", "platform", "container")}
        crumb = a_crumb(session_id=self.session, project_version=self.version, **fields)
        return crumb.timed(Timing(float((TODAY - self.day) * SECONDS_A_DAY), self.seconds))


def some_runs(seed: int, number: int, first: int = TODAY - 29) -> list[Run]:
    """Runs of a month, most of which completed; a seed gives the same ones again."""
    chosen = random.Random(seed)
    return [
        Run(
            str(UUID(int=(seed << 32 | turn) + 1 << 64)),
            chosen.randrange(first, first + 30),
            chosen.choice(["1.0", "1.1", "2.0"]),
            chosen.choice("CCCF"),
            chosen.choice(["linux", "darwin"]),
            chosen.choice(["docker", "apptainer", "unknown"]),
            round(chosen.lognormvariate(3, 2), 1),
        )
        for turn in range(number)
    ]


def put(database: Database, runs: Iterable[Run]) -> None:
    """Record runs, each at most 25 days after its end."""
    by_age = groupby(sorted(runs, key=lambda run: -run.day), lambda run: (TODAY - run.day) // 25)
    for months, those in by_age:
        late = months * 25
        crumbs = [run._replace(day=run.day + late).crumb for run in those]
        record(database, *crumbs, clock=Clock(NOON - late * SECONDS_A_DAY))


def of_months() -> list[Run]:
    """Runs of five months."""
    months = (some_runs(month, 60, TODAY - 29 - 30 * month) for month in range(5))
    return [run for runs in months for run in runs]


def told(runs: Iterable[Run], period: Period, only: Filter) -> Any:
    """How long those runs took that are meant, by time and by version."""
    by_time: dict[Any, Counter[int]] = {}
    by_version: dict[str, Counter[int]] = {}
    for run in runs:
        wanted = only.with_(outcome=None).values
        alike = all(getattr(run, name) == value for name, value in wanted.items())
        if alike and run.status == "C" and period.first <= day_of(run.day) <= period.last:
            start = period.bucket(day_of(run.day))
            by_time.setdefault(start, Counter())[bucket(run.seconds)] += 1
            by_version.setdefault(run.version, Counter())[bucket(run.seconds)] += 1
    return by_time, by_version


def all_told(runs: Iterable[Run]) -> list[Any]:
    """The same of each period and filter."""
    runs = list(runs)
    return [told(runs, period, only) for period in PERIODS for only in FILTERS]


def asked(database: Database) -> list[Any]:
    """What the database says of each period and filter."""
    found: list[Any] = []

    async def work(collector: Collector) -> None:
        for period in PERIODS:
            for only in FILTERS:
                found.append(_plain(await collector.reports.durations("a/b", period, only)))
                resolved = await collector.reports.resolved("a/b", only)
                of_pages = await collector.reports.durations("a/b", period, resolved)
                assert _plain(of_pages) == found[-1]
                together = await collector.reports.lasted("a/b", period, only)
                assert together == sum(of_pages.by_time.values(), Counter())

    with_collector(database.url, work)
    return found


def _plain(durations: Durations) -> Any:
    return dict(durations.by_time), dict(durations.by_version)


packed = partial(packed_by, "duration_packing")


def loose(database: Database) -> int:
    """How many rows there are that are not packed."""
    number: int = database.value("SELECT count(*) FROM durations")
    return number


@pytest.fixture(autouse=True)
def every_row_is_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    """However few there are; and hardly any of them at once."""
    monkeypatch.setattr(duration_packing, "MANY", 1)
    monkeypatch.setattr(durations_anew, "MANY", 1)
    monkeypatch.setattr(duration_packing, "AT_ONCE", 7)


def test_durations_are_exact_under_every_filter_packed_or_not(database: Database) -> None:
    runs = of_months()
    put(database, runs)
    assert asked(database) == all_told(runs)
    number = loose(database)
    assert packed(database) == number > 100
    assert loose(database) == 0
    assert asked(database) == all_told(runs)
    assert packed(database) == 0
    assert recounted(database).none
    assert asked(database) == all_told(runs)


def test_what_is_counted_later_adds_up_with_what_is_packed(database: Database) -> None:
    runs, more = some_runs(1, 80), some_runs(2, 80)
    put(database, runs)
    packed(database)
    put(database, more)
    assert loose(database) > 0
    assert asked(database) == all_told([*runs, *more])
    packed(database)
    assert loose(database) == 0
    assert asked(database) == all_told([*runs, *more])
    assert recounted(database).none


def test_runs_that_turn_out_otherwise_are_taken_back(database: Database) -> None:
    """A breadcrumb that comes later says that they failed, or ended on another day."""
    runs = some_runs(3, 60)
    put(database, runs)
    packed(database)
    changed = [
        run._replace(status="F")
        if number % 2
        else run._replace(version="3.0", day=TODAY, seconds=9)
        for number, run in enumerate(runs[:40])
    ]
    put(database, changed)
    now = [*changed, *runs[40:]]
    assert asked(database) == all_told(now)
    packed(database)
    assert loose(database) == 0
    assert asked(database) == all_told(now)
    assert recounted(database).none


def test_nothing_is_kept_of_runs_that_are_forgotten(database: Database) -> None:
    put(database, of_months())
    packed(database)

    async def forget(collector: Collector) -> None:
        await collector.removal.forget_before(TODAY + 1)
        await collector.duration_packing.pack()

    with_collector(database.url, forget)
    assert database.value("SELECT count(*) FROM packed_durations") == 0
    assert loose(database) == 0
    assert recounted(database).none


@pytest.mark.parametrize("named", [1, 1000])
def test_some_versions_are_told_apart(
    named: int, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many profiles a filter leaves, and whether or not it asks for a version, too."""
    monkeypatch.setattr(reading, "MAX_NAMED", named)
    runs = of_months()
    put(database, runs[:150])
    packed(database)
    put(database, runs[150:])

    async def work(collector: Collector) -> None:
        for only in (Filter(), Filter(platform="linux"), Filter(version="1.0", platform="linux")):
            resolved = await collector.reports.resolved("a/b", only)
            for versions in ({"1.0", "2.0"}, {"2.0"}, set[str]()):
                of = await collector.reports.durations("a/b", PERIODS[2], resolved, versions)
                every, by_version = told(runs, PERIODS[2], only)
                some = {name: of for name, of in by_version.items() if name in versions}
                assert _plain(of) == (every, some)

    with_collector(database.url, work)


def test_few_rows_stay_rows(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duration_packing, "MANY", 20)
    runs = [run._replace(status="C", version="1.0", day=TODAY) for run in some_runs(4, 40)]
    put(database, runs[:9])
    assert packed(database) == 0
    put(database, runs[9:])
    assert packed(database) > 40


def test_a_few_more_are_not_worth_writing_all_anew(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(database, some_runs(5, 100))
    packed(database)
    monkeypatch.setattr(duration_packing, "WORTH", 0.01)
    put(database, some_runs(6, 1))
    put(database, [some_runs(6, 1)[0]._replace(status="C")])
    assert packed(database) == 0
    assert loose(database) > 0


def test_one_of_two_that_pack_at_once_leaves_it_to_the_other(databases: Databases) -> None:
    runs = some_runs(7, 90)

    async def pack_twice(url: str) -> int:
        async with Collector.open(url) as one, Collector.open(url) as other:
            both = (one, other, one, other)
            return sum(await asyncio.gather(*(each.duration_packing.pack() for each in both)))

    for kind in ("sqlite", "postgresql"):
        with databases.fresh(kind) as database:
            put(database, runs)
            number = loose(database)
            assert asyncio.run(pack_twice(database.url)) <= number
            assert asked(database) == all_told(runs)
            assert recounted(database).none


def test_nothing_is_lost_while_others_write(databases: Databases) -> None:
    """Durations are packed again and again while sessions end, some of them twice."""

    async def write(collector: Collector, number: int) -> None:
        for run in some_runs(number, 12, TODAY - 25):
            await collector.ingestion.record(run.crumb)
            await collector.ingestion.record(run._replace(version="3.0", day=TODAY).crumb)

    async def pack_again(collector: Collector, writing: asyncio.Future[Any]) -> None:
        while not writing.done():
            await collector.duration_packing.pack()

    async def run_all(url: str) -> None:
        opened = [Collector.open(url, clock=Clock(NOON), open_registration=True) for _ in range(2)]
        async with opened[0] as one, opened[1] as other:
            writing = asyncio.gather(*(write((one, other)[n % 2], n) for n in range(6)))
            await asyncio.gather(writing, pack_again(one, writing), pack_again(other, writing))

    with databases.fresh("postgresql") as database:
        asyncio.run(run_all(database.url))
        assert recounted(database).none


def test_nothing_comes_back_of_a_project_that_went_meanwhile(database: Database) -> None:
    """Its rows were read, and are gone when others are about to be put in their place."""
    put(database, some_runs(8, 30))

    async def pack_late(collector: Collector) -> None:
        at_once = collector.connections.transact

        async def late(work: Any) -> Any:
            await at_once(partial(delete_rows, "a/b"))
            return await at_once(work)

        collector.connections.transact = late  # type: ignore[method-assign]
        await collector.duration_packing.pack()

    with_collector(database.url, pack_late)
    assert database.value("SELECT count(*) FROM packed_durations") == 0


@pytest.mark.parametrize("how", ["rename", "remove"])
def test_a_project_takes_its_durations_along_while_they_are_packed(
    how: str, databases: Databases
) -> None:
    async def run(url: str) -> None:
        async with (
            Collector.open(url, clock=Clock(NOON)) as one,
            Collector.open(url, clock=Clock(NOON)) as other,
        ):
            registration = await one.connections.transact(partial(unregister, "a/b"))
            assert registration is not None
            renaming = partial(rename_rows, "a/b", "x/y", registration)
            async with other.connections.writing() as waiting:
                await waiting.execute(text("LOCK TABLE packed_durations IN SHARE MODE"))
                packing_them = asyncio.create_task(one.duration_packing.pack())
                await asyncio.sleep(0.5)  # until it has taken rows from the one table
                moving: asyncio.Task[Any] = asyncio.create_task(
                    one.connections.transact(renaming)
                    if how == "rename"
                    else one.removal.forget_project("a/b")
                )
                await asyncio.sleep(0.5)
            await moving
            await packing_them

    with databases.fresh("postgresql") as database:
        put(database, some_runs(8, 30))
        asyncio.run(run(database.url))
        for table in ("durations", "packed_durations"):
            assert database.value(f"SELECT count(*) FROM {table} WHERE project = 'a/b'") == 0
        assert recounted(database).none


def test_a_rebuild_finds_what_is_wrong(database: Database) -> None:
    runs = some_runs(9, 60)
    put(database, runs)
    packed(database)

    def spoil(**values: bytes) -> None:
        async def work(collector: Collector) -> None:
            async with collector.connections.writing() as connection:
                some = packed_durations.c.span == 7
                await connection.execute(update(packed_durations).where(some).values(**values))

        with_collector(database.url, work)
        assert recounted(database).wrong_counts > 0
        assert recounted(database).none
        assert asked(database) == all_told(runs)

    spoil(by_profile=pack({cell(1, 0, 5): 3}))
    spoil(of_all=pack({}))
    spoil(of_all=b"nothing")
    database.execute("INSERT INTO durations VALUES ('a/b', '1.0', ?, 7, 7, 0, 1)", TODAY - 9)
    assert recounted(database).wrong_counts == 1
    assert recounted(database).none
    database.execute("DELETE FROM packed_durations WHERE span = 1")
    assert recounted(database).wrong_counts > 0
    database.execute("UPDATE packed_durations SET version = '9.9' WHERE version = '1.0'")
    assert recounted(database).wrong_counts > 0
    assert asked(database) == all_told(runs)


def test_a_row_that_cannot_be_read_is_said_and_made_anew(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    runs, more = some_runs(10, 60), some_runs(11, 60)
    put(database, runs)
    packed(database)

    async def spoil(collector: Collector) -> None:
        async with collector.connections.writing() as connection:
            await connection.execute(update(packed_durations).values(by_profile=b"no durations"))

    with_collector(database.url, spoil)
    put(database, more)
    assert packed(database) == 0
    assert "packed durations of ('a/b', '', " in caplog.text
    assert "migas db rebuild" in caplog.text
    assert not recounted(database).none
    assert asked(database) == all_told([*runs, *more])


def test_a_collector_packs_by_itself(database: Database) -> None:
    put(database, some_runs(12, 20))

    keep_up_until(database.url, lambda: not loose(database))


def some_cells(seed: int, most: int, number: int = 300) -> dict[int, int]:
    """Counts of a block by day."""
    chosen = random.Random(seed)
    profiles = [chosen.getrandbits(47) for _ in range(9)]
    return {
        cell(chosen.choice(profiles), chosen.randrange(56), chosen.randrange(-77, 435)): (
            chosen.randint(1, most)
        )
        for _ in range(number)
    }


@pytest.mark.parametrize("most", [1, 255, 256, 65_535, 65_536, 2**31 - 1])
def test_what_is_packed_is_unpacked(most: int) -> None:
    cells = some_cells(most, most)
    cells[next(iter(cells))] = most
    assert unpack(pack(cells)) == cells
    assert unpack(pack({cell(5, 3, 2): -1})) == {cell(5, 3, 2): -1}
    assert unpack(pack({})) == {}


def sums(
    packed: bytes, places: Iterable[int], profiles: Collection[int] | None
) -> dict[tuple[int, int], int]:
    """Numbers of runs by place and bucket."""
    numbers = {place: [0] * BUCKETS for place in places}
    add_to(numbers, packed, profiles)
    return {
        (place, of): runs
        for place, known in numbers.items()
        for of, runs in enumerate(known, SHORTEST_BUCKET)
        if runs
    }


@pytest.mark.parametrize("span", SPANS)
def test_days_are_added_up_and_found_by_place_and_profile(span: Span) -> None:
    cells = some_cells(span, 9)
    profiles = sorted({profile for profile, *_ in parts(cells)})[::2]
    rows = of_span(cells, span)
    if span == 1:
        assert of_days(rows) == cells
    for first, row in rows.items():
        for places in (range(8), [1, 2, 4], []):
            for some in (None, profiles):
                expected: Counter[tuple[int, int]] = Counter()
                for profile, day, of, runs in parts(cells):
                    place = (day - first) // span
                    is_meant = some is None or profile in some
                    is_here = 0 <= day - first < (7 if span == 1 else 56)
                    if is_here and is_meant and place in places:
                        expected[place, of] += runs
                found = sums(pack(row), places, some)
                assert found == expected
                if some is None:
                    assert sums(pack(of_all(row)), places, None) == found


@pytest.mark.parametrize("seed", range(40))
def test_what_nobody_packed_is_refused(seed: int) -> None:
    """Never with another error than one that says so; a file may be damaged anywhere."""
    chosen = random.Random(seed)
    row = bytearray(pack(some_cells(seed, 300)))
    for _ in range(3):
        row[chosen.randrange(len(row))] ^= 1 << chosen.randrange(8)
    for spoiled in (bytes(row), bytes(row[: chosen.randrange(len(row))]), b""):
        with pytest.raises(ValueError, match=r"."):
            unpack(spoiled)
        with pytest.raises(ValueError, match=r"."):
            sums(spoiled, range(8), None)
