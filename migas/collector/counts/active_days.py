"""The active days of users, on their way from a database: three texts, whatever their number.

Drivers and parsers take longer for each value than databases do, and of ten thousand users there
are a hundred thousand. Words of a text are parted in one step.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from sqlalchemy import Text, cast, func, select

from migas.collector.database.tables import visits
from migas.collector.days import BLOCK_DAYS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sqlalchemy import ColumnElement, Select

_DIGITS = BLOCK_DAYS // 4
"""So many hexadecimal digits has a block of days, each of which is a bit."""


def active_days(
    those: Iterable[ColumnElement[bool]],
    days: ColumnElement[int],
    starts: Sequence[int],
    dialect: str,
) -> Select[*tuple[str, ...]]:
    """The question for the active days of each profile and user.

    Args:
        those: The conditions of visits.
        days: The column of visits that is meant.
        starts: On which days since 1970 the blocks begin that are meant, in order.
        dialect: `sqlite` or `postgresql`.
    """
    # One row for all days of a user, for most have visits in each block.
    blocks = [
        func.coalesce(func.max(days).filter(visits.c.start == start), 0)
        for start in reversed(starts)
    ]
    by = (visits.c.profile, visits.c.user_number)
    each = (
        select(*by, _hexadecimal(blocks, dialect).label("days"))
        .where(*those, visits.c.start.between(starts[0], starts[-1]))
        .group_by(*by)
        .subquery()
    )
    return select(*(func.aggregate_strings(cast(column, Text), " ") for column in each.c))


def days_by_user(
    rows: Iterable[Sequence[str | None]], since: int, number: int
) -> Mapping[int, Mapping[str, int]]:
    """The answer: by profile and user, days as bits.

    Args:
        rows: As the database has them.
        since: How many days after the beginning of the first block the first bit is.
        number: How many bits there are; users with none of them are left out.
    """
    these = (1 << number) - 1
    found: defaultdict[int, dict[str, int]] = defaultdict(dict)
    for texts in rows:
        profiles, people, days = ((text or "").split() for text in texts)
        for profile, user, digits in zip(profiles, people, days, strict=True):
            bits = int(digits, 16) >> since & these
            if bits:  # else the user was seen in a block alone of which the period has a part
                found[int(profile)][user] = bits
    return found


def _hexadecimal(blocks: Sequence[ColumnElement[int]], dialect: str) -> ColumnElement[str]:
    """One number after the other, each with all its digits."""
    if dialect == "postgresql":
        return func.concat(*(func.lpad(func.to_hex(of), _DIGITS, "0") for of in blocks))
    return func.printf(f"%0{_DIGITS}x" * len(blocks), *blocks)
