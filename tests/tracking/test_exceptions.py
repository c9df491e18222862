"""What leaves a decorated function is what leaves the bare one, and nothing of it is kept."""

from __future__ import annotations

import asyncio
import gc
import inspect
import os
import sys
import traceback
import weakref
from typing import TYPE_CHECKING, Any

import pytest

import migas
from tests.tracking.tracked import (
    COMPLETED,
    caught,
    count,
    count_later,
    double,
    double_later,
    fail,
    frames_of,
    plain,
    track,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import Spool


def test_an_exception_keeps_its_identity_its_cause_and_its_context(spool: Spool) -> None:
    cause, context, error = KeyError(1), KeyError(2), ValueError(3)
    error.__cause__, error.__context__ = cause, context
    with pytest.raises(ValueError, match="3") as caught:
        fail(error)
    assert caught.value is error
    assert (error.__cause__, error.__context__) == (cause, context)
    assert error.__suppress_context__


def test_our_frame_is_not_in_a_function_s_traceback(spool: Spool) -> None:
    assert frames_of(caught(lambda: fail(ValueError()))) == ["caught", "<lambda>", "fail"]


def test_our_frame_is_not_in_a_coroutine_s_traceback(spool: Spool) -> None:
    @track
    async def inner() -> None:
        raise ValueError

    @track
    async def outer() -> None:
        await inner()

    error = caught(lambda: asyncio.run(outer()))
    assert frames_of(error)[-2:] == ["outer", "inner"]
    package = os.path.dirname(migas.__file__)
    frames = traceback.extract_tb(error.__traceback__)
    assert not any(frame.filename.startswith(package) for frame in frames)


@pytest.mark.parametrize("function", [double, double_later, count, count_later])
def test_our_frame_is_not_there_when_arguments_are_wrong(
    function: Callable[..., Any], spool: Spool
) -> None:
    error = caught(lambda: function(1, 2, 3))
    assert isinstance(error, TypeError)
    assert frames_of(error) == ["caught", "<lambda>"]


def test_our_frame_is_not_in_a_generator_s_traceback(spool: Spool) -> None:
    @track
    def broken() -> Iterator[int]:
        yield 1
        raise ValueError

    assert frames_of(caught(lambda: list(broken()))) == ["caught", "<lambda>", "broken"]


def test_our_frame_is_not_in_the_traceback_of_what_is_thrown_into_a_generator(
    spool: Spool,
) -> None:
    generator = count(3)
    next(generator)
    error = ValueError()
    assert frames_of(caught(lambda: generator.throw(error))) == ["caught", "<lambda>", "count"]
    assert error.__context__ is None


def test_no_exception_and_no_traceback_is_kept(spool: Spool) -> None:
    class MarkedError(Exception):
        pass

    def call(function: Callable[[BaseException], object]) -> weakref.ref[MarkedError]:
        error = MarkedError()
        with pytest.raises(MarkedError):
            function(error)
        return weakref.ref(error)

    @track
    async def fail_later(error: BaseException) -> None:
        raise error

    @track
    def fail_in_generator(error: BaseException) -> Iterator[int]:
        yield 1
        raise error

    kept = [
        call(fail),
        call(lambda error: asyncio.run(fail_later(error))),
        call(lambda error: list(fail_in_generator(error))),
    ]
    gc.collect()
    assert [reference() for reference in kept] == [None, None, None]


def test_a_generator_keeps_no_exception_that_it_survived(spool: Spool) -> None:
    class MarkedError(Exception):
        pass

    @track
    def survive() -> Iterator[int]:
        try:
            yield 1
        except MarkedError:
            pass
        yield 2

    def throw(generator: Any) -> weakref.ref[MarkedError]:
        error = MarkedError()
        assert generator.throw(error) == 2
        return weakref.ref(error)

    generator = survive()
    next(generator)
    kept = throw(generator)
    gc.collect()
    assert kept() is None


def test_a_generator_keeps_no_value_that_it_gave_away(spool: Spool) -> None:
    class Value:
        pass

    @track
    def give() -> Iterator[Value]:
        yield Value()

    generator = give()
    kept = weakref.ref(next(generator))
    assert kept() is None


class HostileError(Exception):
    """An exception that can be asked for nothing."""

    def _refuse(self, *_: object) -> Any:
        raise LookupError("no")

    __str__ = __repr__ = __eq__ = __hash__ = __bool__ = __len__ = _refuse
    exit_code = property(_refuse)


class LeavingError(Exception):
    """An exception that ends the interpreter of who asks it."""

    def __str__(self) -> str:
        raise SystemExit(99)

    @property
    def exit_code(self) -> int:
        sys.exit(99)


@pytest.mark.parametrize("error", [HostileError(), LeavingError()], ids=["hostile", "leaving"])
def test_an_exception_that_cannot_be_read_is_reported_by_its_type(
    error: Exception, spool: Spool
) -> None:
    assert caught(lambda: fail(error)) is error
    assert spool.crumbs()[0]["error_type"] == type(error).__name__


def test_arguments_and_results_are_never_looked_at(spool: Spool) -> None:
    thing = HostileError()

    @migas.track("lab/tool", "1.0.0", returns_exit_code=True)
    def give_back(argument: HostileError, *, named: HostileError) -> HostileError:
        return argument

    assert give_back(thing, named=thing) is thing
    assert spool.endings() == [COMPLETED]


def test_a_recursion_without_end_fails_as_it_does(spool: Spool) -> None:
    def descend(depth: int) -> int:
        return descend(depth + 1)

    with pytest.raises(RecursionError):
        track(descend)(0)
    assert spool.crumbs()[0]["error_type"] == "RecursionError"


def test_a_tracked_recursion_without_end_is_a_recursion_error(spool: Spool) -> None:
    @track
    def descend(depth: int) -> int:
        return descend(depth + 1)

    with pytest.raises(RecursionError):
        descend(0)
    assert [crumb["error_type"] for crumb in spool.crumbs()] == ["RecursionError"]


def test_a_memory_error_is_passed_on(spool: Spool) -> None:
    with pytest.raises(MemoryError):
        fail(MemoryError())
    assert spool.crumbs()[0]["error_type"] == "MemoryError"


def test_a_field_that_cannot_be_read_is_left_out(spool: Spool) -> None:
    migas.track(
        "lab/tool", "1.0.0", user_id=HostileError(), is_ci=HostileError(), platform=HostileError()
    )(plain)(1)
    crumb = spool.crumbs()[0]
    assert "is_ci" not in crumb
    assert "user_id" not in crumb


def test_a_handler_describes_the_errors_of_its_class(spool: Spool) -> None:
    def describe(kind: Any, message: str, _traceback: object) -> dict[str, str]:
        return {"error_desc": f"{kind.__name__} said {message}"}

    tell = migas.track("lab/tool", "1.0.0", error_handlers={LookupError: describe})
    with pytest.raises(KeyError):
        tell(inspect.unwrap(fail))(KeyError("bold"))
    crumb = spool.crumbs()[0]
    assert (crumb["status"], crumb["error_type"]) == ("F", "KeyError")
    assert crumb["error_desc"] == "KeyError said 'bold'"


def _raise_in_handler(*_: object) -> Any:
    raise LookupError("in the handler")


@pytest.mark.parametrize(
    "handler",
    [
        _raise_in_handler,
        lambda *_: sys.exit(5),
        lambda *_: None,
        lambda *_: 7,
        lambda *_: "text",
        lambda *_: {"status": "mad", "session_id": "x", 3: 4},
        lambda *_: {"status": HostileError()},
        lambda *_: {"status": None, "status_desc": None},
        dict,
    ],
)
def test_a_handler_that_fails_or_talks_nonsense_costs_nothing(
    handler: Callable[..., Any], spool: Spool
) -> None:
    tell = migas.track("lab/tool", "1.0.0", error_handlers={"ValueError": handler})
    error = ValueError("odd")
    assert caught(lambda: tell(inspect.unwrap(fail))(error)) is error
    crumb = spool.crumbs()[0]
    assert (crumb["status"], crumb["status_desc"]) == ("F", "Errored")
    assert crumb["error_type"] == "ValueError"
    assert "session_id" in crumb
