"""What a session is, and what it counts for: pure functions over its breadcrumbs.

A session is counted once, as one of its breadcrumbs describes it: the last that tells of an end, or
the last of all while none does. It counts on the day it ended, where that one says so, else on the
day it began. Breadcrumbs without a session are one session per project and day, as nothing tells
them apart.
"""

from __future__ import annotations

from collections import Counter
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from migas.collector.database.tables import MAX_VALUE_CHARS
from migas.collector.days import SECONDS_A_DAY, monday_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

_Changed = TypeVar("_Changed")
_Counted = TypeVar("_Counted")

NO_SESSION = "00000000-0000-0000-0000-"
"""How the ids begin that stand for a day's breadcrumbs without a session."""

OUTCOME = "outcome"
ERROR = "fingerprint"
ERRORS_WEEKLY = "weekly errors"
VERSIONS_WEEKLY = "weekly versions"
ERRORS_LONG = "fingerprints"
VERSIONS_LONG = "version errors"
"""Kinds of counts. An outcome's value is a version and its detail a status; an error's value is
the error's name and its detail a version. The others are of the week, or of `LONG_DAYS`, from their
day on: of an error's name without a detail, and of a version whose detail is the name."""

LONG_DAYS = 91


class Session(NamedTuple):
    """A session as its last end describes it, or while it has none its last breadcrumb.

    It began when the first of its breadcrumbs came, and was `seen` when the last one did; both may
    be others than the one that describes it, whose row is `last_idx`.

    Its user, and what it ran on, are numbers, as the table has them; None for both where a
    collector of an earlier step has written it.
    """

    session_id: str
    project: str
    began: int
    seen: int
    last_idx: int
    version: str
    status: str
    error_type: str | None = None
    fingerprint: int | None = None
    ended: int | None = None
    duration: float | None = None
    profile: int | None = None
    user_number: int | None = None

    @property
    def day(self) -> int:
        """The day on which it counts, in days since 1970."""
        return (self.began if self.ended is None else self.ended) // SECONDS_A_DAY

    @property
    def key(self) -> tuple[str, str]:
        """What makes it this session: an id may be used in several projects."""
        return self.session_id, self.project


class Count(NamedTuple):
    """What a row of `daily` counts."""

    project: str
    kind: str
    day: int
    value: str
    detail: str


def anonymous_session(timestamp: int) -> str:
    """The id that stands for a day's breadcrumbs without one: zeros, and the day at the end."""
    return f"{NO_SESSION}{timestamp // SECONDS_A_DAY:012x}"


LAST_ANONYMOUS = anonymous_session((16**12 - 1) * SECONDS_A_DAY)
"""The last id of that form, in the order of ids."""


def anonymous_day(session_id: str) -> int | None:
    """The day whose breadcrumbs without a session an id stands for, in days since 1970."""
    return int(session_id[len(NO_SESSION) :], 16) if session_id.startswith(NO_SESSION) else None


def joined(one: Session, other: Session) -> Session:
    """One session from two parts of it, the same whichever of them is known first.

    The later end speaks. What says that the run goes on speaks only while there is no end: it may
    have been overtaken on its way, and whatever has ended goes on no more.
    """
    speaks = max(one, other, key=lambda part: (part.status != "R", part.last_idx))
    return speaks._replace(began=min(one.began, other.began), seen=max(one.seen, other.seen))


def merged(parts: Iterable[Session]) -> dict[tuple[str, str], Session]:
    """The sessions that some breadcrumbs belong to, by their keys and in the keys' order."""
    found: dict[tuple[str, str], Session] = {}
    for part in parts:
        known = found.get(part.key)
        found[part.key] = part if known is None else joined(known, part)
    return dict(sorted(found.items()))


def counted(session: Session) -> tuple[Count, ...]:
    """The rows of `daily` in which a session is counted, once in each."""
    project, day, version = session.project, session.day, session.version
    counts: tuple[Count, ...] = (Count(project, OUTCOME, day, version, session.status),)
    if session.fingerprint is not None:
        name, start, monday = error_name(session.fingerprint), first_long_day(day), monday_of(day)
        counts += (
            Count(project, ERROR, day, name, version),
            Count(project, ERRORS_LONG, start, name, ""),
            Count(project, VERSIONS_LONG, start, version, name),
        )
        if session.profile is not None:  # else a collector has counted it that knew of no weeks
            counts += (
                Count(project, ERRORS_WEEKLY, monday, name, ""),
                Count(project, VERSIONS_WEEKLY, monday, version, name),
            )
    return counts


def first_long_day(day: int) -> int:
    """The first of the `LONG_DAYS` that are counted together with a day."""
    return day - day % LONG_DAYS


def error_name(fingerprint: int) -> str:
    """A fingerprint as counts and addresses have it: 16 hexadecimal digits."""
    return f"{fingerprint:016x}"


def facets(
    platform: str, container: str, language: str, language_version: str, is_ci: bool
) -> tuple[tuple[Any, str], ...]:
    """What a session ran on, in the kinds of values that divide all sessions."""
    return (
        ("platform", platform),
        ("container", container),
        ("language", language_name(language, language_version)),
        ("ci", "yes" if is_ci else "no"),
    )


def language_name(language: str, version: str) -> str:
    """A language with the two numbers that matter of its version, as in `python 3.11`."""
    if language == "unknown":
        return language
    return f"{language} {'.'.join(version.split('.')[:2])}"[:MAX_VALUE_CHARS]


def differences(
    changes: Sequence[tuple[_Changed | None, _Changed | None]],
    counts_of: Callable[[_Changed], Iterable[_Counted]],
) -> Counter[_Counted]:
    """How counts change when sessions do, or whatever else is counted.

    Args:
        changes: Pairs of what one was and what it is; None where there is none.
        counts_of: Where one is counted, once in each.

    Returns:
        What to add to each count; those that stay as they are do not appear.
    """
    # Counter adds up one long iterable several times faster than many short ones.
    now = (counts_of(after) for _, after in changes if after is not None)
    then = (counts_of(before) for before, _ in changes if before is not None)
    total = Counter(chain.from_iterable(now))
    total.subtract(chain.from_iterable(then))
    return Counter({count: number for count, number in total.items() if number})
