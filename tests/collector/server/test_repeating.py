"""Work that is done again and again ends when it is told to."""

from __future__ import annotations

import asyncio

from migas.collector.server.upkeep import repeat


def test_it_goes_on_after_a_failure_and_ends_when_it_is_told_to() -> None:
    times = 0
    settled = asyncio.Event()

    async def work() -> None:
        nonlocal times
        times += 1
        if times < 3:
            raise ConnectionResetError("the database is away")
        settled.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            raise OSError("another operation is in progress") from None  # as a driver may put it

    async def run() -> None:
        repeating = asyncio.create_task(repeat(work, 0.01, "a test"))
        await settled.wait()
        repeating.cancel()
        await asyncio.gather(repeating, return_exceptions=True)
        assert repeating.cancelled()

    asyncio.run(run())
    assert times == 3
