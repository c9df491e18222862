"""Recursion, threads and tasks: which run a call is inside of."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

from tests.tracking.tracked import double_later, run_in_threads, track

if TYPE_CHECKING:
    from tests.conftest import Spool


def test_recursion_joins_the_run_it_is_inside_of(spool: Spool) -> None:
    @track
    def factorial(number: int) -> int:
        return number * factorial(number - 1) if number else 1

    assert factorial(5) == 120
    assert len(spool.crumbs()) == 1


def test_threads_are_runs_of_their_own(spool: Spool) -> None:
    together = threading.Barrier(2, timeout=10)

    @track
    def work() -> None:
        together.wait()

    run_in_threads(work, work)
    assert len({crumb["session_id"] for crumb in spool.crumbs()}) == 2


def test_concurrent_tasks_are_runs_of_their_own(spool: Spool) -> None:
    async def main() -> list[int]:
        return list(await asyncio.gather(double_later(1), double_later(2)))

    assert asyncio.run(main()) == [2, 4]
    assert len({crumb["session_id"] for crumb in spool.crumbs()}) == 2


def test_a_task_started_inside_a_run_joins_it(spool: Spool) -> None:
    @track
    async def main() -> list[int]:
        return list(await asyncio.gather(double_later(1), double_later(2)))

    assert asyncio.run(main()) == [2, 4]
    assert len(spool.crumbs()) == 1


def test_a_task_that_outlives_the_run_it_was_started_in_is_a_run_of_its_own(spool: Spool) -> None:
    @track
    async def start() -> asyncio.Task[int]:
        await asyncio.sleep(0)
        return asyncio.create_task(after())

    async def after() -> int:
        await asyncio.sleep(0)
        return await double_later(3)

    async def main() -> int:
        return await (await start())

    assert asyncio.run(main()) == 6
    assert len(spool.crumbs()) == 2
