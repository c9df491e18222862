"""Slices: sessions of a day, a week or eight that are alike in everything that is filtered by.

From their counts every figure about some sessions is a sum, however many filters there are, over
far fewer rows than there are sessions. What a year is asked for is added up from blocks of eight
weeks, from weeks where a block is not whole, and from days where a week is not.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, NamedTuple

from migas.collector.counts.sessions import facets
from migas.collector.days import BLOCK_DAYS, block_of, day_number, monday_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from migas.collector.counts.sessions import Session
    from migas.collector.days import Period

Span = Literal[1, 7, 56]
"""How many days a slice has; weeks begin on Monday, and blocks of them as `block_of` has it."""

SPANS: tuple[Span, ...] = (1, 7, BLOCK_DAYS)

WEEKS: tuple[Span, ...] = (1, 7)
"""Those of counts that have no longer ones."""

STATUSES = {"C": "completed", "F": "failed", "S": "suspended", "R": "running"}
"""The column of a table of slices that counts a status."""

_COLUMN_OF = {status: number for number, status in enumerate(STATUSES)}

NUMBER_BITS = 47
"""So many have the numbers that stand for profiles and users.

SQLite keeps them in six bytes. That two of a million users have one in common, and are taken for
one, happens in one of three hundred databases.
"""

NO_USER = ""

EVERY = -1
"""Where a profile's number stands, this means whatever sessions ran on; no profile has it."""


class Profile(NamedTuple):
    """Who ran something on what: the values of all filters but version and outcome.

    `number` stands for the others: see `number_of`. `user_type` is that with which the user was
    first seen, and `NO_USER` where there is none.
    """

    number: int
    platform: str
    container: str
    language: str
    ci: str
    user_type: str


Key = tuple[str, int, int, int, str]
"""Project, span, first day since 1970, profile by its number, and version, of a slice.

With a negative span, and no version, it is of all versions, with the profile `EVERY` of all
profiles: so that only who asks for both reads as many rows as there are pairs of them.
"""

Slices = dict[Key, list[int]]
"""Numbers of sessions by slice, one for each of `STATUSES` and in their order."""


class RanOn(NamedTuple):
    """What a session ran on, as a breadcrumb says it."""

    platform: str
    container: str
    language: str
    language_version: str
    is_ci: bool


@lru_cache(4096)  # Each breadcrumb comes by here, and most have a profile that others have.
def profile_of(ran_on: RanOn, user_type: str) -> Profile:
    """The profile of sessions.

    Args:
        ran_on: What they ran on.
        user_type: The type of their user; `NO_USER` where there is none.
    """
    values = [*(value for _, value in facets(*ran_on)), user_type]
    return Profile(number_of("\0".join(values)), *values)


def number_of(text: str) -> int:
    """The number, of `NUMBER_BITS`, that stands for a text in the rows of counts.

    Every process finds it without asking.
    """
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest) >> (64 - NUMBER_BITS)


def add_to(rows: Slices, session: Session, number: int) -> None:
    """Count sessions that are alike in their slices.

    Args:
        rows: What is counted so far.
        session: One of them; if it has no profile, no collector has counted it here.
        number: How many there are; below 0 for those that are no more.
    """
    if session.profile is None:
        return
    column = _COLUMN_OF[session.status]
    for key in _keys(session.project, session.day, session.profile, session.version):
        row = rows.get(key)
        if row is None:
            row = rows[key] = [0] * len(STATUSES)
        row[column] += number


@lru_cache(8192)
def _keys(project: str, day: int, profile: int, version: str) -> tuple[Key, ...]:
    return tuple(
        (project, sign * span, first_day(day, span), which, of)
        for span in SPANS
        for sign, which, of in ((1, profile, version), (1, EVERY, version), (-1, profile, ""))
    )


def first_day(day: int, span: Span) -> int:
    """The first of the days that are counted together with a day; all are since 1970."""
    return {1: day, 7: monday_of(day), BLOCK_DAYS: block_of(day)}[span]


def cover(
    period: Period, *, charted: bool, spans: Sequence[Span] = SPANS
) -> Sequence[tuple[Span, int, int]]:
    """The slices that make up a period, each day once, as few as can be.

    Args:
        period: Which days.
        charted: Whether none may stand for days of several bars of the period's chart.
        spans: Those that there are, the shortest first.

    Returns:
        Spans, and from which first day to which, both included, their slices are meant. The last
        day has a slice of its own, for it may not be over, and then no rate counts it.
    """
    return _cover(period, charted, tuple(spans))


@lru_cache(64)  # A page asks a dozen times for the same few.
def _cover(
    period: Period, charted: bool, spans: tuple[Span, ...]
) -> Sequence[tuple[Span, int, int]]:
    begin, last = day_number(period.first), day_number(period.last)
    if charted and period.by == "day":
        return ((1, begin, last),)
    bars = [day_number(day) for day in period.buckets()[1:]] if charted else []
    found: list[tuple[Span, int, int]] = []
    for end in (*bars, last):
        found += _filled(begin, end, spans)
        begin = end
    return tuple(_joined([*found, (1, last, last)]))


def _filled(begin: int, end: int, spans: Sequence[Span]) -> list[tuple[Span, int, int]]:
    """The slices of the days from one on and before another."""
    *shorter, span = spans
    start, after = first_day(begin + span - 1, span), first_day(end, span)
    if not shorter or begin >= end:
        return [(1, begin, end - 1)]
    if start >= after:
        return _filled(begin, end, shorter)
    whole = [(span, start, after - span)]
    return _filled(begin, start, shorter) + whole + _filled(after, end, shorter)


def starts_in(
    period: Period, *, charted: bool, spans: Sequence[Span] = SPANS
) -> list[tuple[Span, list[int]]]:
    """The same, as spans and the days on which their slices begin."""
    found: dict[Span, list[int]] = {}
    for span, first, last in cover(period, charted=charted, spans=spans):
        found.setdefault(span, []).extend(range(first, last + 1, span))
    return list(found.items())


def _joined(ranges: Iterable[tuple[Span, int, int]]) -> list[tuple[Span, int, int]]:
    """Ranges in order without empty ones, those that follow on each other made one."""
    found: list[tuple[Span, int, int]] = []
    for span, begin, end in ranges:
        if found and found[-1][0] == span and found[-1][2] + span == begin <= end:
            found[-1] = (span, found[-1][1], end)
        elif begin <= end:
            found.append((span, begin, end))
    return found
