"""Fixtures for the collector's tests, which run on both kinds of databases."""

from __future__ import annotations

import argparse
import sqlite3
from contextlib import closing, contextmanager
from importlib import import_module
from typing import TYPE_CHECKING

import pytest

from migas.collector.database import engine
from tests.collector.command_line import Done
from tests.collector.databases import KINDS, Databases
from tests.collector.live import LiveCollector, LiveServer
from tests.support.postgres import running_postgres

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tests.collector.command_line import Run
    from tests.collector.databases import Database
    from tests.support.postgres import Postgres

BUSY_SECONDS = 2.0
"""How long SQLite waits for a lock where a test holds it."""


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server of this session's own."""
    with running_postgres(durable=False) as server:
        yield server


@pytest.fixture(scope="session")
def databases(tmp_path_factory: pytest.TempPathFactory, postgres: Postgres) -> Iterator[Databases]:
    """What makes fresh databases."""
    with closing(Databases(tmp_path_factory.mktemp("databases"), postgres)) as made:
        yield made


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
def sqlite(databases: Databases) -> Iterator[Database]:
    """A fresh SQLite database with today's tables."""
    with databases.fresh("sqlite") as fresh:
        yield fresh


@pytest.fixture
def busy(
    sqlite: Database, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], AbstractContextManager[None]]:
    """What has another process hold the lock of `sqlite` for a `with` block."""
    monkeypatch.setattr(engine, "_BUSY_MS", int(1000 * BUSY_SECONDS))

    @contextmanager
    def hold() -> Iterator[None]:
        with closing(sqlite3.connect(sqlite.path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            yield

    return hold


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


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run a command in this process: a process of its own takes two seconds to import it all."""
    monkeypatch.delenv("MIGAS_DB", raising=False)
    parser = argparse.ArgumentParser()
    subparsers = parser.add_subparsers(required=True)
    for name in ("serve", "project", "token", "report", "database"):
        import_module(f"migas.collector.admin.{name}").register(subparsers)

    def run(*arguments: str) -> Done:
        options = parser.parse_args(arguments)
        status = options.run(options)
        return Done(status, *capsys.readouterr())

    return run
