"""Tokens: shown once, kept as a hash, and gone when they are revoked."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, TypeVar

import pytest

from migas.collector.collector import Collector
from migas.collector.database.breaker import REST_SECONDS
from migas.collector.tokens import USE_SECONDS, Access
from tests.collector.conftest import BUSY_SECONDS
from tests.collector.counts.test_sessions import Clock

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import AbstractContextManager

    from tests.collector.databases import Database


Result = TypeVar("Result")


def with_clock(database: Database, work: Callable[[Collector, Clock], Awaitable[Result]]) -> Result:
    clock = Clock()

    async def run() -> Result:
        async with Collector.open(database.url, clock=clock) as collector:
            return await work(collector, clock)

    return asyncio.run(run())


def test_a_token_opens_its_project_or_everything(database: Database) -> None:
    async def work(collector: Collector, _clock: Clock) -> None:
        scoped = await collector.tokens.verify(await collector.tokens.issue("a/b", "the lab's"))
        assert scoped is not None
        assert (scoped.allows("a/b"), scoped.allows("a/bc"), scoped.is_root) == (True, False, False)
        root = await collector.tokens.verify(await collector.tokens.issue(None))
        assert root is not None
        assert root.allows("a/b")
        assert root.is_root

    with_clock(database, work)


def test_no_secret_is_in_the_database(database: Database) -> None:
    async def work(collector: Collector, _clock: Clock) -> str:
        return await collector.tokens.issue("a/b")

    token = with_clock(database, work)
    secret = token.partition("_")[2].partition("_")[2]
    assert len(secret) >= 40
    assert secret not in str(database.rows("SELECT * FROM tokens"))


@pytest.mark.parametrize(
    "change",
    [
        lambda token: token[:-1],
        lambda token: token + "A",
        lambda token: token[:-1] + ("A" if token[-1] != "A" else "B"),
        lambda token: token.upper(),
        lambda token: token.removeprefix("migas_"),
        lambda token: "_".join(token.split("_")[:2]),
        lambda token: "migas_" + "0" * 16 + "_" + token.split("_", 2)[2],
        lambda token: "",
        lambda token: "migas__",
        lambda token: "' OR 1=1 --",
        lambda token: "migas_\0_\ud83d",
        lambda token: "migas_" + "a" * 10_000,
    ],
)
def test_what_is_not_the_token_opens_nothing(
    change: Callable[[str], str], database: Database
) -> None:
    async def work(collector: Collector, _clock: Clock) -> None:
        token = await collector.tokens.issue(None)
        assert await collector.tokens.verify(change(token)) is None
        assert await collector.tokens.verify(token) is not None

    with_clock(database, work)


def test_a_revoked_token_opens_nothing(database: Database) -> None:
    async def work(collector: Collector, _clock: Clock) -> None:
        whole, by_id = [await collector.tokens.issue("a/b") for _ in range(2)]
        assert await collector.tokens.revoke(whole)
        assert await collector.tokens.revoke(by_id.split("_")[1])
        for token in (whole, by_id):
            assert await collector.tokens.verify(token) is None
            assert not await collector.tokens.revoke(token)

    with_clock(database, work)


def test_whoever_guesses_an_id_revokes_nothing_with_a_wrong_secret(database: Database) -> None:
    async def work(collector: Collector, _clock: Clock) -> None:
        token = await collector.tokens.issue("a/b")
        assert not await collector.tokens.revoke(token + "x")
        assert await collector.tokens.verify(token) == Access(token.split("_")[1], "a/b")

    with_clock(database, work)


def test_a_use_is_noted_but_not_each_time(database: Database) -> None:
    async def work(collector: Collector, clock: Clock) -> None:
        token = await collector.tokens.issue("a/b", "the lab's")
        (record,) = await collector.tokens.records()
        assert (record.project, record.description) == ("a/b", "the lab's")
        assert (record.issued, record.last_used, record.revoked) == (clock.now, None, None)
        first = clock.now
        for later, noted in ((0, 0), (USE_SECONDS - 1, 0), (USE_SECONDS, USE_SECONDS)):
            clock.now = first + later
            await collector.tokens.verify(token)
            (record,) = await collector.tokens.records()
            assert record.last_used == first + noted

    with_clock(database, work)


def test_a_token_is_good_while_the_database_is_busy(
    busy: Callable[[], AbstractContextManager[None]], sqlite: Database
) -> None:
    async def work(collector: Collector, clock: Clock) -> None:
        token = await collector.tokens.issue("a/b")
        with busy():
            began = time.monotonic()
            found = await asyncio.gather(*(collector.tokens.verify(token) for _ in range(10)))
            assert found == [Access(token.split("_")[1], "a/b")] * 10
            assert time.monotonic() - began < 2 * BUSY_SECONDS
        clock.now += REST_SECONDS
        await collector.tokens.verify(token)
        (record,) = await collector.tokens.records()
        assert record.last_used == clock.now

    with_clock(sqlite, work)
