"""Fixtures for the collector's tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.collector.live import LiveCollector, LiveServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def live_server() -> Iterator[LiveServer]:
    """A server behind which a test puts a database of its own."""
    server = LiveServer()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def collector(live_server: LiveServer, tmp_path: Path) -> Iterator[LiveCollector]:
    """A collector over a fresh database that takes registered projects only."""
    with live_server.collector(tmp_path / "collector.sqlite") as running:
        yield running


@pytest.fixture
def open_collector(live_server: LiveServer, tmp_path: Path) -> Iterator[LiveCollector]:
    """A collector over a fresh database that registers whom it does not know."""
    with live_server.collector(tmp_path / "collector.sqlite", open_registration=True) as running:
        yield running
