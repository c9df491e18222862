"""No test hangs for ever: it fails where it waits, and what holds out dies with its stack.

One interruption is not enough: a `with` around a program waits for it once more on the way out. Nor
are interruptions alone: what waits in C for a lock, or catches everything, never sees them.
"""

from __future__ import annotations

import faulthandler
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = [
    "pytest_configure",
    "pytest_runtest_call",
    "pytest_runtest_setup",
    "pytest_runtest_teardown",
]

SECONDS = 100.0
"""For a test's fixtures, for itself, and for its way out: none takes so long on a busy machine."""

CAMPAIGN_SECONDS = 1200.0
LAST_SECONDS = 15.0
"""How long a test may hold out against being interrupted."""

_stderr = [2]


def pytest_configure() -> None:
    """Keep the standard error that is not captured."""
    _stderr[0] = os.dup(2)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Limit a test itself, to what it says of itself if it does."""
    own = item.get_closest_marker("seconds")
    return (yield from _limited(own.args[0] if own else _usual(item)))


@pytest.hookimpl(wrapper=True)
def _around(item: pytest.Item) -> Generator[None, Any, Any]:
    return (yield from _limited(_usual(item)))


pytest_runtest_setup = pytest_runtest_teardown = _around


def _usual(item: pytest.Item) -> float:
    return CAMPAIGN_SECONDS if item.get_closest_marker("slow") else SECONDS


def _limited(seconds: float) -> Generator[None, Any, Any]:
    def interrupt(*_: object) -> None:
        pytest.fail(f"it hangs: {seconds:.0f} s have passed")

    before = signal.signal(signal.SIGALRM, interrupt)
    faulthandler.dump_traceback_later(seconds + LAST_SECONDS, exit=True, file=_stderr[0])
    signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)
    try:
        return (yield)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        faulthandler.cancel_dump_traceback_later()
        signal.signal(signal.SIGALRM, before)
