"""Slices: the sessions of a day, or of a week, that are alike in everything that is filtered by.

From their counts every figure about some sessions is a sum, however many filters there are, over
far fewer rows than there are sessions. What a year is asked for is added up from whole weeks, and
from days only where a week is not whole.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from migas.collector.counts.sessions import facets
from migas.collector.days import day_number

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from migas.collector.counts.sessions import Session
    from migas.collector.days import Period

Span = Literal[1, 7]
"""How many days a slice has; weeks begin on Monday."""

SPANS: tuple[Span, ...] = (1, 7)

STATUSES = {"C": "completed", "F": "failed", "S": "suspended", "R": "running"}
"""The column of a table of slices that counts a status."""

_COLUMN_OF = {status: number for number, status in enumerate(STATUSES)}

NO_USER = ""


class Profile(NamedTuple):
    """Who ran something on what: the values of all filters but version and outcome.

    `user_type` is that with which the user was first seen, and `NO_USER` where there is none.
    """

    platform: str
    container: str
    language: str
    ci: str
    user_type: str

    @property
    def number(self) -> int:
        """What its values come to, in 63 bits: every process finds it without asking."""
        return _number(self)


class Slice(NamedTuple):
    """Sessions of a version and a profile on the `span` days from `day` on, since 1970."""

    project: str
    span: Span
    day: int
    version: str
    profile: Profile


class Part(NamedTuple):
    """Those sessions of a slice that have a status."""

    slice: Slice
    status: str


@lru_cache(4096)
def _number(profile: Profile) -> int:
    digest = hashlib.blake2b("\0".join(profile).encode(), digest_size=8).digest()
    return int.from_bytes(digest) >> 1


def parts(session: Session, types: Mapping[str | None, str]) -> tuple[Part, ...]:
    """Where a session is counted, once in each.

    Args:
        session: A session.
        types: The types of users, its own among them.
    """
    return _parts(
        session.project,
        session.day,
        session.version,
        session.status,
        session.platform,
        session.container,
        session.language,
        session.language_version,
        session.is_ci,
        types.get(session.user_id, NO_USER),
    )


@lru_cache(4096)  # Sessions of a day are much alike, and each breadcrumb comes by here.
def _parts(  # noqa: PLR0917  the columns
    project: str,
    day: int,
    version: str,
    status: str,
    platform: str,
    container: str,
    language: str,
    language_version: str,
    is_ci: bool,
    user_type: str,
) -> tuple[Part, ...]:
    ran_on = facets(platform, container, language, language_version, is_ci)
    profile = Profile._make([*(value for _, value in ran_on), user_type])
    return tuple(
        Part(Slice(project, span, first_day(day, span), version, profile), status) for span in SPANS
    )


def slice_rows(found: Mapping[Part, int]) -> dict[Slice, list[int]]:
    """Counts as rows have them: by slice, a number for each of `STATUSES`, in their order."""
    rows: dict[Slice, list[int]] = {}
    for (of, status), number in found.items():
        rows.setdefault(of, [0] * len(STATUSES))[_COLUMN_OF[status]] += number
    return rows


def key_of(of: Slice) -> tuple[str, int, int, str, int]:
    """A slice's key in `slices`, but for the shard."""
    return (*of[:-1], of.profile.number)


def described(found: Iterable[Slice]) -> list[tuple[Any, ...]]:
    """The rows of `profiles` that some slices speak of, in the order of their keys."""
    return sorted({(of.project, of.profile.number, *of.profile) for of in found})


def first_day(day: int, span: Span) -> int:
    """The first of the days that are counted together with a day; all are since 1970."""
    return day - (day + 3) % 7 if span == 7 else day  # 1970 began with a Thursday


def cover(period: Period, *, charted: bool) -> list[tuple[Span, int, int]]:
    """The slices that make up a period, each day once, as few as can be.

    Args:
        period: Which days.
        charted: Whether no week may stand for days of several bars of the period's chart.

    Returns:
        Spans, and from which first day to which, both included, their slices are meant. The last
        day is in no week, for it may not be over, and then no rate counts it.
    """
    begin, last = day_number(period.first), day_number(period.last)
    if charted and period.by == "day":
        return [(1, begin, last)]
    bars = [day_number(day) for day in period.buckets()[1:]] if charted else []
    found: list[tuple[Span, int, int]] = []
    for end in (*bars, last + 1):
        monday, after = first_day(begin + 6, 7), first_day(min(end, last), 7)
        if monday < after:
            found += [(1, begin, monday - 1), (7, monday, after - 7)]
            begin = after
        found.append((1, begin, end - 1))
        begin = end
    return _joined(found)


def _joined(ranges: Iterable[tuple[Span, int, int]]) -> list[tuple[Span, int, int]]:
    """Ranges in order without empty ones, those that follow on each other made one."""
    found: list[tuple[Span, int, int]] = []
    for span, begin, end in ranges:
        if found and found[-1][0] == span and found[-1][2] + span == begin <= end:
            found[-1] = (span, found[-1][1], end)
        elif begin <= end:
            found.append((span, begin, end))
    return found
