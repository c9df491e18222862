"""Which days a page is about, read from its address, and how a chart divides them."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

PRESETS = {
    "7d": ("7 days", 7),
    "30d": ("30 days", 30),
    "90d": ("90 days", 90),
    "1y": ("1 year", 365),
}
"""The periods that are a link away: a name in the address, one for people, a number of days."""

DEFAULT = "30d"
MAX_DAYS = 3653
"""Ten years; more than that is a mistake, and would make a page of thousands of bars."""

WEEKLY_FROM_DAYS = 120
"""Beyond this many days a bar for each is too thin to be pointed at."""

_EPOCH = dt.date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class Period:
    """Whole days in UTC, the first and the last one included.

    Args:
        first: The first day.
        last: The last day.
        weekly: Whether a chart shows weeks, from Monday on, instead of days.
        preset: The name in `PRESETS` by which it was asked for; None for dates of one's own.
        mistake: What was wrong with the dates in the address, for the reader; empty when nothing.
    """

    first: dt.date
    last: dt.date
    weekly: bool = False
    preset: str | None = None
    mistake: str = ""

    @property
    def days(self) -> int:
        """How many days it has."""
        return (self.last - self.first).days + 1

    @property
    def is_ragged(self) -> bool:
        """Whether the first or the last week of a chart has days outside of it."""
        return self.weekly and (self.first.weekday() != 0 or self.last.weekday() != 6)

    @property
    def before(self) -> Period:
        """The period of the same length that ended the day before this one began."""
        last = self.first - dt.timedelta(days=1)
        return Period(last - dt.timedelta(days=self.days - 1), last)

    def bucket(self, day: dt.date) -> dt.date:
        """The day that stands for this one in a chart: itself, or the Monday of its week."""
        return day - dt.timedelta(days=day.weekday()) if self.weekly else day

    def buckets(self) -> list[dt.date]:
        """Every day that stands for others in a chart, in order and without a gap."""
        start = self.bucket(self.first)
        step = 7 if self.weekly else 1
        count = (self.last - start).days // step + 1
        return [start + dt.timedelta(days=step * number) for number in range(count)]


def parse(query: Mapping[str, str], today: dt.date) -> Period:
    """Read a period from a page's query: `period`, or `from` and `to`, and `by` (`day`, `week`).

    Args:
        query: The address's parameters, as anybody may have written them.
        today: The present day in UTC; no period reaches beyond it.

    Returns:
        The period asked for; the default one with a `mistake` where the dates make none.
    """
    mistake = ""
    preset: str | None = query.get("period", DEFAULT)
    if preset not in PRESETS:
        preset = DEFAULT
    last = today
    first = today - dt.timedelta(days=PRESETS[preset][1] - 1)
    if query.get("from") or query.get("to"):
        chosen = _dates(query.get("from", ""), query.get("to", ""), today)
        if isinstance(chosen, str):
            mistake = chosen
        else:
            (first, last), preset = chosen, None
    weekly = (last - first).days + 1 > WEEKLY_FROM_DAYS
    if query.get("by") in ("day", "week"):
        weekly = query["by"] == "week"
    return Period(first, last, weekly, preset, mistake)


def day_number(day: dt.date) -> int:
    """A day as the database counts them, since 1970."""
    return (day - _EPOCH).days


def day_of(number: int) -> dt.date:
    """The day that `day_number` gave this number."""
    return _EPOCH + dt.timedelta(days=number)


def _dates(first_text: str, last_text: str, today: dt.date) -> tuple[dt.date, dt.date] | str:
    """The two dates, or what is wrong with them; without the second one it is today."""
    try:
        first = dt.date.fromisoformat(first_text)
        last = dt.date.fromisoformat(last_text) if last_text else today
    except ValueError:
        return "Those are not two dates like 2026-01-31."
    if min(first, last) < _EPOCH:
        return "Nothing is counted before 1970."
    last = min(last, today)
    if first > last:
        return "That period would end before it begins."
    if (last - first).days >= MAX_DAYS:
        return "That period is longer than ten years."
    return first, last
