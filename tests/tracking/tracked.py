"""What the tests of `track` track."""

from __future__ import annotations

import asyncio
import threading
import traceback
from typing import TYPE_CHECKING

import migas

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator


track = migas.track("lab/tool", "1.0.0")
COMPLETED = ("C", "Completed")


@track
def double(value: int, *, times: int = 2) -> int:
    """Multiply, by two unless told otherwise."""
    return value * times


@track
def fail(error: BaseException) -> None:
    raise error


@track
async def double_later(value: int) -> int:
    await asyncio.sleep(0)
    return value * 2


@track
def count(up_to: int) -> Generator[int, None, None]:
    yield from range(up_to)


@track
async def count_later(up_to: int) -> AsyncGenerator[int, None]:
    for number in range(up_to):
        yield number


class Scale:
    """A class whose methods are tracked."""

    def __init__(self, factor: int) -> None:
        self.factor = factor

    @track
    def apply(self, value: int) -> int:
        return value * self.factor

    @track
    @classmethod
    def of_two(cls, value: int) -> int:
        return cls(2).factor * value

    @classmethod
    @track
    def of_three(cls, value: int) -> int:
        return cls(3).factor * value

    @track
    @staticmethod
    def of_four(value: int) -> int:
        return 4 * value

    @staticmethod
    @track
    def of_five(value: int) -> int:
        return 5 * value

    @track
    async def apply_later(self, value: int) -> int:
        return value * self.factor


class Caller:
    """An object that can be called."""

    def __call__(self, value: int) -> int:
        return value + 1


class LateCaller:
    """An object whose call is a coroutine."""

    async def __call__(self, value: int) -> int:
        return value + 1


def plain(value: int) -> int:
    return value


TRACKED_UNDER_ANOTHER_NAME = track(plain)


def frames_of(error: BaseException | None) -> list[str]:
    assert error is not None
    return [frame.name for frame in traceback.extract_tb(error.__traceback__)]


def caught(function: Callable[[], object]) -> BaseException:
    try:
        function()
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def run_in_threads(*functions: Callable[[], None]) -> None:
    failures: list[BaseException] = []

    def guard(function: Callable[[], None]) -> None:
        try:
            function()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=guard, args=(function,)) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert failures == []
