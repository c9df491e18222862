"""What a page shows, as plain values: sessions by how they ended, and what is told of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from migas.collector.pages.periods import day_number, day_of

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Mapping, Sequence

    from migas.collector.pages.periods import Period


@dataclass(frozen=True, slots=True)
class Outcomes:
    """How many sessions ended in which way, by the status of their last breadcrumb.

    Args:
        completed: Those that completed (`C`).
        failed: Those that failed (`F`).
        suspended: Those that were interrupted or stopped from outside (`S`).
        running: Those of which only the beginning is known (`R`): running, or lost.
    """

    completed: int = 0
    failed: int = 0
    suspended: int = 0
    running: int = 0

    @property
    def total(self) -> int:
        """All sessions."""
        return self.completed + self.failed + self.suspended + self.running

    @property
    def ended(self) -> int:
        """Sessions whose end was reported: what the completion rate is a share of."""
        return self.completed + self.failed + self.suspended

    @property
    def rate(self) -> float | None:
        """The completion rate in percent; None when no session ended."""
        return 100 * self.completed / self.ended if self.ended else None

    def __add__(self, other: Outcomes) -> Outcomes:
        return Outcomes(
            self.completed + other.completed,
            self.failed + other.failed,
            self.suspended + other.suspended,
            self.running + other.running,
        )


def outcomes_of(by_status: Mapping[str, int]) -> Outcomes:
    """Outcomes from counts by the letters of the wire."""
    return Outcomes(*(by_status.get(letter, 0) for letter in "CFSR"))


def total(several: Iterable[Outcomes]) -> Outcomes:
    """The sum of outcomes."""
    return sum(several, Outcomes())


@dataclass(frozen=True, slots=True)
class Version:
    """A version of the program and how its sessions ended."""

    name: str
    outcomes: Outcomes


@dataclass(frozen=True, slots=True)
class Failure:
    """A type of error: how often, in which versions (and how often there), and one message."""

    type: str
    sessions: int
    versions: Sequence[tuple[str, int]]
    message: str


@dataclass(frozen=True, slots=True)
class Share:
    """A value, a platform say, and how many sessions have it."""

    label: str
    sessions: int


@dataclass(frozen=True, slots=True)
class Unheard:
    """A run that said it had started and was never heard of again."""

    session_id: str
    version: str
    began: dt.datetime
    seen: dt.datetime


@dataclass(frozen=True, slots=True)
class Summary:
    """A project in the list of projects.

    Args:
        name: `owner/repo`.
        latest: Its newest version; empty when nobody named one.
        outcomes: How the sessions of the period ended.
        daily: Sessions on each day of the period.
    """

    name: str
    latest: str
    outcomes: Outcomes
    daily: Sequence[int]


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of the chart: a day, or the week that begins on it."""

    day: dt.date
    outcomes: Outcomes


@dataclass(frozen=True)
class Project:
    """A project in one period.

    Args:
        name: `owner/repo`.
        period: Which days it is about.
        latest: Its newest version; empty when nobody named one.
        flagged: Versions with known faults.
        outcomes: How the sessions of the period ended.
        before: How those of the period before it ended.
        users: How many users were seen in the period; at most so many when it ended before today.
        new_users: How many were seen for the first time.
        bars: The chart's bars, one for each day or week of the period.
        versions: Its most frequent versions, the newest first.
        other_versions: How the sessions of all its other versions ended.
        other_versions_number: How many other versions there are.
        failures: The most frequent types of errors.
        shares: By heading (`Platform`, …), what the sessions ran on, the most frequent first.
        unheard: The newest runs that were never heard of again.
        unheard_total: How many such runs there are.
    """

    name: str
    period: Period
    latest: str = ""
    flagged: Sequence[str] = ()
    outcomes: Outcomes = Outcomes()
    before: Outcomes = Outcomes()
    users: int = 0
    new_users: int = 0
    bars: Sequence[Bar] = ()
    versions: Sequence[Version] = ()
    other_versions: Outcomes = Outcomes()
    other_versions_number: int = 0
    failures: Sequence[Failure] = ()
    shares: Mapping[str, Sequence[Share]] = field(default_factory=dict)
    unheard: Sequence[Unheard] = ()
    unheard_total: int = 0

    @property
    def other_failures(self) -> int:
        """How many sessions failed with a type of error that is not shown, or with none."""
        return max(0, self.outcomes.failed - sum(failure.sessions for failure in self.failures))

    @property
    def change(self) -> float | None:
        """How many percentage points the completion rate has gained over the period before."""
        if self.outcomes.rate is None or self.before.rate is None:
            return None
        return self.outcomes.rate - self.before.rate


def bars_of(by_day: Mapping[int, Outcomes], period: Period) -> list[Bar]:
    """Gather days, as the database numbers them, into a period's bars; empty ones included."""
    found = dict.fromkeys(period.buckets(), Outcomes())
    first, last = day_number(period.first), day_number(period.last)
    for day, outcomes in by_day.items():
        if first <= day <= last:
            found[period.bucket(day_of(day))] += outcomes
    return [Bar(day, outcomes) for day, outcomes in found.items()]
