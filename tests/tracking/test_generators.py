"""Generators, whose runs last as long as somebody asks them."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import typing
from typing import TYPE_CHECKING, Any

import pytest
import trio

import migas
from migas.tracking import nesting
from tests.tracking.tracked import COMPLETED, caught, count, count_later, double, frames_of, track

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator

    from tests.conftest import Spool


def test_a_generator_gives_what_it_gives(spool: Spool) -> None:
    @track
    def talk() -> typing.Generator[str, str, int]:
        heard = yield "first"
        try:
            heard += yield heard
        except KeyError:
            heard += yield "caught"
        return len(heard)

    generator = talk()
    assert next(generator) == "first"
    assert generator.send("a") == "a"
    assert generator.throw(KeyError) == "caught"
    with pytest.raises(StopIteration) as stop:
        generator.send("bc")
    assert stop.value.value == 3
    assert spool.endings() == [COMPLETED]


def test_a_generator_that_is_never_asked_is_no_run(spool: Spool) -> None:
    count(3).close()
    assert spool.open_crumbs() == spool.crumbs() == []


def test_a_generator_closed_early_has_completed(spool: Spool) -> None:
    generator = count(3)
    next(generator)
    generator.close()
    assert spool.endings() == [COMPLETED]


def test_a_generator_that_is_dropped_has_completed(spool: Spool) -> None:
    for number in count(3):
        assert number == 0
        break
    gc.collect()
    assert spool.endings() == [COMPLETED]


def _swallow_the_end() -> Iterator[int]:
    while True:
        try:
            yield 1
        except GeneratorExit:
            pass


def _fail_at_the_end() -> Iterator[int]:
    try:
        yield 1
    finally:
        raise LookupError("at the end")


@pytest.mark.parametrize("function", [_swallow_the_end, _fail_at_the_end])
def test_an_error_at_closing_is_the_one_of_the_bare_generator(
    function: Callable[[], Any], spool: Spool
) -> None:
    def closed(generator: Any) -> list[tuple[str, list[str]]]:
        next(generator)
        error: BaseException | None = caught(generator.close)
        with contextlib.suppress(ZeroDivisionError):
            generator.throw(ZeroDivisionError)  # one that does not want to end would complain
        found = []
        while error is not None:
            found.append((repr(error), frames_of(error)))
            error = error.__context__
        return found

    assert closed(track(function)()) == closed(function())


def test_close_gives_what_the_bare_generator_s_does(spool: Spool) -> None:
    def end_well() -> typing.Generator[int, None, str]:
        try:
            yield 1
        except GeneratorExit:
            return "well"
        return ""

    def close(generator: Any) -> object:
        next(generator)
        return generator.close()

    assert close(track(end_well)()) == close(end_well())
    assert spool.endings() == [COMPLETED]


def test_a_run_is_current_only_while_the_generator_s_body_runs(spool: Spool) -> None:
    seen: list[object] = []

    @track
    def look() -> Iterator[None]:
        seen.append(nesting.current())
        yield
        seen.append(nesting.current())

    generator = look()
    next(generator)
    assert nesting.current() is None
    double(1)
    list(generator)
    assert nesting.current() is None
    assert seen[0] is seen[1] is not None
    assert len(spool.crumbs()) == 2


def test_generators_that_take_turns_are_runs_of_their_own(spool: Spool) -> None:
    assert list(zip(count(2), count(2), strict=True)) == [(0, 0), (1, 1)]
    assert len({crumb["session_id"] for crumb in spool.crumbs()}) == 2


def test_an_asynchronous_generator_gives_what_it_gives(spool: Spool) -> None:
    async def main() -> list[int]:
        return [number async for number in count_later(3)]

    assert asyncio.run(main()) == [0, 1, 2]
    assert spool.endings() == [COMPLETED]


def test_an_asynchronous_generator_takes_what_is_sent_and_thrown(spool: Spool) -> None:
    @track
    async def talk() -> typing.AsyncGenerator[str, str]:
        heard = yield "first"
        try:
            yield heard
        except KeyError:
            yield "caught"

    async def main() -> list[str]:
        generator = talk()
        said = [await anext(generator), await generator.asend("a")]
        said.append(await generator.athrow(KeyError()))
        assert nesting.current() is None
        await generator.aclose()
        return said

    assert asyncio.run(main()) == ["first", "a", "caught"]
    assert spool.endings() == [COMPLETED]


def test_an_asynchronous_generator_closed_early_cleans_up_and_has_completed(spool: Spool) -> None:
    cleaned: list[bool] = []

    @track
    async def work() -> AsyncGenerator[int, None]:
        try:
            yield 1
        finally:
            await asyncio.sleep(0)
            cleaned.append(True)

    async def main() -> None:
        generator = work()
        await anext(generator)
        await generator.aclose()

    asyncio.run(main())
    assert cleaned == [True]
    assert spool.endings() == [COMPLETED]


@track
async def _count_and_clean_up() -> AsyncIterator[int]:
    try:
        yield 1
        yield 2
    finally:
        await asyncio.sleep(0.001)


async def _count_in_a_block() -> AsyncIterator[int]:
    async with migas.session("lab/tool", "1.0.0"):
        yield 1
        yield 2


async def _leave_early(function: Callable[[], Any]) -> None:
    async for _number in function():
        break


async def _leave_early_and_go_on(function: Callable[[], Any]) -> None:
    await _leave_early(function)
    await asyncio.sleep(0)


async def _leave_early_what_lives_on(function: Callable[[], Any]) -> None:
    generator = function()
    _kept.append(generator)
    async for _number in generator:
        break


_kept: list[object] = []


@pytest.mark.parametrize(
    "leave", [_leave_early, _leave_early_and_go_on, _leave_early_what_lives_on]
)
@pytest.mark.parametrize(
    "function", [lambda: count_later(3), _count_and_clean_up, _count_in_a_block]
)
def test_an_asynchronous_generator_that_is_left_early_has_completed(
    leave: Callable[..., Any], function: Callable[[], Any], spool: Spool
) -> None:
    asyncio.run(leave(function))
    _kept.clear()
    assert spool.endings() == [COMPLETED]


@pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning")  # trio tells all who do so
def test_one_that_is_left_early_under_trio_has_completed(spool: Spool) -> None:
    @track
    async def work() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            await trio.lowlevel.checkpoint()

    trio.run(_leave_early, work)
    gc.collect()
    assert spool.endings() == [COMPLETED]


def test_a_cancellation_that_a_context_manager_throws_in_is_one(spool: Spool) -> None:
    @contextlib.asynccontextmanager
    @track
    async def hold() -> AsyncIterator[None]:
        yield

    async def main() -> None:
        async with hold():
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await asyncio.sleep(20)

    assert isinstance(caught(lambda: asyncio.run(main())), asyncio.CancelledError)
    assert spool.endings() == [("S", "Suspended")]


def test_our_frame_is_not_in_an_asynchronous_generator_s_traceback(spool: Spool) -> None:
    @track
    async def broken() -> AsyncIterator[int]:
        yield 1
        raise ValueError

    async def main() -> None:
        async for _number in broken():
            pass

    assert frames_of(caught(lambda: asyncio.run(main())))[-2:] == ["main", "broken"]
