"""Days in UTC: how the database numbers them, and the period that lies between two of them."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final, Literal

Step = Literal["day", "week", "month"]

SECONDS_A_DAY = 86400
EPOCH = dt.date(1970, 1, 1)

DEFAULT_DAYS = 30
"""How long a period is where nobody says so."""

BLOCK_DAYS: Final = 56
"""So many days, eight weeks from Monday on, are counted together, and are bits of one number."""

ALIKE_DAYS = 7
"""Before a year lies nearly the same year, by its days or by its weeks: it is told of once."""

_YEAR_DAYS = 52 * 7

MAX_DAYS = 3653
"""Ten years; more than that is a mistake, and would make a page of thousands of bars."""


@dataclass(frozen=True, slots=True)
class Period:
    """Whole days, the first and the last one included.

    Args:
        first: The first day.
        last: The last day.
        by: What is counted together: a `day`, a `week` from Monday on, or a `month`.
        preset: The name in `PRESETS` by which it was asked for; None for dates of one's own.
        mistake: What was wrong with the dates in the address, for the reader; empty when nothing.
    """

    first: dt.date
    last: dt.date
    by: Step = "day"
    preset: str | None = None
    mistake: str = ""

    @classmethod
    def ending(cls, last: dt.date, days: int) -> Period:
        """So many days, of which one is the last."""
        return cls(last - dt.timedelta(days=days - 1), last)

    @classmethod
    def asked(
        cls, since: dt.date | None, until: dt.date | None, today: dt.date, by: Step = "day"
    ) -> Period:
        """The period between two dates, in which no day is later than the present one.

        Args:
            since: The first day; by default the last `DEFAULT_DAYS` count.
            until: The last day; by default the present one.
            today: The present day.
            by: What is counted together.

        Raises:
            ValueError: The dates make no period; the text is a sentence.
        """
        last = min(until or today, today)
        first = since or cls.ending(last, DEFAULT_DAYS).first
        if min(first, last) < EPOCH:
            raise ValueError("Nothing is counted before 1970.")
        if first > today:
            raise ValueError("That period has not begun yet.")
        if first > last:
            raise ValueError("That period would end before it begins.")
        if (last - first).days >= MAX_DAYS:
            raise ValueError("That period is longer than ten years.")
        return cls(first, last, by)

    @classmethod
    def weeks(cls, number: int, today: dt.date | None = None) -> Period:
        """The last so many weeks, today being their last day."""
        return cls.ending(today or dt.datetime.now(dt.UTC).date(), 7 * number)

    @property
    def days(self) -> int:
        """How many days it has."""
        return (self.last - self.first).days + 1

    @property
    def is_ragged(self) -> bool:
        """Whether the first or the last week or month of a chart has days outside of it."""
        after = self.last + dt.timedelta(days=1)
        return self.bucket(self.first) != self.first or self.bucket(after) != after

    @property
    def before(self) -> Period:
        """The period of the same length that ended the day before this one began."""
        return Period.ending(self.first - dt.timedelta(days=1), self.days)

    @property
    def others(self) -> tuple[Period, ...]:
        """The one before, and that of a year ago if that is another and does not reach into it."""
        if self.days > _YEAR_DAYS - ALIKE_DAYS:
            return (self.before,)
        return self.before, self.year_ago

    def beside(self, today: dt.date) -> tuple[Period, ...]:
        """It and the `others`, with as many days of each that are over.

        Where its last day is the present one, which is not over, all are without their last day;
        and the present day alone stands beside nothing.

        Args:
            today: The present day.
        """
        alike = (self, *self.others)
        if self.last != today:
            return alike
        if self.days == 1:
            return (self,)
        return tuple(replace(of, last=of.last - dt.timedelta(days=1)) for of in alike)

    @property
    def halves(self) -> tuple[Period, Period]:
        """The first and the second half; of one day there is but the second."""
        middle = self.first + dt.timedelta(days=self.days // 2)
        return Period(self.first, middle - dt.timedelta(days=1)), Period(middle, self.last)

    @property
    def year_ago(self) -> Period:
        """The period of the same length 52 weeks ago, with the same days of the week."""
        shift = dt.timedelta(days=_YEAR_DAYS)
        return Period(self.first - shift, self.last - shift)

    def bucket(self, day: dt.date) -> dt.date:
        """The day that stands for this one in a chart: itself, a Monday or the 1st of a month."""
        if self.by == "month":
            return day.replace(day=1)
        return day - dt.timedelta(days=day.weekday()) if self.by == "week" else day

    def bar_of(self, number: int) -> dt.date:
        """The same for a day as the database counts them, since 1970."""
        return self.bucket(day_of(number))

    def buckets(self) -> list[dt.date]:
        """Every day that stands for others in a chart, in order and without a gap."""
        return list(_buckets(self))


@lru_cache(64)  # A page asks for them ten times.
def _buckets(period: Period) -> tuple[dt.date, ...]:
    # No step is longer than a month: going on by 31 days passes none over.
    longest = dt.timedelta(days={"day": 1, "week": 7, "month": 31}[period.by])
    found = [period.bucket(period.first)]
    while found[-1] + longest <= period.last or period.bucket(period.last) != found[-1]:
        found.append(period.bucket(min(found[-1] + longest, period.last)))
    return tuple(found)


def day_number(day: dt.date) -> int:
    """A day as the database counts them, since 1970."""
    return (day - EPOCH).days


def monday_of(number: int) -> int:
    """The Monday of a day's week; both are since 1970, which began with a Thursday."""
    return number - (number + 3) % 7


def block_of(number: int) -> int:
    """The first day of a day's block of `BLOCK_DAYS`; both are since 1970."""
    return number - (number + 3) % BLOCK_DAYS


@lru_cache(MAX_DAYS)  # A page asks for each of its days dozens of times.
def day_of(number: int) -> dt.date:
    """The day that `day_number` gave this number."""
    return EPOCH + dt.timedelta(days=number)


def moment(timestamp: float) -> dt.datetime:
    """The time so many seconds after the beginning of 1970, in UTC."""
    return dt.datetime.fromtimestamp(timestamp, dt.UTC)
