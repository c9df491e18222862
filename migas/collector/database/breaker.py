"""A circuit breaker, for work on the database that no request should fail for, or wait long for.

While another process holds SQLite's one lock, a writer waits five seconds and then fails.
One request may find that out; those behind it go on without what can be done without.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

REST_SECONDS = 5.0
"""For so long the circuit stays open: a database that failed is not asked again."""


class CircuitOpenError(Exception):
    """The database failed just now (see `__cause__`), or a moment ago and was not asked again."""


class CircuitBreaker:
    """One attempt at a time, and none for a while after a failure.

    Args:
        clock: Tells the time in seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._turn = asyncio.Lock()
        self._open_until = float("-inf")

    @asynccontextmanager
    async def attempt(self) -> AsyncIterator[None]:
        """Work on the database in an `async with` block.

        Raises:
            CircuitOpenError: The database cannot be used, and nothing in the block was committed.
        """
        async with self._turn:
            if self._clock() < self._open_until:
                raise CircuitOpenError
            try:
                yield
            except (SQLAlchemyError, OSError) as error:
                self._open_until = self._clock() + REST_SECONDS
                raise CircuitOpenError from error
