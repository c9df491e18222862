"""Questions to SQLite, each asked by a thread in one go.

The asynchronous driver hands every step to a thread and waits for the answer: connecting,
beginning, asking, fetching, ending. For a question that leads straight to its rows that is nearly
all it takes.

A thread takes Python's one lock anew for each row that it fetches, and while others have it that is
a wait of milliseconds a row. So an answer of many rows is fetched as one JSON text: then questions
are answered side by side, and nobody else's request is kept waiting by them.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import JSON, event, func, select

from migas.collector.database.engine import POOL_SIZE, create_sqlite_reader

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import URL, Select


_INTERRUPTING_SECONDS = 0.02

MAX_KEPT = 256
"""So many questions are kept as they are put to SQLite."""


class SqliteReader:
    """Threads that ask one file.

    Args:
        url: The file, as `engine_url` has it.
    """

    def __init__(self, url: URL) -> None:
        self._engine = create_sqlite_reader(url)
        self._connections: list[sqlite3.Connection] = []
        event.listen(self._engine, "connect", self._note)
        self._threads = ThreadPoolExecutor(POOL_SIZE, "sqlite-reader")

    async def rows(self, query: Any, values: Mapping[str, Any] | None = None) -> Sequence[Any]:
        """The answer to one question; the arguments are those of `Connections.rows`."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._rows, query, values)

    async def many(self, query: Any, values: Mapping[str, Any] | None = None) -> Sequence[Any]:
        """The answer to a question of many rows, as tuples of texts, integers, None and lists.

        Other numbers have the 15 digits that SQLite writes. Lists are columns of the type `JSON`.
        """
        # Who builds a statement anew each time gives it no values.
        as_text = _as_text if values is None else _kept_as_text
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._many, as_text(query), values)

    async def close(self) -> None:
        """Close the file. Nothing may be asked afterwards."""
        ending = asyncio.create_task(asyncio.to_thread(self._threads.shutdown, cancel_futures=True))
        # A question whose asker is gone may still be looked into, for minutes. Again and again, for
        # one that is about to be asked cannot be interrupted yet.
        while not (await asyncio.wait([ending], timeout=_INTERRUPTING_SECONDS))[0]:
            for connection in self._connections:
                with suppress(sqlite3.ProgrammingError):  # one that was closed, for a fault say
                    connection.interrupt()
        self._engine.dispose()

    def _note(self, connection: sqlite3.Connection, _record: object) -> None:
        self._connections.append(connection)

    def _many(self, query: Any, values: Mapping[str, Any] | None) -> Sequence[Any]:
        ((text,),) = self._rows(query, values)
        return list(map(tuple, json.loads(text)))

    def _rows(self, query: Any, values: Mapping[str, Any] | None) -> Sequence[Any]:
        with self._engine.connect() as connection:
            return connection.execute(query, values).all()


def _as_text(query: Any) -> Select[Any]:
    """The question whose answer is all rows of another one's as one text."""
    inner = query.subquery()
    # Without a word SQLite takes a list that comes out of a UNION for a text.
    columns = (func.json(of) if isinstance(of.type, JSON) else of for of in inner.c)
    return select(func.json_group_array(func.json_array(*columns)))


_kept_as_text = lru_cache(MAX_KEPT)(_as_text)
