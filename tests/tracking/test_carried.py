"""Functions that cloudpickle carries by value, as Dask, Ray and joblib do from `__main__`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cloudpickle
import pytest

from tests.support.desk import PRELUDE
from tests.tracking import tracked

if TYPE_CHECKING:
    from tests.support.desk import Desk

SENDER = """\
import asyncio, functools, sys
import cloudpickle, migas

track = migas.track("lab/tool", "1.0.0", error_handlers={{ValueError: lambda *_: {{}}}})

@track
def function(number):
    return number + offset

offset = 1

def make(number):
    @track
    def inner(other):
        return number + other
    return inner

class Thing:
    @track
    def method(self, number):
        return number + 1

    @classmethod
    @track
    def of_class(cls, number):
        return number + 1

    @track
    @staticmethod
    def of_none(number):
        return number + 1

@track
async def later(number):
    return number + 1

with open({path!r}, "wb") as file:
    file.write(cloudpickle.dumps({name}))
"""
RECEIVER = """\
import asyncio, inspect, pickle
{prelude}
with open({path!r}, "rb") as file:
    function = pickle.load(file)
result = function(1)
print(asyncio.run(result) if inspect.iscoroutine(result) else result)
"""
CARRIED = [
    "function",
    "make(1)",
    "track(lambda number: number + 1)",
    "track(functools.partial(function.__wrapped__))",
    "Thing().method",
    "Thing.of_class",
    "Thing.of_none",
    "later",
]


def arrive(desk: Desk, name: str, prelude: str = PRELUDE) -> bytes:
    """What a function gives in another process, called with 1."""
    path = str(desk.folder / "carried")
    assert desk.run(SENDER.format(name=name, path=path)).stderr == b""
    ended = desk.run(RECEIVER.format(prelude=prelude, path=path))
    assert ended.stderr == b""
    return ended.stdout


@pytest.mark.parametrize("name", CARRIED)
def test_a_tracked_function_stays_tracked(offline: Desk, name: str) -> None:
    assert arrive(offline, name) == b"2\n"
    assert [crumb["status"] for crumb in offline.waiting()] == ["C"]


def test_where_there_is_no_migas_the_function_itself_arrives(offline: Desk) -> None:
    assert arrive(offline, "function", "import sys; sys.modules['migas'] = None") == b"2\n"
    assert offline.waiting() == []


def test_where_people_opt_out_the_function_itself_arrives(offline: Desk) -> None:
    optout = "import os, sys; os.environ['MIGAS_OPTOUT'] = '1'"
    shown = f"{optout}\nimport atexit; atexit.register(lambda: print('wrapt' in sys.modules))"

    assert arrive(offline, "function", shown) == b"2\nFalse\n"


def test_a_function_that_can_be_imported_is_carried_by_name() -> None:
    assert cloudpickle.loads(cloudpickle.dumps(tracked.double)) is tracked.double
