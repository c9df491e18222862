"""Activity: on which days each user was active, and what their sessions ran on.

The days of a user are the bits of one number. So of the same users can be told, at once and one by
one, how many were active in any part of a period.
"""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from functools import lru_cache
from itertools import pairwise
from math import sqrt
from typing import TYPE_CHECKING, Any

from migas.collector.counts.usage import FACETS, Facet
from migas.collector.counts.visits import SAMPLES
from migas.collector.days import Period, day_number

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import date

    RanOn = Sequence[str]
    """The value of each of `FACETS`."""


class Activity:
    """The active days of users in a period.

    Attributes:
        part: As given.
        is_estimate: Whether nobody knows how many users the period has.

    Args:
        period: Which days.
        days: By what their sessions ran on and by user, days as bits from the period's first on;
            others are left out.
        part: Of how many of `SAMPLES` equal parts of all users these are. All numbers below are of
            these users; `whole` tells what they stand for.
        total: How many users the period has, where that is known.
    """

    def __init__(
        self,
        period: Period,
        days: Iterable[tuple[RanOn, Mapping[Any, int]]],
        part: int = SAMPLES,
        total: int | None = None,
    ) -> None:
        self.part = part
        self.is_estimate = part < SAMPLES and total is None
        self._period = period
        self._by_profile = list(days)
        self._days: dict[Any, int] = {}
        for _, of_users in self._by_profile:
            _join(self._days, of_users)
        self._number = self.users(period)
        self._total = round(self._number * SAMPLES / part) if total is None else total

    def whole(self, number: int) -> int:
        """How many of all users there are for so many of these."""
        return round(number * self._total / self._number) if number else 0

    @property
    def margin(self) -> float:
        """By how many percent of all users a number may be off, in 95 of 100 cases."""
        return margin(self._number, self.part)

    def users(self, period: Period) -> int:
        """How many users were active in a part of the period."""
        return sum(
            map(bool, map(self._bits(period.first, period.last).__and__, self._days.values()))
        )

    def by_facet(self, period: Period) -> dict[Facet, Counter[str]]:
        """How many were by what their sessions ran on then; a user may be in several."""
        bits = self._bits(period.first, period.last)
        active: dict[tuple[Facet, str], list[list[Any]]] = {}
        for ran_on, of_users in self._by_profile:
            then = [user for user, days in of_users.items() if days & bits]
            for facet, value in zip(FACETS, ran_on, strict=True) if then else ():
                active.setdefault((facet, value), []).append(then)
        found: dict[Facet, Counter[str]] = {facet: Counter() for facet in FACETS}
        for (facet, value), several in active.items():
            found[facet][value] = len(set().union(*several))
        return found

    def over_time(self) -> dict[date, int]:
        """How many users were active by the day, week or month; none of these is left out."""
        table = _Table(self._days.values(), self._period.days)
        return {start: table.number(*ends) for start, ends in self._bars().items()}

    def new_over_time(self, new: Iterable[Any]) -> Counter[date]:
        """How many of the users who are new in the period were first active in which of its bars.

        Args:
            new: Users of whom nothing was seen before the period, whatever they were active with.
        """
        found = Counter[Any]()
        for user in new:
            if days := self._days.get(user, 0):
                first = (days & -days).bit_length() - 1
                found[self._period.bucket(self._period.first + timedelta(days=first))] += 1
        return found

    def _bars(self) -> dict[date, tuple[int, int]]:
        """The first bit of each day, week or month, and the one behind its last."""
        starts = self._period.buckets()
        begin = day_number(self._period.first)
        ends = [*(day_number(start) for start in starts), day_number(self._period.last) + 1]
        return {
            start: (max(0, first - begin), max(0, end - begin))
            for start, (first, end) in zip(starts, pairwise(ends), strict=True)
        }

    def _bits(self, first: date, last: date) -> int:
        begin = day_number(self._period.first)
        of_first = max(0, day_number(first) - begin)
        after = max(of_first, min(day_number(last), day_number(self._period.last)) + 1 - begin)
        return (1 << after) - (1 << of_first)


def margin(found: int, part: int) -> float:
    """By how many percent a number may be off that so many users of so many parts stand for."""
    return 196 * sqrt((1 - part / SAMPLES) / max(found, 1))


def _join(known: dict[Any, int], more: Mapping[Any, int]) -> None:
    """Add days of users to those that are known."""
    if not known:
        known.update(more)
        return
    for user, days in more.items():
        known[user] = known.get(user, 0) | days


class _Table:
    """Many users' days, eight of them a byte, so that a column of it is one operation.

    Args:
        days: Days as bits, by user.
        number: How many days there are.
    """

    def __init__(self, days: Iterable[int], number: int) -> None:
        self._width = number // 8 + 1
        # A block of days may reach beyond them.
        these = (1 << number) - 1
        rows = [(of_user & these).to_bytes(self._width, "little") for of_user in days]
        self._bytes, self._height = b"".join(rows), len(rows)

    def number(self, first: int, end: int) -> int:
        """How many users have one of the bits from the first one on, before the end."""
        bits = (1 << end) - (1 << first)
        either = 0
        for place in range(first // 8, self._width):
            mask = bits >> 8 * place & 255
            if not mask:
                break
            column = self._bytes[place :: self._width].translate(_masked(mask))
            either |= int.from_bytes(column, "little")
        return self._height - either.to_bytes(self._height, "little").count(0)


@lru_cache(256)
def _masked(mask: int) -> bytes:
    """What becomes of each byte of which some bits are left."""
    return bytes(byte & mask for byte in range(256))
