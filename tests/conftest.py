"""Fixtures that every test may use."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.collector import running_collector

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.collector import CollectorProcess


@pytest.fixture(scope="session")
def shared_collector() -> Iterator[CollectorProcess]:
    """A collector that registers whom it does not know, one for the whole session."""
    with running_collector() as collector:
        yield collector
