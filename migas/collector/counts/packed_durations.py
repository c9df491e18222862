"""Durations of many runs in one row: three bytes a run, where a row of PostgreSQL takes 120.

A row has the counts of a version by what the runs ran on, and by day, week or block; so every
filter finds what it asks for. What they add up to whatever they ran on lies beside it, for most
questions have no filter.
"""

from __future__ import annotations

import zlib
from array import array
from bisect import bisect_left
from collections import Counter, defaultdict
from itertools import groupby
from typing import TYPE_CHECKING, Final

from migas.collector.counts.durations import BUCKETS, SHORTEST_BUCKET
from migas.collector.counts.packed_groups import in_order
from migas.collector.counts.slices import SPANS, WEEKS
from migas.collector.days import BLOCK_DAYS, block_of, monday_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from migas.collector.counts.slices import Span

_BUCKET_BITS = (BUCKETS - 1).bit_length()
_PLACE_BITS = (BLOCK_DAYS - 1).bit_length()
_KEY_BITS = _PLACE_BITS + _BUCKET_BITS
_KEYS = 1 << _KEY_BITS
_PLACES = 1 << _PLACE_BITS

ROW_DAYS: Final[Mapping[Span, int]] = {1: 7, 7: BLOCK_DAYS, BLOCK_DAYS: BLOCK_DAYS}
"""Of so many days a row has the slices that have so many days each."""

Cells = dict[int, int]
"""Numbers of runs by `cell`."""

_PROFILE, _SIZE, _KEY = "q", "q", "H"
"""The types of the columns: whole numbers of 8, 8 and 2 bytes."""

_COUNTS = "BHi"
"""Those of numbers of runs, the smallest first: whole numbers of 1, 2 and 4 bytes."""

_MOST = {"B": 0xFF, "H": 0xFFFF}


def spans_of(version: str) -> Sequence[Span]:
    """The spans of which a version, or of any version: '', has rows.

    No bar of a chart has a block, and it is charts that ask for all versions.
    """
    return SPANS if version else WEEKS


def row_of(day: int, span: Span) -> int:
    """The day with which the row begins that has a day's slice; both are since 1970."""
    return monday_of(day) if span == 1 else block_of(day)


def cell(profile: int, place: int, bucket: int) -> int:
    """The number that stands for runs which are counted together.

    Args:
        profile: What they ran on.
        place: The number of the day in its block, or of the slice in its row, from 0 on.
        bucket: How long they took.
    """
    return profile << _KEY_BITS | place << _BUCKET_BITS | bucket - SHORTEST_BUCKET


def parts(cells: Mapping[int, int]) -> Iterable[tuple[int, int, int, int]]:
    """Profiles, places, buckets and numbers of runs of cells."""
    for number, runs in cells.items():
        place = number >> _BUCKET_BITS
        bucket = (number & BUCKETS - 1) + SHORTEST_BUCKET
        yield number >> _KEY_BITS, place & _PLACES - 1, bucket, runs


def added_up(*several: Mapping[int, int]) -> Cells:
    """The sums of counts, those of nothing left out."""
    found: Counter[int] = Counter()
    for cells in several:
        found.update(cells)
    return {number: runs for number, runs in found.items() if runs}


def of_span(days: Mapping[int, int], span: Span) -> dict[int, Cells]:
    """The counts of a block by day, added up to those of slices of so many days.

    Returns:
        Those of each row, by the number of the row's first day in the block.
    """
    found: defaultdict[int, Cells] = defaultdict(lambda: defaultdict(int))
    length = ROW_DAYS[span]
    for number, runs in days.items():
        day = number >> _BUCKET_BITS & _PLACES - 1
        place = day % length // span
        found[day - day % length][number - (day - place << _BUCKET_BITS)] += runs
    return found


def of_days(rows: Mapping[int, Mapping[int, int]]) -> Cells:
    """The counts of a block by day that rows of slices of a day have, by their first days."""
    return {
        number + (first << _BUCKET_BITS): runs
        for first, cells in rows.items()
        for number, runs in cells.items()
    }


def of_all(cells: Mapping[int, int]) -> Cells:
    """The counts added up over all profiles, as if they were of the profile 0."""
    found: defaultdict[int, int] = defaultdict(int)
    for number, runs in cells.items():
        found[number & _KEYS - 1] += runs
    return found


def pack(cells: Mapping[int, int]) -> bytes:
    """Pack counts."""
    numbers = sorted(cells)
    profiles: list[int] = []
    sizes: list[int] = []
    for profile, those in groupby(numbers, lambda number: number >> _KEY_BITS):
        profiles.append(profile)
        sizes.append(sum(1 for _ in those))
    counts = [cells[number] for number in numbers]
    least, most = min(counts, default=0), max(counts, default=0)
    kind = next(of for of in _COUNTS if (least >= 0 and most <= _MOST.get(of, most)) or of == "i")
    columns = (
        array(_SIZE, [_COUNTS.index(kind), len(profiles)]),
        array(_PROFILE, profiles),
        array(_SIZE, sizes),
        array(_KEY, [number & _KEYS - 1 for number in numbers]),
        array(kind, counts),
    )
    return zlib.compress(b"".join(in_order(column).tobytes() for column in columns))


def unpack(packed: bytes) -> Cells:
    """What `pack` has packed.

    Raises:
        ValueError: It has not packed that.
    """
    profiles, sizes, keys, counts = _columns(packed)
    cells: Cells = {}
    begin = 0
    for profile, size in zip(profiles, sizes, strict=True):
        end = begin + size
        first = profile << _KEY_BITS
        numbers = [first | key for key in keys[begin:end]]
        cells.update(zip(numbers, counts[begin:end], strict=True))
        begin = end
    return cells


def add_to(
    numbers: Mapping[int, list[int]], packed: bytes, profiles: Collection[int] | None
) -> None:
    """Add numbers of runs of some profiles to those that are known.

    Args:
        numbers: By place, for those that are meant, lists of `BUCKETS` numbers of runs, which begin
            with that of `SHORTEST_BUCKET`. Several places may have the same one.
        packed: What `pack` made of counts.
        profiles: Those that are meant; None for all.

    Raises:
        ValueError: Nobody packed it like that.
    """
    of_profiles, sizes, keys, counts = _columns(packed)
    begin = 0
    for profile, size in zip(of_profiles, sizes, strict=True):
        end = begin + size
        for place, known in numbers.items() if profiles is None or profile in profiles else ():
            first = place << _BUCKET_BITS
            here = slice(
                bisect_left(keys, first, begin, end), bisect_left(keys, first + BUCKETS, begin, end)
            )
            for key, runs in zip(keys[here], counts[here], strict=True):
                known[key - first] += runs
        begin = end


def _columns(packed: bytes) -> Sequence[array[int]]:
    """Profiles, how many cells each has, and of these the keys and the numbers of runs.

    Raises:
        ValueError: Nobody packed it like that.
    """
    try:
        left = memoryview(zlib.decompress(packed))
    except zlib.error as error:
        raise ValueError(str(error)) from error

    def read(kind: str, number: int) -> array[int]:
        nonlocal left
        column: array[int] = array(kind)
        size = number * column.itemsize
        column.frombytes(left[:size])
        left = left[size:]
        if len(column) != number:
            raise ValueError(f"{number} numbers are not there")
        return in_order(column)

    kind, number = read(_SIZE, 2)
    if not 0 <= kind < len(_COUNTS):
        raise ValueError(f"{kind} is no kind of numbers")
    profiles, sizes = read(_PROFILE, number), read(_SIZE, number)
    columns = profiles, sizes, read(_KEY, sum(sizes)), read(_COUNTS[kind], sum(sizes))
    if left:
        raise ValueError(f"there are {len(left)} bytes more")
    return columns
