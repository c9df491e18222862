"""Activity: on which days each user was active, and what their sessions ran on.

The days of users are the columns of one table of bits. So of the same users can be told, at once
and without looking at each of them, how many were active in any part of a period.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import timedelta
from functools import cached_property, lru_cache
from math import sqrt
from typing import TYPE_CHECKING, Any, NamedTuple

from migas.collector.counts.usage import FACETS, Facet
from migas.collector.counts.visits import SAMPLES
from migas.collector.days import BLOCK_DAYS, Period, block_of, day_number

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from datetime import date

    RanOn = Sequence[str]
    """The value of each of `FACETS`."""


BLOCK_BYTES = BLOCK_DAYS // 8
"""So many bytes has a block of days, each of which is a bit."""


class UserDays(NamedTuple):
    """Users' numbers, and on which days each of them was active.

    Each has `BLOCK_BYTES` of `days` for each block, the last block first. The lowest bit of all
    stands for the first day of the first block.
    """

    users: list[int]
    days: bytearray


class Activity:
    """The active days of users in a period.

    Attributes:
        part: As given.
        is_estimate: Whether nobody knows how many users the period has.

    Args:
        period: Which days.
        found: By what their sessions ran on, the days of users, from the beginning of the block in
            which the period begins to the end of that in which it ends; those outside are left out.
        part: Of how many of `SAMPLES` equal parts of all users these are. All numbers below are of
            these users; `whole` tells what they stand for.
        total: How many users the period has, where that is known.
    """

    def __init__(
        self,
        period: Period,
        found: Iterable[tuple[RanOn, UserDays]],
        part: int = SAMPLES,
        total: int | None = None,
    ) -> None:
        self.part = part
        self.is_estimate = part < SAMPLES and total is None
        self._period = period
        first, last = day_number(period.first), day_number(period.last)
        self._origin = block_of(first)
        width = row_bytes(first, last)
        self._ran_on: list[tuple[RanOn, int, int]] = []
        self._users: list[int] = []
        days = bytearray()
        for ran_on, (users, of_users) in found:
            begin = len(self._users)
            self._users += users
            days += of_users
            self._ran_on.append((ran_on, begin, len(self._users)))
        self._every = _Table(bytes(days), width)
        # Who has several rows, for several things that sessions ran on, is one user. So users are
        # all rows, without those of who has several, and one joined row for each of these.
        self._several = _rows_of_several(self._users)
        rows = [self._every.rows(of) for of in self._several]
        self._parted = _Table(b"".join(row for of_user in rows for row in of_user), width)
        self._joined = _Table(b"".join(map(_either, rows)), width)
        self._found = self.users(period)
        self._total = round(self._found * SAMPLES / part) if total is None else total

    def whole(self, number: int) -> int:
        """How many of all users there are for so many of these."""
        return round(number * self._total / self._found) if number else 0

    @property
    def everyone(self) -> Collection[int]:
        """The numbers of these users."""
        return self._rows_of.keys()

    @property
    def margin(self) -> float:
        """By how many percent of all users a number may be off, in 95 of 100 cases."""
        return margin(self._found, self.part)

    def users(self, period: Period) -> int:
        """How many users were active in a part of the period."""
        return self._active(*self._bits(period.first, period.last))

    def by_facet(self, period: Period) -> dict[Facet, Counter[str]]:
        """How many were by what their sessions ran on then; a user may be in several."""
        active = self._every.active(*self._bits(period.first, period.last))
        found: dict[Facet, Counter[str]] = {facet: Counter() for facet in FACETS}
        for ran_on, begin, end in self._ran_on:
            if number := end - begin - active.count(0, begin, end):
                for facet, value in zip(FACETS, ran_on, strict=True):
                    found[facet][value] += number
        for rows in self._several:
            if sum(map(bool, map(active.__getitem__, rows))) > 1:
                then = [self._ran_on_of[row] for row in rows if active[row]]
                for facet, values in zip(FACETS, zip(*then, strict=True), strict=True):
                    found[facet].subtract(values)
                    found[facet].update(set(values))
        return {facet: +of for facet, of in found.items()}

    def over_time(self) -> dict[date, int]:
        """How many users were active by the day, week or month; none of these is left out."""
        return {start: self._active(*ends) for start, ends in self._bars().items()}

    def new_over_time(self, new: Iterable[int]) -> Counter[date]:
        """How many of the users who are new in the period were first active in which of its bars.

        Args:
            new: Users of whom nothing was seen before the period, whatever they were active with.
        """
        found = Counter[Any]()
        first, end = self._bits(self._period.first, self._period.last)
        for user in new:
            days = int.from_bytes(_either(self._every.rows(self._rows_of.get(user, ()))))
            if days := days >> first & (1 << end - first) - 1:
                day = (days & -days).bit_length() - 1
                found[self._period.bucket(self._period.first + timedelta(days=day))] += 1
        return found

    @cached_property
    def _rows_of(self) -> dict[int, Sequence[int]]:
        """The rows of each user."""
        rows: dict[int, Sequence[int]] = {user: (row,) for row, user in enumerate(self._users)}
        return rows | {self._users[of[0]]: of for of in self._several}

    @cached_property
    def _ran_on_of(self) -> dict[int, RanOn]:
        """What the sessions of a row ran on, of who has several."""
        parted = {row for rows in self._several for row in rows}
        return {
            row: ran_on
            for ran_on, begin, end in self._ran_on
            for row in parted.intersection(range(begin, end))
        }

    def _active(self, first: int, end: int) -> int:
        """How many users have one of the bits from the first one on, before the end."""
        rows = self._every.number(first, end)
        if not self._several:
            return rows
        return rows - self._parted.number(first, end) + self._joined.number(first, end)

    def _bars(self) -> dict[date, tuple[int, int]]:
        """The first bit of each day, week or month, and the one behind its last."""
        starts = self._period.buckets()
        ends = [*starts[1:], self._period.last + timedelta(days=1)]
        a_day = timedelta(days=1)
        return {
            start: self._bits(start, end - a_day) for start, end in zip(starts, ends, strict=True)
        }

    def _bits(self, first: date, last: date) -> tuple[int, int]:
        """The first bit of some days, of those that the period has, and the one behind the last."""
        first, last = max(first, self._period.first), min(last, self._period.last)
        begin = day_number(first) - self._origin
        return begin, max(begin, day_number(last) + 1 - self._origin)


def row_bytes(first: int, last: int) -> int:
    """How many bytes the blocks of days have from that of one day to that of another."""
    return BLOCK_BYTES * ((block_of(last) - block_of(first)) // BLOCK_DAYS + 1)


def margin(found: int, part: int) -> float:
    """By how many percent a number may be off that so many users of so many parts stand for."""
    return 196 * sqrt((1 - part / SAMPLES) / max(found, 1))


def _rows_of_several(users: Sequence[int]) -> list[list[int]]:
    """The rows of each user who has several."""
    if len(set(users)) == len(users):
        return []
    numbers = Counter(users)
    found: defaultdict[int, list[int]] = defaultdict(list)
    for row, user in enumerate(users):
        if numbers[user] > 1:
            found[user].append(row)
    return list(found.values())


def _either(rows: Sequence[bytes]) -> bytes:
    """The bitwise OR of rows of one width; nothing of none."""
    if len(rows) < 2:
        return rows[0] if rows else b""
    days = 0
    for row in rows:
        days |= int.from_bytes(row)
    return days.to_bytes(len(rows[0]))


class _Table:
    """Many users' days, eight of them a byte, so that a column of it is one operation.

    Args:
        days: Days as bits, in rows, the last days first.
        width: How many bytes a row has.
    """

    def __init__(self, days: bytes, width: int) -> None:
        self._bytes, self._width = days, width
        self._height = len(days) // width

    def rows(self, numbers: Iterable[int]) -> list[bytes]:
        """Some of its rows."""
        width = self._width
        return [self._bytes[width * row : width * (row + 1)] for row in numbers]

    def active(self, first: int, end: int) -> bytes:
        """For each row a byte: 0 where it has no bit from the first one on and before the end."""
        bits = (1 << end) - (1 << first)
        either = 0
        for place in range(first // 8, (end + 7) // 8):
            mask = bits >> 8 * place & 255
            column = self._bytes[self._width - 1 - place :: self._width].translate(_masked(mask))
            either |= int.from_bytes(column)
        return either.to_bytes(self._height)

    def number(self, first: int, end: int) -> int:
        """How many rows have one of these bits."""
        return self._height - self.active(first, end).count(0)


@lru_cache(256)
def _masked(mask: int) -> bytes:
    """What becomes of each byte of which some bits are left."""
    return bytes(byte & mask for byte in range(256))
