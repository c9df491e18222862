"""What a call of a decorated function, method or coroutine gives back, and what is written."""

from __future__ import annotations

import asyncio
import functools
import inspect
import sys
import types
from typing import TYPE_CHECKING, Any

import click
import pytest

import migas
from tests.tracking.tracked import (
    COMPLETED,
    Caller,
    LateCaller,
    Scale,
    double,
    double_later,
    plain,
    track,
)

if TYPE_CHECKING:
    from collections.abc import Generator

    from tests.conftest import Spool


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

    async def main() -> object:
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


def test_a_generator_based_coroutine_can_be_awaited_in_either_order(spool: Spool) -> None:
    @track
    @types.coroutine
    def outside(value: int) -> Generator[Any, Any, int]:
        yield from asyncio.sleep(0).__await__()
        return value * 2

    @types.coroutine
    @track
    def inside(value: int) -> Generator[Any, Any, int]:
        yield from asyncio.sleep(0).__await__()
        return value * 3

    async def main() -> list[int]:
        return [await outside(2), await inside(2)]

    assert asyncio.run(main()) == [4, 6]
    assert spool.endings() == [COMPLETED, COMPLETED]
