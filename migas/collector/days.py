"""Days in UTC: how the database numbers them, and the period that lies between two of them."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

SECONDS_A_DAY = 86400
EPOCH = dt.date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class Period:
    """Whole days, the first and the last one included.

    Args:
        first: The first day.
        last: The last day.
        weekly: Whether it is counted by weeks, from Monday on, instead of days.
        preset: The name in `PRESETS` by which it was asked for; None for dates of one's own.
        mistake: What was wrong with the dates in the address, for the reader; empty when nothing.
    """

    first: dt.date
    last: dt.date
    weekly: bool = False
    preset: str | None = None
    mistake: str = ""

    @classmethod
    def weeks(cls, number: int, today: dt.date | None = None) -> Period:
        """The last so many weeks, today being their last day."""
        last = today or dt.datetime.now(dt.UTC).date()
        return cls(last - dt.timedelta(days=7 * number - 1), last)

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


def day_number(day: dt.date) -> int:
    """A day as the database counts them, since 1970."""
    return (day - EPOCH).days


def day_of(number: int) -> dt.date:
    """The day that `day_number` gave this number."""
    return EPOCH + dt.timedelta(days=number)


def moment(timestamp: float) -> dt.datetime:
    """The time so many seconds after the beginning of 1970, in UTC."""
    return dt.datetime.fromtimestamp(timestamp, dt.UTC)
