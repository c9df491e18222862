"""`track`: what decorating, calling and looking at a decorated function mean."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import functools
import gc
import inspect
import pickle
import pydoc
import sys
import threading
import traceback
import typing
import weakref
from typing import TYPE_CHECKING, Any

import click
import pytest

import migas
from migas import runs
from tests.support.programs import Program, bare, run_all, tracked

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from tests.conftest import Spool

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
def count(up_to: int) -> Iterator[int]:
    yield from range(up_to)


@track
async def count_later(up_to: int) -> AsyncIterator[int]:
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


# What a call gives back


def test_a_function_returns_what_it_returns(spool: Spool) -> None:
    assert double(4, times=3) == 12


def test_every_call_is_a_run_of_its_own(spool: Spool) -> None:
    double(1)
    double(2)
    first, second = spool.crumbs()
    assert first["session_id"] != second["session_id"]


def test_a_run_ends_with_one_breadcrumb(spool: Spool) -> None:
    double(1)
    assert spool.endings() == [COMPLETED]
    assert spool.open_crumbs() == []


def test_a_breadcrumb_says_which_project_ran_where(spool: Spool) -> None:
    double(1)
    crumb = spool.crumbs()[0]
    assert (crumb["project"], crumb["project_version"]) == ("lab/tool", "1.0.0")
    assert (crumb["language"], crumb["platform"]) == ("python", sys.platform)


def test_a_run_that_is_under_way_has_an_open_record(spool: Spool) -> None:
    @track
    def look() -> list[dict[str, Any]]:
        return spool.open_crumbs()

    assert [crumb["status"] for crumb in look()] == ["F"]


def test_fields_given_to_track_are_part_of_the_breadcrumb(spool: Spool) -> None:
    migas.track("lab/tool", "1.0.0", user_type="dev")(plain)(1)
    assert spool.crumbs()[0]["user_type"] == "dev"


def test_a_session_id_given_to_track_is_that_of_its_runs(spool: Spool) -> None:
    given = "00000000-0000-4000-8000-000000000001"
    migas.track("lab/tool", "1.0.0", session_id=given)(plain)(1)
    assert spool.crumbs()[0]["session_id"] == given


@pytest.mark.parametrize("name", ["of_two", "of_three", "of_four", "of_five"])
@pytest.mark.parametrize("owner", [Scale, Scale(7)], ids=["class", "instance"])
def test_class_and_static_methods_are_runs_in_either_order(
    name: str, owner: Any, spool: Spool
) -> None:
    assert getattr(owner, name)(10) == {"of_two": 20, "of_three": 30, "of_four": 40}.get(name, 50)
    assert spool.endings() == [COMPLETED]


def test_a_method_gets_its_instance(spool: Spool) -> None:
    assert Scale(7).apply(3) == 21
    assert spool.endings() == [COMPLETED]


def test_a_coroutine_method_gets_its_instance(spool: Spool) -> None:
    assert asyncio.run(Scale(7).apply_later(3)) == 21
    assert spool.endings() == [COMPLETED]


def test_a_coroutine_is_a_run_when_it_is_awaited(spool: Spool) -> None:
    coroutine = double_later(4)
    assert spool.open_crumbs() == []
    assert asyncio.run(coroutine) == 8
    assert spool.endings() == [COMPLETED]


def test_a_callable_object_is_tracked(spool: Spool) -> None:
    assert track(Caller())(1) == 2
    assert spool.endings() == [COMPLETED]


def test_a_callable_object_whose_call_is_a_coroutine_is_tracked(spool: Spool) -> None:
    assert asyncio.run(track(LateCaller())(1)) == 2
    assert spool.endings() == [COMPLETED]


def test_a_partial_is_tracked(spool: Spool) -> None:
    assert track(functools.partial(pow, 2))(5) == 32
    assert spool.endings() == [COMPLETED]


def test_a_partial_of_a_coroutine_function_is_tracked(spool: Spool) -> None:
    async def add(first: int, second: int) -> int:
        return first + second

    assert asyncio.run(track(functools.partial(add, 2))(5)) == 7
    assert spool.endings() == [COMPLETED]


def test_a_plain_function_around_a_coroutine_runs_until_it_was_awaited(spool: Spool) -> None:
    async def inner() -> str:
        raise LookupError("late")

    @track
    def outer() -> Any:
        return inner()

    coroutine = outer()
    assert spool.crumbs() == []
    with pytest.raises(LookupError):
        asyncio.run(coroutine)
    assert spool.endings() == [("F", "Errored")]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="inspect.markcoroutinefunction is of 3.12")
def test_a_function_marked_as_a_coroutine_function_may_return_any_awaitable(spool: Spool) -> None:
    @track
    @inspect.markcoroutinefunction  # type: ignore[attr-defined, untyped-decorator, unused-ignore]
    def start() -> asyncio.Future[int]:
        future = asyncio.get_running_loop().create_future()
        future.set_result(5)
        return future

    async def main() -> int:
        return await start()

    assert asyncio.run(main()) == 5
    assert spool.endings() == [COMPLETED]


def test_a_click_command_stays_one(spool: Spool) -> None:
    @track
    @click.command(help="Greets.")
    @click.argument("name")
    def greet(name: str) -> None:
        click.echo(f"hello {name}")

    assert isinstance(greet, click.Command)
    assert greet.name == "greet"
    with pytest.raises(SystemExit) as left:
        greet(["world"])
    assert left.value.code == 0
    assert spool.endings() == [COMPLETED]


def test_a_click_command_shows_its_usage_errors_and_fails(
    spool: Spool, capsys: pytest.CaptureFixture[str]
) -> None:
    @track
    @click.command()
    @click.argument("name")
    def greet(name: str) -> None:
        raise AssertionError

    with pytest.raises(SystemExit) as left:
        greet([])
    assert left.value.code == 2
    assert "Missing argument" in capsys.readouterr().err
    assert spool.endings() == [("F", "Exited with code 2")]


# What a decorated function looks like


KINDS: list[tuple[Callable[..., Any], Callable[..., Any]]] = [
    (double, inspect.isfunction),
    (double_later, inspect.iscoroutinefunction),
    (count, inspect.isgeneratorfunction),
    (count_later, inspect.isasyncgenfunction),
    (Scale(1).apply, inspect.ismethod),
    (Scale(1).apply_later, inspect.iscoroutinefunction),
    (Scale.of_two, inspect.ismethod),
]
CHECKS = (
    inspect.isfunction,
    inspect.ismethod,
    inspect.isroutine,
    inspect.iscoroutinefunction,
    inspect.isgeneratorfunction,
    inspect.isasyncgenfunction,
    callable,
)


@pytest.mark.parametrize(("function", "kind"), KINDS)
def test_inspect_takes_a_tracked_function_for_what_it_wraps(
    function: Any, kind: Callable[..., bool]
) -> None:
    assert kind(function)
    wrapped = function.__wrapped__
    assert [check(function) for check in CHECKS] == [check(wrapped) for check in CHECKS]


def test_a_tracked_function_keeps_its_signature() -> None:
    assert str(inspect.signature(double)) == "(value: 'int', *, times: 'int' = 2) -> 'int'"
    assert list(inspect.signature(Scale(1).apply).parameters) == ["value"]


def test_a_tracked_function_keeps_its_names_and_its_text() -> None:
    assert (double.__name__, double.__qualname__, double.__module__) == (
        "double",
        "double",
        __name__,
    )
    assert double.__doc__ == "Multiply, by two unless told otherwise."
    assert inspect.getsource(double).startswith("@track\ndef double(")
    assert repr(Scale.apply.__qualname__) == "'Scale.apply'"


def test_a_tracked_function_keeps_its_annotations_and_defaults() -> None:
    assert typing.get_type_hints(double) == {"value": int, "times": int, "return": int}
    assert double.__kwdefaults__ == {"times": 2}


def test_help_shows_the_function_itself() -> None:
    shown = pydoc.plain(pydoc.render_doc(double))
    assert "double(value: 'int', *, times: 'int' = 2)" in shown
    assert "Multiply, by two" in shown


def test_attributes_of_a_tracked_function_are_those_of_the_function() -> None:
    @track
    @functools.lru_cache
    def remember(value: int) -> int:
        return value

    assert remember.cache_info().hits == 0


@pytest.mark.parametrize("function", [double, Scale.of_two, Scale.of_four, Scale.of_five])
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_tracked_function_pickles_to_itself(function: Any, protocol: int, spool: Spool) -> None:
    loaded = pickle.loads(pickle.dumps(function, protocol))
    assert loaded(10) == function(10)
    assert len(spool.crumbs()) == 2


def test_a_module_level_function_pickles_by_reference() -> None:
    assert pickle.loads(pickle.dumps(double)) is double


def test_a_bound_method_pickles_with_its_instance(spool: Spool) -> None:
    assert pickle.loads(pickle.dumps(Scale(7).apply))(3) == 21
    assert spool.endings() == [COMPLETED]


def test_a_function_tracked_under_another_name_pickles_as_the_plain_one() -> None:
    assert pickle.loads(pickle.dumps(TRACKED_UNDER_ANOTHER_NAME)) is plain


def test_a_tracked_partial_pickles() -> None:
    assert pickle.loads(pickle.dumps(track(functools.partial(pow, 2))))(3) == 8


def test_a_copy_of_a_tracked_function_is_the_function() -> None:
    assert copy.copy(double) is double
    assert copy.deepcopy(double) is double


def test_a_deep_copy_of_a_bound_method_has_its_instance_copied() -> None:
    scale = Scale(7)
    copied = copy.deepcopy(scale.apply)
    scale.factor = 0
    assert copied(3) == 21
    assert copy.copy(scale.apply)(3) == 0


# Decorating


def test_decorating_writes_nothing_and_starts_nothing(spool: Spool) -> None:
    before = threading.active_count()
    track(plain)
    assert threading.active_count() == before
    assert not spool.folder.exists()


@pytest.mark.parametrize("project", [None, 7, b"lab/tool", "", "  ", ["lab/tool"]])
def test_a_project_that_is_no_text_is_a_type_error_at_decoration(project: Any) -> None:
    with pytest.raises(TypeError, match="project"):
        migas.track(project, "1.0.0")


@pytest.mark.parametrize("version", [None, 1.0, "", (1, 0)])
def test_a_version_that_is_no_text_is_a_type_error_at_decoration(version: Any) -> None:
    with pytest.raises(TypeError, match="version"):
        migas.track("lab/tool", version)


@pytest.mark.parametrize(
    "options",
    [
        {"colour": "red"},
        {"announce_after": "soon"},
        {"announce_after": -1},
        {"announce_after": True},
        {"error_handlers": {"ValueError": 3}},
        {"error_handlers": 7},
    ],
)
def test_a_wrong_argument_is_a_type_error_at_decoration(options: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        migas.track("lab/tool", "1.0.0", **options)


@pytest.mark.parametrize("signals", [["SIGNOTHING"], ["SIGKILL"], [0], [9999], [None]])
def test_a_signal_that_cannot_be_meant_is_a_value_error_at_decoration(signals: Any) -> None:
    with pytest.raises(ValueError, match="signals holds"):
        migas.track("lab/tool", "1.0.0", signals=signals)


@pytest.mark.parametrize("thing", [3, None, "main", Scale, int])
def test_only_functions_are_decorated(thing: Any) -> None:
    with pytest.raises(TypeError, match=r"migas\.track decorates functions"):
        track(thing)


def test_track_that_is_never_used_says_so_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    migas.track("lab/forgotten", "1.0.0")
    gc.collect()
    assert "'lab/forgotten', …) was made and never used" in caplog.text


def test_track_that_is_used_says_nothing(spool: Spool, caplog: pytest.LogCaptureFixture) -> None:
    migas.track("lab/tool", "1.0.0")(plain)
    with migas.track("lab/tool", "1.0.0"):
        pass
    gc.collect()
    assert caplog.text == ""


# As a block


def test_track_is_a_context_manager(spool: Spool) -> None:
    with migas.track("lab/tool", "1.0.0") as session:
        assert spool.open_crumbs()[0]["session_id"] == session.session_id
    assert spool.endings() == [COMPLETED]


def test_track_is_an_asynchronous_context_manager(spool: Spool) -> None:
    async def main() -> None:
        async with migas.track("lab/tool", "1.0.0"):
            await asyncio.sleep(0)

    asyncio.run(main())
    assert spool.endings() == [COMPLETED]


def test_one_track_serves_blocks_of_several_threads_at_once(spool: Spool) -> None:
    shared = migas.track("lab/tool", "1.0.0")
    both_in, first_out = threading.Barrier(2, timeout=10), threading.Event()

    def fail_first() -> None:
        try:
            with shared:
                both_in.wait()
                raise LookupError
        except LookupError:
            first_out.set()

    def work_on() -> None:
        with shared:
            both_in.wait()
            assert first_out.wait(10)
            assert spool.endings() == [("F", "Errored")]

    _run_in_threads(fail_first, work_on)
    assert sorted(spool.endings()) == [COMPLETED, ("F", "Errored")]
    assert len({crumb["session_id"] for crumb in spool.crumbs()}) == 2


# Exceptions


def test_an_exception_keeps_its_identity_its_cause_and_its_context(spool: Spool) -> None:
    cause, context, error = KeyError(1), KeyError(2), ValueError(3)
    error.__cause__, error.__context__ = cause, context
    with pytest.raises(ValueError, match="3") as caught:
        fail(error)
    assert caught.value is error
    assert (error.__cause__, error.__context__) == (cause, context)
    assert error.__suppress_context__


def _frames(error: BaseException | None) -> list[str]:
    assert error is not None
    return [frame.name for frame in traceback.extract_tb(error.__traceback__)]


def _caught(function: Callable[[], object]) -> BaseException:
    try:
        function()
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def test_our_frame_is_not_in_a_function_s_traceback(spool: Spool) -> None:
    assert _frames(_caught(lambda: fail(ValueError()))) == ["_caught", "<lambda>", "fail"]


def test_our_frame_is_not_in_a_coroutine_s_traceback(spool: Spool) -> None:
    @track
    async def inner() -> None:
        raise ValueError

    @track
    async def outer() -> None:
        await inner()

    error = _caught(lambda: asyncio.run(outer()))
    assert _frames(error)[-2:] == ["outer", "inner"]
    assert not any("migas" in frame.filename for frame in traceback.extract_tb(error.__traceback__))


@pytest.mark.parametrize("function", [double, double_later, count, count_later])
def test_our_frame_is_not_there_when_arguments_are_wrong(
    function: Callable[..., Any], spool: Spool
) -> None:
    error = _caught(lambda: function(1, 2, 3))
    assert isinstance(error, TypeError)
    assert _frames(error) == ["_caught", "<lambda>"]


def test_our_frame_is_not_in_a_generator_s_traceback(spool: Spool) -> None:
    @track
    def broken() -> Iterator[int]:
        yield 1
        raise ValueError

    assert _frames(_caught(lambda: list(broken()))) == ["_caught", "<lambda>", "broken"]


def test_our_frame_is_not_in_the_traceback_of_what_is_thrown_into_a_generator(
    spool: Spool,
) -> None:
    generator = count(3)
    next(generator)
    error = ValueError()
    assert _frames(_caught(lambda: generator.throw(error))) == ["_caught", "<lambda>", "count"]
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
    assert _caught(lambda: fail(error)) is error
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


# Error handlers


def test_a_handler_describes_the_errors_of_its_class(spool: Spool) -> None:
    def describe(kind: Any, message: str, _traceback: object) -> dict[str, str]:
        return {"error_desc": f"{kind.__name__} said {message}"}

    tell = migas.track("lab/tool", "1.0.0", error_handlers={LookupError: describe})
    with pytest.raises(KeyError):
        tell(fail.__wrapped__)(KeyError("bold"))  # type: ignore[attr-defined]
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
    assert _caught(lambda: tell(fail.__wrapped__)(error)) is error  # type: ignore[attr-defined]
    crumb = spool.crumbs()[0]
    assert (crumb["status"], crumb["status_desc"]) == ("F", "Errored")
    assert crumb["error_type"] == "ValueError"
    assert "session_id" in crumb


# Inside one another


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

    _run_in_threads(work, work)
    assert len({crumb["session_id"] for crumb in spool.crumbs()}) == 2


def test_concurrent_tasks_are_runs_of_their_own(spool: Spool) -> None:
    async def main() -> list[int]:
        return await asyncio.gather(double_later(1), double_later(2))

    assert asyncio.run(main()) == [2, 4]
    assert len({crumb["session_id"] for crumb in spool.crumbs()}) == 2


def test_a_task_started_inside_a_run_joins_it(spool: Spool) -> None:
    @track
    async def main() -> list[int]:
        return await asyncio.gather(double_later(1), double_later(2))

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


# Generators


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
        error: BaseException | None = _caught(generator.close)
        with contextlib.suppress(ZeroDivisionError):
            generator.throw(ZeroDivisionError)  # one that does not want to end would complain
        found = []
        while error is not None:
            found.append((repr(error), _frames(error)))
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
        seen.append(runs.current())
        yield
        seen.append(runs.current())

    generator = look()
    next(generator)
    assert runs.current() is None
    double(1)
    list(generator)
    assert runs.current() is None
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
        assert runs.current() is None
        await generator.aclose()
        return said

    assert asyncio.run(main()) == ["first", "a", "caught"]
    assert spool.endings() == [COMPLETED]


def test_an_asynchronous_generator_closed_early_cleans_up_and_has_completed(spool: Spool) -> None:
    cleaned: list[bool] = []

    @track
    async def work() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            await asyncio.sleep(0)
            cleaned.append(True)

    async def main() -> None:
        generator = work()
        await anext(generator)
        await generator.aclose()  # type: ignore[attr-defined]

    asyncio.run(main())
    assert cleaned == [True]
    assert spool.endings() == [COMPLETED]


def test_our_frame_is_not_in_an_asynchronous_generator_s_traceback(spool: Spool) -> None:
    @track
    async def broken() -> AsyncIterator[int]:
        yield 1
        raise ValueError

    async def main() -> None:
        async for _number in broken():
            pass

    assert _frames(_caught(lambda: asyncio.run(main())))[-2:] == ["main", "broken"]


def _run_in_threads(*functions: Callable[[], None]) -> None:
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


# Whole programs, each next to itself without migas


POOL = """\
import multiprocessing, os, sys
from concurrent.futures import ProcessPoolExecutor
IMPORT

@TRACK
def square(number):
    return number * number

class Shift:
    def __init__(self, by):
        self.by = by

    @TRACK
    def apply(self, number):
        return number + self.by

@TRACK
def main(method):
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        print(list(pool.map(square, range(4))), list(pool.map(Shift(10).apply, range(4))))

if __name__ == "__main__":
    SETUP
    main(sys.argv[1])
"""

NEVER_AWAITED = """\
import gc
IMPORT
SETUP

@TRACK
async def main():
    pass

main()
gc.collect()
print("goes on")
"""

UNFINISHED = """\
import asyncio
IMPORT
SETUP

@TRACK
async def work():
    try:
        for number in range(9):
            yield number
    finally:
        await asyncio.sleep(0.05)
        print("cleaned up")

async def main():
    global kept
    asyncio.get_running_loop().slow_callback_duration = 3600  # a busy machine is no news
    kept = work()
    print(await anext(kept))

asyncio.run(main(), debug=True)
"""

FORK = """\
import os, sys
IMPORT
SETUP

@TRACK
def main():
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)
    return pid

if main():
    print("parent")
else:
    print("child")
"""

LATE_OPTOUT = """\
import os, sys
IMPORT
SETUP

@migas.track("lab/tool", "1.0.0", signals=["SIGTERM"])
def main():
    migas.setup(enabled=False)
    state = os.environ["MIGAS_STATE_DIR"]
    print([os.listdir(f"{state}/{name}") for name in ("open", "ready")])
    import signal
    print(signal.getsignal(signal.SIGTERM) == signal.SIG_DFL)

main()
"""

LATE_SETUP = """\
import sys
IMPORT

@TRACK
def main():
    SETUP

main()
"""

SPOOLED = {"MIGAS_ENDPOINT": "http://127.0.0.1:9", "MIGAS_DELIVERY": "spool"}


def _waiting(folder: Path) -> int:
    return len(list((folder / "state").glob("ready/*.json")))


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers_of_a_pool_are_silent_and_their_results_right(method: str, tmp_path: Path) -> None:
    # What reads a pickled method in a forked worker warns of nothing, so neither may we.
    options = ("-W", "error")
    with_it = Program(tracked(POOL), tmp_path / "with", SPOOLED, (method,), options)
    without = Program(bare(POOL), tmp_path / "bare", {}, (method,), options)
    seen, expected = run_all([with_it, without])
    assert seen == expected
    assert _waiting(with_it.folder) == 1


@pytest.mark.parametrize(
    "text", [NEVER_AWAITED, UNFINISHED], ids=["a coroutine never awaited", "a loop that shuts down"]
)
def test_a_program_that_leaves_things_undone_says_what_the_bare_one_says(
    text: str, tmp_path: Path
) -> None:
    with_it = Program(tracked(text), tmp_path / "with", SPOOLED)
    seen, expected = run_all([with_it, Program(bare(text), tmp_path / "bare", {})])
    assert seen == expected
    assert expected.status == 0


def test_a_forked_child_leaves_the_run_to_its_parent(tmp_path: Path) -> None:
    program = Program(tracked(FORK), tmp_path, SPOOLED, options=("-W", "error"))
    ended = program.run()
    assert (ended.status, ended.stderr) == (0, "")
    assert ended.stdout == "child\nparent\n"
    assert _waiting(tmp_path) == 1


def test_switching_off_inside_the_function_leaves_nothing_of_the_run(tmp_path: Path) -> None:
    ended = Program(tracked(LATE_OPTOUT), tmp_path, SPOOLED).run()
    assert ended.stderr == ""
    assert ended.stdout == "[[], []]\nTrue\n"
    assert _waiting(tmp_path) == 0


def test_setting_up_inside_the_function_is_early_enough(tmp_path: Path) -> None:
    assert Program(tracked(LATE_SETUP), tmp_path, SPOOLED).run().stderr == ""
    assert _waiting(tmp_path) == 1


def test_without_setup_nothing_is_written(tmp_path: Path) -> None:
    text = tracked(LATE_SETUP).replace("migas.setup()", "pass")
    assert Program(text, tmp_path, SPOOLED).run().stderr == ""
    assert not (tmp_path / "state").exists()
