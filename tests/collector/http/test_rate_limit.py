"""How many requests an address may make, and what is known of it."""

from __future__ import annotations

import asyncio
import json
import random
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from migas.collector.collector import Collector
from migas.collector.database.breaker import REST_SECONDS
from migas.collector.http.rate_limit import FREE, REQUEST_BYTES, RateLimiter, network
from tests.collector.conftest import BUSY_SECONDS
from tests.collector.counts.test_sessions import Clock
from tests.collector.http.test_exchanges import FOLDER

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import AbstractContextManager

    from tests.collector.databases import Database
    from tests.collector.live import LiveServer

MINUTE = 60
ADDRESS = "192.0.2.1"
Result = TypeVar("Result")


def counted(
    database: Database,
    work: Callable[[list[RateLimiter], Clock], Awaitable[Result]],
    limit: int = 100,
    processes: int = 2,
) -> Result:
    """The result of what is done with the limiters of two processes, or of more."""
    clock = Clock()

    async def run() -> Result:
        async with AsyncExitStack() as stack:
            collectors = [
                await stack.enter_async_context(Collector.open(database.url, clock=clock))
                for _ in range(processes)
            ]
            return await work(
                [
                    RateLimiter(collector.connections, collector.clock, limit)
                    for collector in collectors
                ],
                clock,
            )

    return asyncio.run(run())


async def passing(limiter: RateLimiter, number: int, address: str = ADDRESS) -> int:
    """How many of so many requests at once may be answered."""
    delays = await asyncio.gather(*(limiter.delay(address) for _ in range(number)))
    return delays.count(None)


@pytest.mark.parametrize("limit", [1, FREE, FREE + 1, 100, 1000])
def test_so_many_may_pass_in_a_minute_and_no_more(limit: int, database: Database) -> None:
    async def work(limiters: list[RateLimiter], clock: Clock) -> int:
        return await passing(limiters[0], limit) + await passing(limiters[0], limit)

    assert counted(database, work, limit) == limit


@pytest.mark.parametrize("before", [1, 10, FREE, 60])
def test_what_an_answer_is_worth_counts_also_in_other_processes(
    before: int, database: Database
) -> None:
    async def work(limiters: list[RateLimiter], clock: Clock) -> int:
        passed = await passing(limiters[0], before)
        await limiters[0].charge(ADDRESS, 70)
        for limiter in limiters:
            passed += await passing(limiter, 200)
        return passed

    assert counted(database, work) <= max(30, before) + FREE


def test_an_address_does_not_count_for_another(database: Database) -> None:
    async def work(limiters: list[RateLimiter], clock: Clock) -> tuple[int, int]:
        return await passing(limiters[0], 200), await passing(limiters[0], 200, "192.0.2.2")

    assert counted(database, work) == (100, 100)


def test_processes_share_what_may_pass(database: Database) -> None:
    async def work(limiters: list[RateLimiter], clock: Clock) -> int:
        passed = 0
        for _ in range(30):
            for limiter in limiters:
                passed += await passing(limiter, 10)
            clock.now += 0.9  # the count is asked for again after a second
        return passed

    assert 100 <= counted(database, work) <= 100 + FREE


@pytest.mark.slow
@pytest.mark.parametrize("busiest", [1, 5])
def test_many_processes_let_nearly_as_many_pass_as_one(busiest: int, database: Database) -> None:
    weights = [busiest, *([1] * 12)]

    async def work(limiters: list[RateLimiter], clock: Clock) -> int:
        chosen = random.Random(1).choices(limiters, weights, k=3000)
        delays = [await limiter.delay(ADDRESS) for limiter in chosen]
        return delays.count(None)

    assert 950 <= counted(database, work, 1000, len(weights)) <= 1000 + FREE * len(weights)


def test_refused_requests_do_not_count(database: Database) -> None:
    async def work(limiters: list[RateLimiter], clock: Clock) -> list[int]:
        passed = [await passing(limiters[0], 5000)]
        clock.now += 2 * MINUTE
        return [*passed, await passing(limiters[0], 150)]

    assert counted(database, work) == [100, 100]


def test_whoever_waits_as_long_as_told_may_go_on(database: Database) -> None:
    async def work(limiters: list[RateLimiter], clock: Clock) -> None:
        for _ in range(5):
            while (delay := await limiters[0].delay(ADDRESS)) is None:
                pass
            assert 1 <= delay <= MINUTE + 1
            clock.now += delay

    counted(database, work)


def test_a_new_minute_remembers_the_last_one(database: Database) -> None:
    async def work(limiters: list[RateLimiter], clock: Clock) -> list[int]:
        clock.now += MINUTE - 1
        passed = [await passing(limiters[0], 150)]
        clock.now += MINUTE / 2
        return [*passed, await passing(limiters[0], 150)]

    first, second = counted(database, work)
    assert first == 100
    assert second <= 55


def test_a_database_that_is_away_refuses_nobody(database: Database) -> None:
    async def work(limiters: list[RateLimiter], clock: Clock) -> int:
        database.execute("DROP TABLE request_counts")
        return await passing(limiters[0], 150)

    assert counted(database, work) == 150


def test_a_database_that_is_busy_is_waited_for_once(
    busy: Callable[[], AbstractContextManager[None]], sqlite: Database
) -> None:
    async def work(limiters: list[RateLimiter], clock: Clock) -> None:
        with busy():
            began = time.monotonic()
            assert await passing(limiters[0], 150) == 150
            assert await passing(limiters[0], 150, "192.0.2.2") == 150
            assert time.monotonic() - began < 2 * BUSY_SECONDS
        clock.now += REST_SECONDS
        assert await passing(limiters[0], 150) == 100

    counted(sqlite, work)


def test_the_key_of_another_process_is_read_while_the_database_is_busy(
    busy: Callable[[], AbstractContextManager[None]], sqlite: Database
) -> None:
    async def work(limiters: list[RateLimiter], clock: Clock) -> None:
        assert await passing(limiters[0], 1) == 1
        with busy():
            began = time.monotonic()
            assert await passing(limiters[1], FREE) == FREE
            assert time.monotonic() - began < BUSY_SECONDS

    counted(sqlite, work)


def test_no_address_is_kept_and_no_hash_outlives_its_key(database: Database) -> None:
    async def work(limiters: list[RateLimiter], clock: Clock) -> list[Any]:
        kept = []
        for _ in range(2):
            assert await passing(limiters[0], 60) == 60
            kept.append(
                [database.rows(f"SELECT * FROM {table}") for table in ("salts", "request_counts")]
            )
            clock.now += 86400
        return kept

    (salts, counts), (next_salts, next_counts) = counted(database, work)
    assert len(salts) == len(counts) == len(next_salts) == len(next_counts) == 1
    assert salts[0]["salt"] != next_salts[0]["salt"]
    assert counts[0]["address"] != next_counts[0]["address"]
    assert ADDRESS not in str([salts, counts])


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("testclient", "testclient", True),
    ],
)
def test_what_is_one_address(one: str, other: str, same: bool) -> None:
    assert (network(one) == network(other)) is same


@pytest.mark.parametrize("name", ["ratelimit_gql_6_of_5", "ratelimit_rest_exceeded"])
def test_recorded_exchange(name: str, live_server: LiveServer, database: Database) -> None:
    recorded = json.loads((FOLDER / f"{name}.json").read_text())
    with live_server.collector(database, clock=Clock(), limit=5) as collector:
        for _ in range(6):
            reply = collector.send(
                recorded["path"], recorded["request_body"].encode(), recorded["request_headers"]
            )
        assert collector.send("/healthz", b"", {}, "GET").status == 200
        assert collector.send("/", b"", {}, "GET").status == 429
    assert reply.status == recorded["status"] == 429
    assert reply.json() == json.loads(recorded["response_body"])
    assert reply.headers["X-Backend-Server"].startswith("migas@")
    assert 1 <= int(reply.headers["Retry-After"]) <= MINUTE + 1
    assert database.value("SELECT count(*) FROM crumbs") == 5


@pytest.mark.parametrize(
    ("asked", "query", "aliases"),
    [
        ("GET /openapi.json", "", 0),
        ("POST /graphql", "{" + " ".join(f"a{n}:__typename" for n in range(9)) + "}", 9),
    ],
)
def test_long_answers_and_aliases_count_as_further_requests(
    asked: str, query: str, aliases: int, live_server: LiveServer, database: Database
) -> None:
    method, path = asked.split()
    with live_server.collector(database, clock=Clock(), limit=20) as collector:
        replies = [
            collector.send(path, json.dumps({"query": query}).encode(), None, method)
            for _ in range(21)
        ]
    further = aliases + len(replies[0].body) // REQUEST_BYTES
    assert further > 0
    assert [reply.status for reply in replies].count(200) == -(-20 // (1 + further))
