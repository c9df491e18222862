"""Fixtures for the collector's tests, which run on both kinds of databases."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.collector.databases import KINDS, Databases
from tests.collector.live import LiveCollector, LiveServer
from tests.support.postgres import running_postgres

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.collector.databases import Database
    from tests.support.postgres import Postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server of this session's own."""
    with running_postgres(durable=False) as server:
        yield server


@pytest.fixture(scope="session")
def databases(tmp_path_factory: pytest.TempPathFactory, postgres: Postgres) -> Databases:
    """What makes fresh databases."""
    return Databases(tmp_path_factory.mktemp("databases"), postgres)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Each kind of database in turn."""
    chosen: str = request.param
    return chosen


@pytest.fixture
def database(databases: Databases, kind: str) -> Iterator[Database]:
    """A fresh database with today's tables, of each kind in turn."""
    with databases.fresh(kind) as fresh:
        yield fresh


@pytest.fixture
def empty_database(databases: Databases, kind: str) -> Iterator[Database]:
    """A fresh database without tables, of each kind in turn."""
    with databases.fresh(kind, empty=True) as fresh:
        yield fresh


@pytest.fixture(scope="session")
def live_server() -> Iterator[LiveServer]:
    """A server behind which a test puts a database of its own."""
    server = LiveServer()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def collector(live_server: LiveServer, database: Database) -> Iterator[LiveCollector]:
    """A collector over a fresh database that takes registered projects only."""
    with live_server.collector(database) as running:
        yield running


@pytest.fixture
def open_collector(live_server: LiveServer, database: Database) -> Iterator[LiveCollector]:
    """A collector over a fresh database that registers whom it does not know."""
    with live_server.collector(database, open_registration=True) as running:
        yield running
