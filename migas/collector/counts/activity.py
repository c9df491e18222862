"""Activity: on which days each user was active, and what their sessions ran on.

The days of a user are the bits of one number. So of the same users can be told, at once and one by
one, how many were active in any part of a period.
"""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from migas.collector.counts.usage import FACETS, Facet
from migas.collector.days import Period, day_number

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import date

    RanOn = Sequence[str]
    """The value of each of `FACETS`."""


class Activity:
    """The active days of users in a period.

    Args:
        period: Which days.
        days: By what their sessions ran on and by user, days as bits from the period's first on;
            others are left out.
    """

    def __init__(self, period: Period, days: Iterable[tuple[RanOn, Mapping[Any, int]]]) -> None:
        self._period = period
        self._days: dict[Any, int] = {}
        self._by_value: dict[tuple[Facet, str], dict[Any, int]] = {}
        for ran_on, of_users in days:
            _join(self._days, of_users)
            for facet, value in zip(FACETS, ran_on, strict=True):
                _join(self._by_value.setdefault((facet, value), {}), of_users)

    def users(self, period: Period) -> int:
        """How many users were active in a part of the period."""
        return _active(self._days, self._bits(period.first, period.last))

    def by_facet(self, period: Period) -> dict[Facet, Counter[str]]:
        """How many were by what their sessions ran on then; a user may be in several."""
        bits = self._bits(period.first, period.last)
        found: dict[Facet, Counter[str]] = {facet: Counter() for facet in FACETS}
        for (facet, value), days in self._by_value.items():
            if number := _active(days, bits):
                found[facet][value] = number
        return found

    def over_time(self) -> dict[date, int]:
        """How many users were active by the day, week or month; none of these is left out."""
        return {start: _active(self._days, bits) for start, bits in self._bars().items()}

    def new_over_time(self, first_days: Iterable[tuple[Any, date]]) -> Counter[date]:
        """How many users were active in the day, week or month in which they were first seen.

        Args:
            first_days: Users and when that was.
        """
        bars, found = self._bars(), Counter[Any]()
        for user, day in first_days:
            start = self._period.bucket(day)
            if self._days.get(user, 0) & bars.get(start, 0):
                found[start] += 1
        return found

    def _bars(self) -> dict[date, int]:
        starts = self._period.buckets()
        ends = [*(day_number(start) for start in starts), day_number(self._period.last) + 1]
        begin = day_number(self._period.first)
        return {
            start: (1 << max(0, end - begin)) - (1 << max(0, first - begin))
            for start, (first, end) in zip(starts, pairwise(ends), strict=True)
        }

    def _bits(self, first: date, last: date) -> int:
        begin = day_number(self._period.first)
        of_first = max(0, day_number(first) - begin)
        after = max(of_first, min(day_number(last), day_number(self._period.last)) + 1 - begin)
        return (1 << after) - (1 << of_first)


def _join(known: dict[Any, int], more: Mapping[Any, int]) -> None:
    """Add days of users to those that are known."""
    if not known:
        known.update(more)
        return
    for user, days in more.items():
        known[user] = known.get(user, 0) | days


def _active(days: Mapping[Any, int], bits: int) -> int:
    """How many users were active on one of some days."""
    return sum(map(bool, map(bits.__and__, days.values())))
