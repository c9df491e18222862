"""How many sessions ended in which way, and which part of them completed."""

from __future__ import annotations

from collections import Counter, defaultdict
from operator import add
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from migas.collector.counts.chance import CONFIDENT, compared, wilson

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import date

_Key = TypeVar("_Key")
_Row = TypeVar("_Row", bound="UsageCount | VersionOutcomes")


class UsageCount(NamedTuple):
    """How many sessions of a version that began on a day have a status."""

    day: date
    version: str
    status: str
    sessions: int


class VersionOutcomes(NamedTuple):
    """How the sessions of a version ended that count on a day."""

    day: date
    version: str
    outcomes: Outcomes


class Outcomes(NamedTuple):
    """How many sessions ended in which way, by the status of the breadcrumb that describes them.

    `completed` has those that completed (`C`), `failed` those that failed (`F`), `suspended` those
    that were interrupted or stopped from outside (`S`), and `running` those of which only the
    beginning is known (`R`): running, or lost.
    """

    completed: int = 0
    failed: int = 0
    suspended: int = 0
    running: int = 0

    @property
    def total(self) -> int:
        """All sessions."""
        return sum(self)

    @property
    def ended(self) -> int:
        """Sessions whose end was reported: what the completion rate is a share of."""
        return self.completed + self.failed + self.suspended

    @property
    def rate(self) -> float | None:
        """The completion rate in percent; None when no session ended."""
        return 100 * self.completed / self.ended if self.ended else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Between which percentages the true rate lies, in 95 of 100 cases."""
        low, high = wilson(self.completed, self.ended)
        return (100 * low, 100 * high) if self.ended else None

    @property
    def by_status(self) -> list[tuple[str, int]]:
        """The numbers that are not 0, by the letter of the status."""
        letters = {"C": self.completed, "F": self.failed, "R": self.running, "S": self.suspended}
        return [(letter, number) for letter, number in letters.items() if number]


class VersionSum(NamedTuple):
    """How the sessions of a version ended: before today, and those of today, which is not over."""

    before_today: Outcomes
    todays: Outcomes

    @property
    def outcomes(self) -> Outcomes:
        """How all of them ended."""
        return total((self.before_today, self.todays))


def completes_more(one: Outcomes, other: Outcomes, deviations: float = CONFIDENT) -> int:
    """Whether more of some sessions complete than of others; the answer is that of `compared`."""
    return compared((one.completed, one.ended), (other.completed, other.ended), deviations)


def rated(usage: Sequence[_Row], today: date) -> Sequence[_Row]:
    """The counts that a rate is made of: without today's, or only today's where there are no other.

    Runs that fail are over sooner, so a day that is not over always looks like a bad one.
    """
    return [row for row in usage if row.day < today] or usage


def counted(numbers: Iterable[int]) -> Outcomes:
    """Outcomes from sums of counts, in their order.

    One may be below 0 where an older collector has written, which keeps fewer counts, until all are
    counted anew: then it is none.
    """
    return Outcomes(*[max(0, number) for number in numbers])


def totals(rows: Iterable[tuple[_Key, Outcomes]]) -> dict[_Key, Outcomes]:
    """The sums of outcomes by a key."""
    found: dict[_Key, Outcomes] = {}
    for key, outcomes in rows:
        known = found.get(key)
        found[key] = Outcomes(*map(add, known, outcomes)) if known else outcomes
    return found


def total(several: Iterable[Outcomes]) -> Outcomes:
    """The sum of outcomes."""
    return Outcomes(*map(sum, zip(*several, strict=True)))


def outcomes_by(rows: Iterable[tuple[_Key, str, int]]) -> dict[_Key, Outcomes]:
    """Counts by a key and a status, as outcomes by the key."""
    found: defaultdict[_Key, Counter[str]] = defaultdict(Counter)
    for key, status, number in rows:
        found[key][status] += number
    return {key: Outcomes(*(by[letter] for letter in "CFSR")) for key, by in found.items()}
