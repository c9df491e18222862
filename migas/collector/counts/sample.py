"""How many of very many users are looked at: so many that their number is known within 2 %.

The same part of all users is looked at again and again, for they are told apart by a hash.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

from migas.collector.counts.activity import margin
from migas.collector.counts.visits import SAMPLES

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_MARGIN = 2.0
"""By so many percent an estimate may be off, in 95 of 100 cases."""

ENOUGH = 10_500
"""From so many of very many users their number is known within 2 %, in 95 of 100 cases."""

MAX_AT_ONCE = 200_000
"""The days of so many users, where each of them is counted, are asked for in one question."""

FEW = 5_000
"""Fewer users are counted one by one."""


def parts_of_all(most: int) -> Iterable[tuple[int, int]]:
    """All parts of users, from one of `SAMPLES` to another: no text holds any number of them."""
    step = max(1, SAMPLES * MAX_AT_ONCE // max(most, MAX_AT_ONCE))
    return ((start, min(start + step, SAMPLES)) for start in range(0, SAMPLES, step))


def is_few(number: int) -> bool:
    """Whether users are so few that each of them is looked at, rather than a part of them."""
    return number < FEW


def halves(part: tuple[int, int]) -> Iterable[tuple[int, int]]:
    """A part of users, from one of `SAMPLES` to another, as two of about the same size."""
    first, end = part
    middle = (first + end) // 2
    return [of for of in ((first, middle), (middle, end)) if of[0] < of[1]]


class Sample:
    """So large a part of users that their number is known within `MAX_MARGIN` percent.

    Attributes:
        part: How many of `SAMPLES` parts it has.

    Args:
        most: How many users there are at most; where that is 0, all of them are looked at.
    """

    def __init__(self, most: int) -> None:
        self.part = 0
        self._most = most

    def another(self, found: int) -> tuple[int, int] | None:
        """From which part to which one to look next, if so many users are known; None at the end.

        Nobody is in two parts: those that are known are not looked for again.
        """
        before = self.part
        if before and margin(found, before) <= MAX_MARGIN:
            return None
        most = round(found * SAMPLES / before) if before else self._most
        share = 1.0 if is_few(most) else ENOUGH / (ENOUGH + most)
        # Those that are found tell how many more are needed; a quarter more, so that it has an end.
        self.part = min(SAMPLES, max(before + before // 4 + 1, ceil(SAMPLES * share)))
        return before, self.part
