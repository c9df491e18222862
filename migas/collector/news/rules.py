"""What is news: pure rules over a project's counts, by which a quiet project has none.

A text of these goes to other programs, chats among them. What a sender of breadcrumbs wrote is in
it only in letters, digits and a few signs, of which no markup, link or mention is made.
"""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from migas.collector.counts.chance import VERY_CONFIDENT
from migas.collector.counts.comparison import newest_two
from migas.collector.counts.outcomes import outcomes_by, rated
from migas.collector.days import DEFAULT_DAYS
from migas.collector.nouns import counted
from migas.collector.projects.versions import version_order

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from migas.collector.counts.failures import ErrorSummary
    from migas.collector.counts.outcomes import UsageCount

SEVERAL = 3
"""A new error is news once it hits so many users: one may have a broken disk."""

RECENT_DAYS = 7
"""An error that was first seen longer ago is not new, whoever counts it for the first time."""

STEADY_DAYS = 28
"""So many days before a silence have to have been steady, and so many may have passed in it."""

MAX_GAP_DAYS = 3
"""A project that was without a session for longer is none whose silence says anything."""

EXPECTED = 7.0
"""Where so many sessions were to be expected and none came, in 999 of 1,000 cases that is no
chance."""

_UNSAFE = re.compile(r"[^\w .:()+-]+")
_MAX_WORD = 60


class Told(NamedTuple):
    """What was told before, and on which day."""

    key: str
    day: dt.date


class Found(NamedTuple):
    """Something to be told.

    `key` says what must not be told again, `kind` is `new`, `back`, `release` or `silence`, and
    `page` is the page that shows it, below the project's own.
    """

    key: str
    kind: str
    text: str
    page: str = ""


def errors(
    failures: Iterable[ErrorSummary], told: Sequence[Told], today: dt.date
) -> Iterable[Found]:
    """New errors that hit several users, and errors that a version brought back.

    Args:
        failures: Those of the last `RECENT_DAYS`.
        told: What was told before.
        today: The present day.
    """
    for failure in failures:
        first, _, mark, since = failure.history
        if first is None:
            continue
        subject = f"error/{failure.name}/"
        known = [before.key.removeprefix(subject) for before in told if subject in before.key]
        what = _word(failure.error_type) + (failure.node and f" in node {_word(failure.node)}")
        page = f"errors/{failure.name}"
        hits = f"{counted(failure.users, 'user')} in {counted(failure.sessions, 'session')}"
        # Late reports of older versions change since when it is there: that is no news.
        if mark == "back" and all(version_order(since) > version_order(past) for past in known):
            text = f"An error is back since {_word(since)}: {what}, {hits}"
            yield Found(subject + since, "back", text, page)
        elif mark != "back" and not known and failure.users >= SEVERAL:
            since = since or first.version
            if (today - first.day).days < RECENT_DAYS:
                text = f"A new error since {_word(since)}: {what}, {hits}"
                yield Found(subject + since, "new", text, page)


def release(usage: Sequence[UsageCount], named: str, today: dt.date) -> Iterable[Found]:
    """The newest version, where it completes less often than the one before by more than chance.

    Args:
        usage: Sessions of the last `DEFAULT_DAYS` or more.
        named: The newest version, as the project's maintainer says; empty where nobody did.
        today: The present day.
    """
    shown = [row for row in usage if (today - row.day).days < DEFAULT_DAYS]
    by_version = outcomes_by((row.version, row.status, row.sessions) for row in rated(shown, today))
    # A page answers whoever asks. This is asked every day, and is to call nobody for nothing.
    pair = newest_two(by_version, named, VERY_CONFIDENT)
    if pair is not None and pair.verdict < 0:
        shares = f"{pair.outcomes.rate:.1f}% against {pair.before_outcomes.rate:.1f}%"
        text = f"{_word(pair.newest)} completes less often than {_word(pair.before)}: {shares}"
        yield Found(f"release/{pair.newest}", "release", text)


def silence(usage: Iterable[UsageCount], told: Iterable[Told], today: dt.date) -> Iterable[Found]:
    """Whole days without a session, where so many, day after day, were to be expected.

    Args:
        usage: Sessions of the last `SILENCE_DAYS` or more.
        told: What was told before.
        today: The present day.
    """
    daily: Counter[int] = Counter()
    for row in usage:
        daily[(today - row.day).days] += row.sessions
    last = min((ago for ago, number in daily.items() if number), default=0)
    if not 2 <= last <= STEADY_DAYS:
        return
    steady = [daily[ago] for ago in range(last, last + STEADY_DAYS)]
    pace = sum(steady) / STEADY_DAYS
    busy = "".join("x" if number else " " for number in steady)
    gap = max(map(len, busy.split("x")))
    quiet = last - 1
    if gap > MAX_GAP_DAYS or quiet <= 2 * gap or pace * quiet < EXPECTED:
        return
    day = today - dt.timedelta(days=last)
    # What came late has not ended a silence that was told.
    if all(before.day < day for before in told if before.key.startswith("silence/")):
        # Fewer than two a day are told by the week, in which there are several.
        often = f"{pace:.0f} a day" if pace >= 1.5 else f"{7 * pace:.0f} a week"
        text = f"No run was reported since {day}; before, there were about {often}"
        yield Found(f"silence/{day}", "silence", text)


SILENCE_DAYS = 2 * STEADY_DAYS
"""How many days `silence` looks at."""


def _word(text: str) -> str:
    """What a stranger wrote, as part of a sentence."""
    return _UNSAFE.sub("?", " ".join(text.split()))[:_MAX_WORD]
