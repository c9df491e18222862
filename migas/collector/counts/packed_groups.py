"""What is packed together: everything of a version in a block of days."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, NamedTuple, TypeVar

if TYPE_CHECKING:
    from array import array
    from collections.abc import Callable

    from sqlalchemy import ColumnElement, Table
    from sqlalchemy.ext.asyncio import AsyncConnection

Result = TypeVar("Result")

WORTH = 32
"""Loose rows are packed where there is one for so many packed ones, which are written anew."""


class UnreadableError(Exception):
    """Something packed that cannot be unpacked; `migas db rebuild` makes it anew.

    Args:
        packed: What it is, for people.
        error: What was found wrong.
    """

    def __init__(self, packed: str, error: Exception) -> None:
        super().__init__(
            f"packed {packed} cannot be read: {error}; `migas db rebuild` makes them anew"
        )


class Group(NamedTuple):
    """A version in a block of days, which is named by the first of them."""

    project: str
    version: str
    start: int

    def of(self, table: Table) -> list[ColumnElement[bool]]:
        """Which rows of a table are about it."""
        return [table.c[name] == value for name, value in self._asdict().items()]


async def aside(connection: AsyncConnection, work: Callable[[], Result]) -> Result:
    """Do work that keeps a processor busy where nobody waits for it.

    On SQLite whoever writes is in a thread already.
    """
    return await asyncio.to_thread(work) if connection.dialect.name == "postgresql" else work()


def in_order(numbers: array[int]) -> array[int]:
    """The lowest byte of each first, for a database may be carried to another kind of machine."""
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
