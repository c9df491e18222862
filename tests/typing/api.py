"""How the public names are seen by a type checker; checked by mypy, never run."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator, Iterator
from typing import assert_type

import migas
from migas.calls import BreadcrumbAnswer, CheckAnswer, ProjectAnswer, ProjectsAnswer, UsageAnswer


@migas.track("lab/tool", "1.0.0")
def double(value: int, *, times: int = 2) -> int:
    return value * times


@migas.track("lab/tool", "1.0.0", signals=["SIGTERM", 2], returns_exit_code=True)
async def double_later(value: int) -> int:
    return value * 2


@migas.track("lab/tool", "1.0.0", init_ping=False, announce_after=60)
def count(up_to: int) -> Iterator[int]:
    yield from range(up_to)


@migas.track("lab/tool", "1.0.0", error_handlers="nipype")
async def count_later(up_to: int) -> AsyncIterator[int]:
    for number in range(up_to):
        yield number


class Tool:
    @migas.track("lab/tool", "1.0.0", user_type="dev")
    def run(self, path: str) -> bytes:
        return path.encode()

    @classmethod
    @migas.track("lab/tool", "1.0.0")
    def make(cls) -> Tool:
        return cls()


def _describe(kind: object, message: str, traceback: object) -> dict[str, str]:
    return {"error_desc": message}


def decorated() -> None:
    assert_type(double(1, times=3), int)
    double("1")  # type: ignore[arg-type]
    double(1, 3)  # type: ignore[call-arg]
    assert_type(count(3), Iterator[int])
    assert_type(count_later(3), AsyncIterator[int])
    assert_type(Tool().run("x"), bytes)
    assert_type(Tool.make(), Tool)
    migas.track("lab/tool", "1.0.0", error_handlers={ValueError: _describe, "KeyError": _describe})
    migas.track("lab/tool", "1.0.0", error_handlers=["nipype", {ValueError: _describe}])
    migas.track("lab/tool")  # type: ignore[call-arg]
    migas.track("lab/tool", 1.0)  # type: ignore[arg-type]


def blocks() -> None:
    with migas.session("lab/tool", "1.0.0", wait=True) as run:
        assert_type(run, migas.Session)
        assert_type(run.session_id, str)
        assert_type(run.response, ProjectAnswer | None)
        run.update(status_desc="half done")
        run.fail("no data")
        run.complete()
        run.set_exit_code(3)
        run.discard()
    with migas.track("lab/tool", "1.0.0") as tracked:
        assert_type(tracked, migas.Session)
    started = migas.session("lab/tool", "1.0.0").start()
    assert_type(started, migas.Session)
    started.stop(ValueError())


async def asynchronous() -> None:
    assert_type(await double_later(1), int)
    async with migas.session("lab/tool", "1.0.0") as run:
        assert_type(run, migas.Session)
    async with migas.track("lab/tool", "1.0.0") as tracked:
        assert_type(tracked, migas.Session)


def calls() -> None:
    migas.setup(endpoint="https://example.org", timeout=2, exit_timeout=0.5, save_config=False)
    assert_type(migas.add_project("lab/tool", "1.0.0", status="C"), ProjectAnswer)
    assert_type(migas.add_breadcrumb("lab/tool", "1.0.0", wait=True), BreadcrumbAnswer)
    assert_type(migas.check_project("lab/tool", "1.0.0"), CheckAnswer)
    assert_type(migas.get_usage("lab/tool", dt.date(2026, 1, 1), unique=True), UsageAnswer)
    assert_type(migas.get_usage("lab/tool", "2026-01-01")["hits"], int)
    assert_type(migas.get_projects(), ProjectsAnswer)
    assert_type(migas.flush(2.5), bool)
