"""What the pages show: daily counts, read in a handful of small queries, by how sessions ended."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from migas.collector.counts.adoption import adoption, most_used
from migas.collector.counts.comparison import ENOUGH, Comparison, newest_two, versions_before
from migas.collector.counts.frequency import frequent
from migas.collector.counts.outcomes import Outcomes, completes_more, outcomes_by, total, totals
from migas.collector.counts.releases import among
from migas.collector.counts.tables import Tables, timed_versions
from migas.collector.pages.shown import (
    MAX_FAILURES,
    MAX_SHARES,
    MAX_VERSIONS,
    most_frequent,
)
from migas.collector.projects.versions import newest_first

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping, Sequence

    from migas.collector.collector import Collector
    from migas.collector.counts.adoption import Adoption
    from migas.collector.counts.failures import ErrorSummary
    from migas.collector.counts.filters import Filter
    from migas.collector.counts.lost import LostRuns
    from migas.collector.counts.people import UserCounts
    from migas.collector.counts.releases import Arrival
    from migas.collector.counts.rows import DurationRow, VersionDurationRow
    from migas.collector.days import Period
    from migas.collector.projects.versions import Release
    from migas.collector.tokens import Access

MAX_TIMED = 10
"""So many versions are told apart by how long their runs take."""

MAX_OLDER = 3
"""So many older versions are tried where the one before tells no durations."""

HEADINGS = {
    "version": "Versions",
    "platform": "Platforms",
    "container": "Containers",
    "language": "Languages",
    "ci": "Continuous integration",
    "user": "Kinds of users",
}
"""How a table of each kind of values is called."""


class Summary(NamedTuple):
    """A project in the list of projects.

    `latest` is its newest version, empty when nobody named one; `outcomes` how the sessions of
    the period ended, `rated` those of them that are rated; `daily` how many there were on each
    of its days.
    """

    name: str
    latest: str
    outcomes: Outcomes
    rated: Outcomes
    daily: Sequence[int]


class Lasting(NamedTuple):
    """How long runs take: by the day, week or month, and by version, the newest first.

    `known` has also the versions before those, and `others` says how many other frequent ones
    there are.
    """

    times: Sequence[DurationRow]
    versions: Sequence[VersionDurationRow]
    known: Mapping[str, VersionDurationRow]
    others: int


class _OverTime(NamedTuple):
    """A project's sessions over time and by version: what `Project` has of them.

    `by_version` says how they ended, `rated_by_version` the same of those that are rated.
    """

    release: Release
    bars: Mapping[dt.date, Outcomes]
    finished: Outcomes
    rated_bars: Mapping[dt.date, Outcomes]
    by_version: Mapping[str, Outcomes]
    rated_by_version: Mapping[str, Outcomes]
    adoption: Adoption
    came: Mapping[dt.date, Sequence[Arrival]]
    durations: Lasting


@dataclass(frozen=True)
class Project:
    """A project in one period.

    Args:
        name: `owner/repo`.
        latest: Its newest version; empty when nobody named one.
        flagged: Versions with known faults.
        bars: How the sessions of each day or week ended; no day of the period is left out.
        rated: The same without today, which is not over: what rates are shares of. Only where
            there is nothing else, today is in it. Nothing of sessions of one outcome.
        finished: How those of the days that are over ended, or of today where that is the period.
        beside: It, the period before it and the same a year ago, as `Period.beside` has them.
        earlier: How the sessions of all of these but the first ended.
        users: Those that were seen in the period.
        versions: Its most frequent versions, the newest first, and how their sessions ended:
            all of them, and those that are rated.
        other_versions: The same of all its other versions.
        other_versions_number: How many other versions there are.
        comparison: The newest version beside the one before it.
        adoption: How the sessions of each day, week or month are shared out among versions.
        came: The releases of the period, by the day, week or month.
        failures: The errors that hit most users.
        shares: By kind (`platform`, …), what the sessions ran on, the most frequent first.
        lost: The runs that were never heard of again.
        durations: How long runs take.
    """

    name: str
    latest: str
    flagged: Sequence[str]
    bars: Mapping[dt.date, Outcomes]
    rated: Mapping[dt.date, Outcomes]
    finished: Outcomes
    beside: Sequence[Period]
    earlier: Sequence[Outcomes]
    users: UserCounts
    versions: Sequence[tuple[str, Outcomes, Outcomes]]
    other_versions: tuple[Outcomes, Outcomes]
    other_versions_number: int
    comparison: Comparison | None
    adoption: Adoption
    came: Mapping[dt.date, Sequence[Arrival]]
    failures: Sequence[ErrorSummary]
    shares: Mapping[str, Sequence[tuple[str, int]]]
    lost: LostRuns
    durations: Lasting

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
    def user_types(self) -> Sequence[tuple[str, int]]:
        """How many users are of each type, the most frequent first."""
        return frequent(self.users.types)

    def trend(self, failure: ErrorSummary) -> Sequence[int]:
        """How many sessions failed with an error in each day, week or month."""
        return [failure.days.get(start, 0) for start in self.bars]

    @property
    def before(self) -> Outcomes:
        """How the sessions of the period before it ended."""
        return self.earlier[0] if self.earlier else Outcomes()

    @property
    def compared(self) -> Sequence[tuple[Period, Outcomes, int]]:
        """Other periods with sessions, and whether more (1) or fewer (-1) complete now."""
        return [
            (period, then, completes_more(self.finished, then))
            for period, then in zip(self.beside[1:], self.earlier, strict=True)
            if then.total
        ]

    @property
    def change(self) -> float | None:
        """How many percentage points the completion rate, as shown, has gained since before."""
        now, then = self.rated_outcomes.rate, self.before.rate
        return None if now is None or then is None else round(now, 1) - round(then, 1)


async def summaries(collector: Collector, access: Access | None, period: Period) -> list[Summary]:
    """The projects that may be seen, those with most sessions in a period first."""
    names = await collector.reports.visible_projects(access)
    releases = await collector.projects.releases(names)
    found = outcomes_by(await collector.reports.by_project(names, period))
    listed = []
    for name in names:
        by_day = [found.get((name, day), Outcomes()) for day in period.buckets()]
        daily = [outcomes.total for outcomes in by_day]
        sums = total(by_day)
        before_today = total(by_day[:-1])
        rate_of = before_today if before_today.total else sums
        listed.append(Summary(name, releases[name].named, sums, rate_of, daily))
    return sorted(listed, key=lambda summary: (-summary.outcomes.total, summary.name))


async def project(collector: Collector, name: str, period: Period, only: Filter) -> Project:
    """Everything that a project's page shows of a period, and of the sessions of a filter."""
    ask = collector.reports
    only = await ask.resolved(name, only)
    asked = (name, period, only)
    beside = period.beside(collector.clock.today())
    # First what takes longest: errors, whose questions wait for each other's answers.
    failures, over_time, users, shares, lost, earlier = await asyncio.gather(
        ask.errors(*asked, MAX_FAILURES),
        _over_time(collector, *asked),
        ask.users(*asked),
        ask.shares(*asked),
        ask.lost_runs(*asked),
        asyncio.gather(*(ask.outcomes(name, other, only) for other in beside[1:])),
    )
    release, by_version, rated = over_time.release, over_time.by_version, over_time.rated_by_version
    comparison = newest_two(rated, release.named)
    rated_bars = over_time.rated_bars
    if only.outcome:
        # Of sessions that all ended in one way no share completed, or every one: that is no rate.
        rated, rated_bars = {}, dict.fromkeys(rated_bars, Outcomes())
    shown, others = most_frequent(by_version, release.latest)
    return Project(
        name,
        release.named,
        release.flagged,
        bars=over_time.bars,
        rated=rated_bars,
        finished=over_time.finished,
        beside=beside,
        earlier=earlier,
        users=users,
        versions=[
            (version, by_version[version], rated.get(version, Outcomes())) for version in shown
        ],
        other_versions=(
            total(by_version[version] for version in others),
            total(rated.get(version, Outcomes()) for version in others),
        ),
        other_versions_number=len(others),
        comparison=comparison,
        adoption=over_time.adoption,
        came=over_time.came,
        failures=failures,
        shares={facet: frequent(found)[:MAX_SHARES] for facet, found in shares.items()},
        lost=lost,
        durations=over_time.durations,
    )


async def _over_time(collector: Collector, name: str, period: Period, only: Filter) -> _OverTime:
    """How a project's sessions ended over time and by version, and how long these took."""
    ask, asked = collector.reports, (name, period, only)
    release, by_version, by_day, came = await asyncio.gather(
        collector.projects.release(name),
        ask.by_version(*asked),
        ask.by_bar(*asked),
        ask.arrivals(name, period),
    )
    outcomes = {version: of.outcomes for version, of in by_version.items()}
    numbers = {version: of.total for version, of in outcomes.items()}
    versions = most_used(numbers, release.named, release.flagged)
    used, durations = await asyncio.gather(
        ask.of_versions(*asked, versions),
        _lasting(collector, *asked, outcomes),
    )
    today = collector.clock.today()
    finished = {day: of for day, of in by_day.items() if day < today}
    before_today = {version: of.before_today for version, of in by_version.items()}
    rated = {version: of for version, of in before_today.items() if of.total}
    return _OverTime(
        release,
        _by_bar(by_day, period),
        total((by_day if period.days == 1 else finished).values()),
        _by_bar(finished or by_day, period),
        outcomes,
        rated if finished else outcomes,
        adoption(versions, len(outcomes) - len(versions), used, by_day, period),
        among(came, numbers),
        durations,
    )


def _by_bar(by_day: Mapping[dt.date, Outcomes], period: Period) -> dict[dt.date, Outcomes]:
    """Outcomes by the day, week or month, none of them left out."""
    found = totals((period.bucket(day), outcomes) for day, outcomes in by_day.items())
    return {start: found.get(start, Outcomes()) for start in period.buckets()}


async def _lasting(
    collector: Collector,
    name: str,
    period: Period,
    only: Filter,
    by_version: Mapping[str, Outcomes],
) -> Lasting:
    """How long runs take, of the newest of the frequent versions and those before them."""
    completed = {version: of.completed for version, of in by_version.items() if of.completed}
    ordered = newest_first(completed)
    frequent_ones = {version for version, _ in frequent(completed)[:MAX_VERSIONS]}
    shown = [version for version in ordered if version in frequent_ones]
    shown, others = shown[:MAX_TIMED], len(shown[MAX_TIMED:])
    enough = [version for version in ordered if completed[version] >= ENOUGH]
    before = {version for version in versions_before(shown, enough).values() if version}
    durations = partial(collector.reports.durations, name, period, only)
    found = await durations({*shown, *before})
    # Old programs may tell no durations; then a version is compared with an older one that does.
    untimed = {of for of in before if found.by_version.get(of, Counter()).total() < ENOUGH}
    if untimed:
        older: set[str] = set()
        for _ in range(MAX_OLDER):
            untimed = {of for of in versions_before(untimed, enough).values() if of}
            older |= untimed
        if older:
            found.by_version.update((await durations(older)).by_version)
    tables = Tables(collector.reports, name, period, only, collector.clock.today())
    known = {row.version: row for row in timed_versions(found)}
    return Lasting(
        tables.timed(found),
        [known[version] for version in shown if version in known],
        known,
        others,
    )
