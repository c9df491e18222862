"""What the pages show: daily counts, read in a handful of small queries, by how sessions ended."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from packaging.version import InvalidVersion, Version

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Mapping, Sequence

    from migas.collector.collector import Collector
    from migas.collector.counts.reports import ErrorSummary, Facet, LostRuns, Share, UserCounts
    from migas.collector.days import Period
    from migas.collector.tokens import Access

_Key = TypeVar("_Key")

MAX_VERSIONS = 50
"""Whoever reports runs names their versions: a page must not grow with what strangers make up."""

MAX_FAILURES = 10
MAX_SHARES = 8

_FACETS: dict[str, Facet] = {
    "Platforms": "platform",
    "Containers": "container",
    "Languages": "language",
    "Continuous integration": "ci",
}
_LABELS = {
    ("ci", "yes"): "CI",
    ("ci", "no"): "not CI",
    ("container", "unknown"): "none, or not known",
}


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
        return self.ended + self.running

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


class Summary(NamedTuple):
    """A project in the list of projects.

    `latest` is its newest version, empty when nobody named one; `outcomes` how the sessions of
    the period ended; `daily` how many there were on each of its days.
    """

    name: str
    latest: str
    outcomes: Outcomes
    daily: Sequence[int]


@dataclass(frozen=True)
class Project:
    """A project in one period.

    Args:
        name: `owner/repo`.
        latest: Its newest version; empty when nobody named one.
        flagged: Versions with known faults.
        bars: How the sessions of each day or week ended; no day of the period is left out.
        before: How those of the period before it ended.
        users: Those that were seen in the period; at most so many when it ended before today.
        versions: Its most frequent versions, the newest first, and how their sessions ended.
        other_versions: How the sessions of all its other versions ended.
        other_versions_number: How many other versions there are.
        failures: The most frequent types of errors.
        shares: By heading (`Platforms`, …), what the sessions ran on, the most frequent first.
        lost: The runs that were never heard of again.
    """

    name: str
    latest: str
    flagged: Sequence[str]
    bars: Mapping[dt.date, Outcomes]
    before: Outcomes
    users: UserCounts
    versions: Sequence[tuple[str, Outcomes]]
    other_versions: Outcomes
    other_versions_number: int
    failures: Sequence[ErrorSummary]
    shares: Mapping[str, Sequence[Share]]
    lost: LostRuns

    @property
    def outcomes(self) -> Outcomes:
        """How the sessions of the period ended."""
        return _total(self.bars.values())

    @property
    def other_failures(self) -> int:
        """How many sessions failed with a type of error that is not shown, or with none."""
        return max(0, self.outcomes.failed - sum(failure.sessions for failure in self.failures))

    @property
    def change(self) -> float | None:
        """How many percentage points the completion rate has gained over the period before."""
        now, then = self.outcomes.rate, self.before.rate
        return None if now is None or then is None else now - then


async def summaries(collector: Collector, access: Access | None, period: Period) -> list[Summary]:
    """The projects that may be seen, those with most sessions in a period first."""
    names = await collector.reports.visible_projects(access)
    releases = await collector.projects.releases(names)
    found = _outcomes(await collector.reports.by_project(names, period))
    listed = []
    for name in names:
        by_day = [found.get((name, day), Outcomes()) for day in period.buckets()]
        daily = [outcomes.total for outcomes in by_day]
        listed.append(Summary(name, releases[name].named, _total(by_day), daily))
    return sorted(listed, key=lambda summary: (-summary.outcomes.total, summary.name))


async def project(collector: Collector, name: str, period: Period) -> Project:
    """Everything that a project's page shows of a period."""
    ask = collector.reports
    usage = await ask.usage(name, period)
    by_bucket = _outcomes((period.bucket(row.day), row.status, row.sessions) for row in usage)
    by_version = _outcomes((row.version, row.status, row.sessions) for row in usage)
    release = await collector.projects.release(name)
    shown, others = _most_frequent(by_version, release.latest)
    shares = {}
    for heading, facet in _FACETS.items():
        shares[heading] = [
            share._replace(value=_LABELS.get((facet, share.value), share.value))
            for share in await ask.shares(name, period, facet, MAX_SHARES)
        ]
    return Project(
        name,
        release.named,
        release.flagged,
        bars={day: by_bucket.get(day, Outcomes()) for day in period.buckets()},
        before=_total(_outcomes(await ask.sessions(name, period.before)).values()),
        users=await ask.users(name, period),
        versions=[(version, by_version[version]) for version in shown],
        other_versions=_total(by_version[version] for version in others),
        other_versions_number=len(others),
        failures=await ask.errors(name, period, MAX_FAILURES),
        shares=shares,
        lost=await ask.lost_runs(name, period),
    )


def _total(several: Iterable[Outcomes]) -> Outcomes:
    return sum(several, Outcomes())


def _outcomes(rows: Iterable[tuple[_Key, str, int]]) -> dict[_Key, Outcomes]:
    """Counts by a key and a status, as outcomes by the key."""
    found: defaultdict[_Key, Counter[str]] = defaultdict(Counter)
    for key, status, number in rows:
        found[key][status] += number
    return {key: Outcomes(*(by[letter] for letter in "CFSR")) for key, by in found.items()}


def _most_frequent(by_version: Mapping[str, Outcomes], latest: str) -> tuple[list[str], list[str]]:
    """The versions to show, the newest first, and the others; the named newest one is shown."""
    ranked = sorted(
        by_version, key=lambda version: (version != latest, -by_version[version].total, version)
    )
    shown = sorted(ranked[:MAX_VERSIONS], key=_newest_first, reverse=True)
    return shown, ranked[MAX_VERSIONS:]


def _newest_first(version: str) -> tuple[bool, Version, str]:
    """A key by which PEP 440's versions come in their order, and before whatever is none."""
    try:
        return True, Version(version), version
    except InvalidVersion:
        return False, Version("0"), version
