"""Group commit: who is answered when, and what a failure means to whom."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from migas.collector.ingestion import group_commit
from migas.collector.ingestion.group_commit import LULL, GroupWriter

if TYPE_CHECKING:
    from collections.abc import Sequence


class Ledger:
    """Commits that take as long as a test wants them to."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.may_commit = asyncio.Event()
        self.may_commit.set()

    async def commit(self, batch: Sequence[int]) -> list[str]:
        await self.may_commit.wait()
        if -1 in batch:
            raise OSError("disk full")
        self.batches.append(list(batch))
        return [f"stored {item}" for item in batch]


def test_each_sender_gets_the_result_of_its_own_item() -> None:
    async def scenario() -> None:
        writer = GroupWriter(Ledger().commit)
        results = await asyncio.gather(*(writer.submit(number) for number in range(5)))
        assert results == [f"stored {number}" for number in range(5)]
        await writer.close()

    asyncio.run(scenario())


def test_what_arrives_during_a_commit_shares_the_next_one() -> None:
    async def scenario() -> None:
        ledger = Ledger()
        ledger.may_commit.clear()
        writer = GroupWriter(ledger.commit)
        first = asyncio.create_task(writer.submit(0))
        await asyncio.sleep(0.01)
        others = [asyncio.create_task(writer.submit(number)) for number in range(1, 6)]
        await asyncio.sleep(0.01)
        ledger.may_commit.set()
        await asyncio.gather(first, *others)
        await writer.close()
        assert ledger.batches == [[0], [1, 2, 3, 4, 5]]

    asyncio.run(scenario())


def test_a_batch_has_a_largest_size() -> None:
    async def scenario() -> None:
        ledger = Ledger()
        writer = GroupWriter(ledger.commit, max_batch=2)
        await asyncio.gather(*(writer.submit(number) for number in range(5)))
        await writer.close()
        assert ledger.batches == [[0, 1], [2, 3], [4]]

    asyncio.run(scenario())


def test_those_who_were_answered_together_are_waited_for() -> None:
    async def scenario() -> None:
        ledger = Ledger()
        writer = GroupWriter(ledger.commit)

        async def client(number: int) -> None:
            for _ in range(20):
                await writer.submit(number)
                for _ in range(number):  # they come back one after the other
                    await asyncio.sleep(0)

        async with asyncio.timeout(60):
            await asyncio.gather(*(client(number) for number in range(8)))
        await writer.close()
        assert [len(batch) for batch in ledger.batches] == [8] * 20

    asyncio.run(scenario())


def test_when_the_last_of_them_is_there_nobody_waits_any_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(group_commit, "LULL", 1000.0)

    async def scenario() -> None:
        ledger = Ledger()
        writer = GroupWriter(ledger.commit)

        async def client(number: int) -> None:
            await writer.submit(number)
            await asyncio.sleep(0.01 * number)
            await writer.submit(number)

        async with asyncio.timeout(60):
            await asyncio.gather(*(client(number) for number in range(8)))
        await writer.close()
        assert [len(batch) for batch in ledger.batches] == [8, 8]

    asyncio.run(scenario())


def test_whoever_stays_away_is_not_waited_for_twice() -> None:
    async def scenario() -> None:
        ledger = Ledger()
        writer = GroupWriter(ledger.commit)
        await asyncio.gather(*(writer.submit(number) for number in range(8)))
        async with asyncio.timeout(60):
            await writer.submit(8)
            assert await writer.submit(9) == "stored 9"
        await writer.close()
        assert ledger.batches[1:] == [[8], [9]]

    asyncio.run(scenario())


def test_nobody_is_kept_waiting_by_those_who_keep_coming() -> None:
    async def scenario() -> None:
        ledger = Ledger()
        writer = GroupWriter(ledger.commit)
        await asyncio.gather(*(writer.submit(number) for number in range(256)))
        first = asyncio.create_task(writer.submit(256))
        others = []
        while not first.done():
            others.append(asyncio.create_task(writer.submit(257)))
            await asyncio.sleep(LULL / 2)
        async with asyncio.timeout(60):
            await asyncio.gather(*others)
        await writer.close()
        # It would have been 256, however long it takes them to come.
        assert len(ledger.batches[1]) < 256

    asyncio.run(scenario())


def test_a_failed_commit_is_told_to_all_who_wait_for_it_and_to_nobody_else() -> None:
    async def scenario() -> None:
        writer = GroupWriter(Ledger().commit)
        results = await asyncio.gather(writer.submit(-1), writer.submit(1), return_exceptions=True)
        assert [str(result) for result in results] == ["disk full", "disk full"]
        assert await writer.submit(2) == "stored 2"
        await writer.close()

    asyncio.run(scenario())


def test_a_sender_that_gives_up_does_not_disturb_the_others() -> None:
    async def scenario() -> None:
        ledger = Ledger()
        ledger.may_commit.clear()
        writer = GroupWriter(ledger.commit)
        leaving, staying = (asyncio.create_task(writer.submit(number)) for number in (1, 2))
        await asyncio.sleep(0.01)
        leaving.cancel()
        ledger.may_commit.set()
        assert await staying == "stored 2"
        with pytest.raises(asyncio.CancelledError):
            await leaving
        await writer.close()
        assert ledger.batches == [[1, 2]]

    asyncio.run(scenario())


def test_closing_writes_what_was_handed_in() -> None:
    async def scenario() -> None:
        ledger = Ledger()
        writer = GroupWriter(ledger.commit, max_batch=2)
        waiting = [asyncio.create_task(writer.submit(number)) for number in range(5)]
        await asyncio.sleep(0)
        await writer.close()
        assert await asyncio.gather(*waiting) == [f"stored {number}" for number in range(5)]

    asyncio.run(scenario())
