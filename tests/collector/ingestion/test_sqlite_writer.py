"""SQLite's writing thread: all of a transaction or nothing, and an event loop that goes on."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from sqlalchemy.exc import IntegrityError

from migas.collector.collector import Collector
from migas.collector.database.prompt import prompt
from migas.collector.database.statements import insert_new
from migas.collector.database.tables import projects

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy.ext.asyncio import AsyncConnection

ROW = {"project": "owner/repo", "registered": 0}
INSERT = "INSERT INTO projects (project, registered) VALUES (?, ?) ON CONFLICT DO NOTHING"


async def _register(connection: AsyncConnection) -> None:
    await connection.execute(insert_new(projects, "sqlite"), [ROW])


async def _nothing(_: AsyncConnection) -> None:
    pass


def test_a_transaction_that_waits_for_something_else_is_undone(tmp_path: Path) -> None:
    async def scenario() -> None:
        async def waits(connection: AsyncConnection) -> None:
            await _register(connection)
            await asyncio.sleep(0)

        async with Collector.open(f"sqlite:///{tmp_path}/db") as collector:
            with pytest.raises(RuntimeError, match="nothing but its connection"):
                await collector.connections.transact(waits)
            assert await collector.projects.names() == []
            await collector.connections.transact(_register)
            assert await collector.projects.names() == ["owner/repo"]

    asyncio.run(scenario())


def test_who_gives_up_waiting_does_not_undo_what_is_being_written(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Collector.open(f"sqlite:///{tmp_path}/db") as collector:
            with closing(sqlite3.connect(tmp_path / "db", isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                writing = asyncio.create_task(collector.connections.transact(_register))
                await asyncio.sleep(0.05)  # the loop goes on while the thread waits for the file
                writing.cancel()
                other.execute("COMMIT")
            with pytest.raises(asyncio.CancelledError):
                await writing
            await collector.connections.transact(_nothing)  # after the one that was given up
            assert await collector.projects.names() == ["owner/repo"]

    asyncio.run(scenario())


def test_each_row_says_whether_it_was_there_already(tmp_path: Path) -> None:
    async def scenario() -> None:
        async def inserts(connection: AsyncConnection) -> list[int | None]:
            return prompt(connection).insert(INSERT, [("a/a", 0), ("b/b", 0), ("a/a", 1)])

        async with Collector.open(f"sqlite:///{tmp_path}/db") as collector:
            assert await collector.connections.transact(inserts) == [1, 2, None]
            assert await collector.connections.transact(inserts) == [None, None, None]

    asyncio.run(scenario())


def test_what_the_driver_refuses_is_an_error_like_all_others_and_undoes_the_rest(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        async def inserts(connection: AsyncConnection) -> None:
            prompt(connection).insert(INSERT, [("a/a", 0), ("b/b", None)])

        async with Collector.open(f"sqlite:///{tmp_path}/db") as collector:
            with pytest.raises(IntegrityError, match=r"^\(sqlite3.IntegrityError\)"):
                await collector.connections.transact(inserts)
            assert await collector.projects.names() == []

    asyncio.run(scenario())
