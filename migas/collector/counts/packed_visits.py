"""Visits of many users in one row: ten bytes each, where a row of PostgreSQL takes 170.

Days of the past hardly change any more, and are asked for together. So they lie in columns, each
compressed by itself, for a question wants one kind of days; `visit_packing` decides which are
packed.
"""

from __future__ import annotations

import zlib
from array import array
from bisect import bisect_left
from typing import TYPE_CHECKING, Any, NamedTuple

from migas.collector.counts.packed_groups import UnreadableError, in_order
from migas.collector.counts.slices import NUMBER_BITS
from migas.collector.counts.visits import ENDINGS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_PART_BITS = 4

PARTS = 1 << _PART_BITS
"""Users are in so many parts, each packed by itself: who looks at a sample reads few of them, and
who takes back a day packs one of them anew."""

DAYS = ("days", *ENDINGS)
"""The columns of days, in the order of `visits.Days`."""

BITS_IN_PART = NUMBER_BITS - _PART_BITS
"""So many bits of a user's number tell users of a part apart."""

_TYPE = "q"  # signed, of 8 bytes


class Visit(NamedTuple):
    """What a user did with a version, and on which days of a block; see the table `visits`."""

    user_number: int
    profile: int
    days: tuple[int, ...]
    """As `visits.Days` has them."""


def part_of(user_number: int) -> int:
    """In which of the `PARTS` a user is."""
    return user_number >> BITS_IN_PART


def pack(those: Iterable[Visit]) -> dict[str, bytes]:
    """Pack visits to a version in a block of days; a user has one of each profile.

    Returns:
        The columns of `packed_visits` that say so.
    """
    rows = sorted(those)
    keys = [*(row.user_number for row in rows), *(row.profile for row in rows)]
    days = {name: [row.days[place] for row in rows] for place, name in enumerate(DAYS)}
    return {name: _packed(of) for name, of in ({"keys": keys} | days).items()}


def unpack(row: Mapping[Any, Any]) -> list[Visit]:
    """The visits of a row of `packed_visits`, in the order of their users.

    Raises:
        UnreadableError: Nobody packed it like that; a file was damaged, say.
    """
    try:
        users, profiles = _keys(row["keys"])
        days = zip(*(_unpacked(row[name]) for name in DAYS), strict=True)
        return list(map(Visit, users, profiles, days))
    except (zlib.error, ValueError) as error:
        *group, part = (row[name] for name in ("project", "version", "start", "part"))
        raise UnreadableError(f"visits of {group} in part {part}", error) from error


def days_of(keys: bytes, days: bytes, first: int, end: int) -> Iterable[tuple[int, int, int]]:
    """The profiles, users and days of some visits; of days of an ending there may be none.

    Args:
        keys: What `pack` made of users and profiles.
        days: And of the days that are meant.
        first: The smallest number of a user that is meant.
        end: The number behind the last one.
    """
    users, profiles = _keys(keys)
    begin, behind = bisect_left(users, first), bisect_left(users, end)
    every = profiles, users, _unpacked(days)
    return zip(*(column[begin:behind] for column in every), strict=True)


def _keys(packed: bytes) -> tuple[array[int], array[int]]:
    keys = _unpacked(packed)
    middle = len(keys) // 2
    return keys[:middle], keys[middle:]


def _packed(numbers: Iterable[int]) -> bytes:
    return zlib.compress(in_order(array(_TYPE, numbers)).tobytes())


def _unpacked(packed: bytes) -> array[int]:
    numbers: array[int] = array(_TYPE)
    numbers.frombytes(zlib.decompress(packed))
    return in_order(numbers)
