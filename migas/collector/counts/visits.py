"""Visits: on which days a user was seen with a version and a profile, and when with an error.

They cannot be added up as counts can: where the only session of a day goes, or the last one, others
have to be looked for. Of a project with very many users a part tells how many all are; a hash says
which part a user is in, for ids are chosen by strangers.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from migas.collector.counts.slices import NUMBER_BITS, STATUSES, number_of
from migas.collector.days import block_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import ColumnElement

    from migas.collector.counts.sessions import Session

_SAMPLE_BITS = 8

SAMPLES = 1 << _SAMPLE_BITS
"""In so many equal parts are users."""

ENDING_STATUSES = tuple(status for status in STATUSES if status != "R")
ENDINGS = tuple(STATUSES[status] for status in ENDING_STATUSES)
"""The ways in which a session ends, and the columns of `visits` for those that ended so.

There is none for sessions that run: nearly each of them ends, and would be taken back then.
"""

Key = tuple[Any, ...]
"""What a row of `visits` or `error_users` is about: all but its days."""

Days = list[int]
"""The days of a row of `visits`, as bits: all of them, then those of each of `ENDINGS`."""

NO_DAYS = [0] * (1 + len(ENDINGS))


class Moves(NamedTuple):
    """The last days on which something was `seen`, and those that may be so no more, `lost`."""

    seen: dict[Key, int]
    lost: dict[Key, int]


@lru_cache(4096)  # Who sends something sends more soon.
def number_of_user(user_id: str) -> int:
    """The number that stands for a user in every count.

    Its first bits say in which of equal parts of all users somebody is: see `first_number`.
    """
    return number_of(user_id)


def first_number(part: int) -> int:
    """The smallest number of a user in a part; for `SAMPLES`, the one behind all of them."""
    return part << (NUMBER_BITS - _SAMPLE_BITS)


def in_parts(number: ColumnElement[int], parts: tuple[int, int]) -> ColumnElement[bool]:
    """The condition of users, by their numbers, from one of `SAMPLES` parts to another."""
    first, end = map(first_number, parts)
    return number.between(first, end - 1)


def visit(session: Session) -> tuple[Key, ...]:
    """What a session is a visit to: a profile with its version, and without one."""
    if session.user_number is None or session.profile is None:
        return ()
    alike = (session.profile, session.user_number, block_of(session.day))
    return (session.project, session.version, *alike), (session.project, "", *alike)


def visit_moves(
    changes: Sequence[tuple[Session | None, Session | None]],
) -> tuple[dict[Key, Days], set[Key]]:
    """What becomes of `visits` when sessions change.

    Args:
        changes: Pairs of what a session was and what it is; None where there is none.

    Returns:
        The days that were seen, and the keys of which a day may not be seen any more.
    """
    seen: dict[Key, Days] = {}
    lost: set[Key] = set()
    for before, after in changes:
        keys = visit(after) if after else ()
        if after:
            for key in keys:
                add_day(seen.setdefault(key, NO_DAYS.copy()), after)
        if before:
            stays = (
                after is not None
                and after.day == before.day
                and before.status in ("R", after.status)
            )
            lost.update(key for key in visit(before) if not (stays and key in keys))
    return seen, lost


def add_day(days: Days, session: Session) -> None:
    """Add the day of a session to those of a row that it is a visit to."""
    bit = 1 << (session.day - block_of(session.day))
    days[0] |= bit
    if session.status in ENDING_STATUSES:
        days[1 + ENDING_STATUSES.index(session.status)] |= bit


def failure(session: Session) -> tuple[Key, ...]:
    """Which error a session shows which user, if it does."""
    if session.user_number is None or session.fingerprint is None:
        return ()
    return ((session.project, session.fingerprint, session.user_number),)


def moves(
    changes: Sequence[tuple[Session | None, Session | None]],
    keys_of: Callable[[Session], tuple[Key, ...]],
) -> Moves:
    """What becomes of a table of last days when sessions change.

    Args:
        changes: Pairs of what a session was and what it is; None where there is none.
        keys_of: What a session is about.
    """
    seen, lost = Moves({}, {})
    for before, after in changes:
        keys = keys_of(after) if after else ()
        if after:
            day = after.day
            for key in keys:
                if day > seen.get(key, -1):
                    seen[key] = day
        if before:
            day = before.day
            for key in keys_of(before):
                if not (after and key in keys and day <= after.day):
                    lost[key] = max(lost.get(key, day), day)
    return Moves(seen, lost)
