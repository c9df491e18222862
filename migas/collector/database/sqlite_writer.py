"""SQLite's transactions that write, each done by a thread in one go.

The asynchronous driver hands every step of a statement to a thread and waits for the answer, two
dozen times a transaction. Each of these waits costs more than most of the steps.
"""

from __future__ import annotations

import asyncio
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar, cast

from sqlalchemy.exc import DBAPIError

from migas.collector.database.engine import create_sqlite_writer
from migas.collector.database.prompt import Prompt

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from sqlalchemy import URL, Connection
    from sqlalchemy.ext.asyncio import AsyncConnection

Result = TypeVar("Result")


class SqliteWriter:
    """A thread that writes into one file.

    Args:
        url: The file, as `engine_url` has it.
    """

    def __init__(self, url: URL) -> None:
        self._engine = create_sqlite_writer(url)
        self._connection: Connection | None = None
        self._thread = ThreadPoolExecutor(1, "sqlite-writer")

    async def transact(self, work: Callable[[AsyncConnection], Awaitable[Result]]) -> Result:
        """Do work in a transaction, which is committed whether or not somebody still waits for it.

        Args:
            work: What to do; it may wait for nothing but its connection.
        """
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._do, work)

    async def close(self) -> None:
        """Close the file. Nothing may be written afterwards."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown()

    def _close(self) -> None:
        self._give_back()
        self._engine.dispose()

    def _give_back(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _do(self, work: Callable[[AsyncConnection], Awaitable[Result]]) -> Result:
        try:
            return self._transact(work)
        except BaseException:
            self._give_back()  # whatever is wrong with it, it is begun anew with
            raise

    def _transact(self, work: Callable[[AsyncConnection], Awaitable[Result]]) -> Result:
        # To take one from the pool and give it back costs more than an empty transaction.
        if self._connection is None:
            self._connection = self._engine.connect()
        try:
            with self._connection.begin():
                prompt = cast("AsyncConnection", Prompt(self._connection))
                steps = cast("Coroutine[Any, Any, Result]", work(prompt))
                try:
                    steps.send(None)
                except StopIteration as end:
                    return cast("Result", end.value)
                steps.close()
                raise RuntimeError("a transaction may wait for nothing but its connection")
        except sqlite3.Error as error:  # of a statement that went straight to the driver
            dialect = self._engine.dialect
            raise DBAPIError.instance(
                None, None, error, sqlite3.Error, hide_parameters=True, dialect=dialect
            ) from error
