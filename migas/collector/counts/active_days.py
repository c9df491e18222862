"""The active days of users, on their way from rows of visits: two texts for each profile.

Drivers and parsers take longer for each value than databases do, and of ten thousand users there
are a hundred thousand. Words of a text are parted in one step, and days in as many digits for each
user are bytes in one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Text, cast, func, select

from migas.collector.counts.activity import UserDays
from migas.collector.database.tables import visits
from migas.collector.days import BLOCK_DAYS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

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

    Returns:
        Rows of a profile, its users parted by spaces, and their days in the same order: of each
        user `_DIGITS` for a block, the last block first. Both texts are made of the same rows, one
        after the other.
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
    users, of_users = (cast(each.c[name], Text) for name in ("user_number", "days"))
    lists = func.aggregate_strings(users, " "), func.aggregate_strings(of_users, "")
    return select(each.c.profile, *lists).group_by(each.c.profile)


def add_days(found: dict[int, UserDays], rows: Iterable[tuple[int, str, str]]) -> None:
    """Add the days of users to what is known, by profile; of a profile they are others than those.

    Args:
        found: What is known.
        rows: As `active_days` has them.
    """
    for profile, users, days in rows:
        known = found.setdefault(profile, UserDays([], bytearray()))
        known.users.extend(map(int, users.split()))
        known.days.extend(bytes.fromhex(days))


def _hexadecimal(blocks: Sequence[ColumnElement[int]], dialect: str) -> ColumnElement[str]:
    """One number after the other, each with all its digits.

    Ten years, the longest period, have 67 of them. PostgreSQL takes a hundred arguments.
    """
    if dialect == "postgresql":
        return func.concat(*(func.lpad(func.to_hex(of), _DIGITS, "0") for of in blocks))
    return func.printf(f"%0{_DIGITS}x" * len(blocks), *blocks)
