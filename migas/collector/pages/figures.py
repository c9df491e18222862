"""What the pages show: daily counts, read in a handful of small queries, by how sessions ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from migas.collector.counts.comparison import Comparison, newest_two
from migas.collector.counts.outcomes import Outcomes, outcomes_by, total
from migas.collector.projects.versions import version_order

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping, Sequence

    from migas.collector.collector import Collector
    from migas.collector.counts.reports import ErrorSummary, Facet, LostRuns, Share, UserCounts
    from migas.collector.days import Period
    from migas.collector.tokens import Access

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
        rated: The same without today, which is not over: what rates are shares of. Only where
            there is nothing else, today is in it.
        before: How those of the period before it ended.
        users: Those that were seen in the period; at most so many when it ended before today.
        versions: Its most frequent versions, the newest first, and how their sessions ended:
            all of them, and those that are rated.
        other_versions: The same of all its other versions.
        other_versions_number: How many other versions there are.
        comparison: The newest version beside the one before it.
        failures: The errors that hit most users.
        shares: By heading (`Platforms`, …), what the sessions ran on, the most frequent first.
        lost: The runs that were never heard of again.
    """

    name: str
    latest: str
    flagged: Sequence[str]
    bars: Mapping[dt.date, Outcomes]
    rated: Mapping[dt.date, Outcomes]
    before: Outcomes
    users: UserCounts
    versions: Sequence[tuple[str, Outcomes, Outcomes]]
    other_versions: tuple[Outcomes, Outcomes]
    other_versions_number: int
    comparison: Comparison | None
    failures: Sequence[ErrorSummary]
    shares: Mapping[str, Sequence[Share]]
    lost: LostRuns

    @property
    def outcomes(self) -> Outcomes:
        """How the sessions of the period ended."""
        return total(self.bars.values())

    @property
    def rated_outcomes(self) -> Outcomes:
        """How those of them ended that are rated."""
        return total(self.rated.values())

    @property
    def leaves_out_today(self) -> bool:
        """Whether there are sessions of today, and rates do without them."""
        return self.rated_outcomes.total < self.outcomes.total

    @property
    def other_failures(self) -> int:
        """How many sessions failed with an error that is not shown, or with none."""
        return max(0, self.outcomes.failed - sum(failure.sessions for failure in self.failures))

    @property
    def change(self) -> float | None:
        """How many percentage points the completion rate has gained over the period before."""
        now, then = self.rated_outcomes.rate, self.before.rate
        return None if now is None or then is None else now - then


async def summaries(collector: Collector, access: Access | None, period: Period) -> list[Summary]:
    """The projects that may be seen, those with most sessions in a period first."""
    names = await collector.reports.visible_projects(access)
    releases = await collector.projects.releases(names)
    found = outcomes_by(await collector.reports.by_project(names, period))
    listed = []
    for name in names:
        by_day = [found.get((name, day), Outcomes()) for day in period.buckets()]
        daily = [outcomes.total for outcomes in by_day]
        listed.append(Summary(name, releases[name].named, total(by_day), daily))
    return sorted(listed, key=lambda summary: (-summary.outcomes.total, summary.name))


async def project(collector: Collector, name: str, period: Period) -> Project:
    """Everything that a project's page shows of a period."""
    ask = collector.reports
    usage = await ask.usage(name, period)
    today = collector.clock.today()
    # Runs that fail are over sooner: a day that is not over always looks like a bad one.
    finished = [row for row in usage if row.day < today] or usage
    by_bucket, rated_by_bucket = (
        outcomes_by((period.bucket(row.day), row.status, row.sessions) for row in rows)
        for rows in (usage, finished)
    )
    by_version, rated_by_version = (
        outcomes_by((row.version, row.status, row.sessions) for row in rows)
        for rows in (usage, finished)
    )
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
        rated={day: rated_by_bucket.get(day, Outcomes()) for day in period.buckets()},
        before=total(outcomes_by(await ask.sessions(name, period.before)).values()),
        users=await ask.users(name, period),
        versions=[
            (version, by_version[version], rated_by_version.get(version, Outcomes()))
            for version in shown
        ],
        other_versions=(
            total(by_version[version] for version in others),
            total(rated_by_version.get(version, Outcomes()) for version in others),
        ),
        other_versions_number=len(others),
        comparison=newest_two(rated_by_version, release.named),
        failures=await ask.errors(name, period, limit=MAX_FAILURES),
        shares=shares,
        lost=await ask.lost_runs(name, period),
    )


def _most_frequent(by_version: Mapping[str, Outcomes], latest: str) -> tuple[list[str], list[str]]:
    """The versions to show, the newest first, and the others; the named newest one is shown."""
    ranked = sorted(
        by_version, key=lambda version: (version != latest, -by_version[version].total, version)
    )
    shown = sorted(ranked[:MAX_VERSIONS], key=version_order, reverse=True)
    return shown, ranked[MAX_VERSIONS:]
