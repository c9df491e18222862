"""What is packed together: everything of a version in a block of days."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from sqlalchemy import Integer, literal_column

from migas.collector.days import BLOCK_DAYS

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


def block_in_sql(day: ColumnElement[int]) -> ColumnElement[int]:
    """The first day of a day's block, as `block_of` has it.

    It has no parameters: PostgreSQL would take two of them for two things, and group by neither.
    """
    days, three = (literal_column(str(number), Integer) for number in (BLOCK_DAYS, 3))
    return day - (day + three) % days


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
