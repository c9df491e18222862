"""What the pages show: daily counts, read in a handful of small queries, by how sessions ended."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from migas.collector.counts.adoption import adoption, arrivals, uses
from migas.collector.counts.chance import VERY_CONFIDENT, compared
from migas.collector.counts.comparison import Comparison, newest_two
from migas.collector.counts.differences import differences
from migas.collector.counts.outcomes import Outcomes, outcomes_by, rated, total
from migas.collector.counts.tables import Tables
from migas.collector.counts.usage import FACETS
from migas.collector.projects.versions import version_order

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Mapping, Sequence

    from migas.collector.collector import Collector
    from migas.collector.counts.adoption import Adoption
    from migas.collector.counts.differences import Difference, Where
    from migas.collector.counts.failures import ErrorSummary, Message
    from migas.collector.counts.filters import Filter
    from migas.collector.counts.lost import LostRuns
    from migas.collector.counts.outcomes import UsageCount
    from migas.collector.counts.people import UserCounts
    from migas.collector.counts.tables import DurationRow, UsersRow
    from migas.collector.days import Period
    from migas.collector.tokens import Access

MAX_VERSIONS = 50
"""Whoever reports runs names their versions: a page must not grow with what strangers make up."""

MAX_FAILURES = 10
MAX_SHARES = 8

MAX_MESSAGES = 10
MAX_REMARKABLE = 4
MAX_VALUES = 15

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
    """How long runs take: by the day, week or month, and by version, the newest first."""

    times: Sequence[DurationRow]
    versions: Sequence[DurationRow]

    def of(self, version: str) -> DurationRow:
        """The row of a version."""
        return next(row for row in self.versions if row.version == version)


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
        year_ago: How those of the same weeks of the year before ended.
        users: Those that were seen in the period; at most so many when it ended before today.
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
        durations: How long runs take; None where that cannot be told in time.
    """

    name: str
    latest: str
    flagged: Sequence[str]
    bars: Mapping[dt.date, Outcomes]
    rated: Mapping[dt.date, Outcomes]
    before: Outcomes
    year_ago: Outcomes
    users: UserCounts
    versions: Sequence[tuple[str, Outcomes, Outcomes]]
    other_versions: tuple[Outcomes, Outcomes]
    other_versions_number: int
    comparison: Comparison | None
    adoption: Adoption
    came: Mapping[dt.date, Sequence[str]]
    failures: Sequence[ErrorSummary]
    shares: Mapping[str, Sequence[tuple[str, int]]]
    lost: LostRuns
    durations: Lasting | None

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
        return _frequent(self.users.types)

    def trend(self, failure: ErrorSummary, period: Period) -> Sequence[int]:
        """How many sessions failed with an error in each day, week or month."""
        return list(_bars(failure.days.items(), period).values())

    @property
    def compared(self) -> Sequence[tuple[str, Outcomes, int]]:
        """Other periods with sessions, and whether more (1) or fewer (-1) complete now."""
        now = self.rated_outcomes
        return [
            (name, then, compared((now.completed, now.ended), (then.completed, then.ended)))
            for name, then in (("before", self.before), ("a year ago", self.year_ago))
            if then.total
        ]

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
        sums = total(by_day)
        before_today = total(by_day[:-1])
        rate_of = before_today if before_today.total else sums
        listed.append(Summary(name, releases[name].named, sums, rate_of, daily))
    return sorted(listed, key=lambda summary: (-summary.outcomes.total, summary.name))


async def project(collector: Collector, name: str, period: Period, only: Filter) -> Project:
    """Everything that a project's page shows of a period, and of the sessions of a filter."""
    ask = collector.reports
    usage, shares = await ask.breakdown(name, period, only)
    finished = rated(usage, collector.clock.today())
    starts = {day: period.bucket(day) for day in {row.day for row in usage}}
    by_bucket, rated_by_bucket = (
        outcomes_by((starts[row.day], row.status, row.sessions) for row in rows)
        for rows in (usage, finished)
    )
    by_version, rated_by_version = (
        outcomes_by((row.version, row.status, row.sessions) for row in rows)
        for rows in (usage, finished)
    )
    used = uses(usage)
    release = await collector.projects.release(name)
    shown, others = _most_frequent(by_version, release.latest)
    return Project(
        name,
        release.named,
        release.flagged,
        bars={day: by_bucket.get(day, Outcomes()) for day in period.buckets()},
        rated={day: rated_by_bucket.get(day, Outcomes()) for day in period.buckets()},
        before=await ask.outcomes(name, period.before, only),
        year_ago=await ask.outcomes(name, period.year_ago, only),
        users=await ask.users(name, period, only),
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
        adoption=adoption(used, period, release.named),
        came=arrivals(used, period),
        failures=await ask.errors(name, period, only, MAX_FAILURES),
        shares={facet: _frequent(found)[:MAX_SHARES] for facet, found in shares.items()},
        lost=await ask.lost_runs(name, period, only),
        durations=await _lasting(collector, name, period, only),
    )


async def _lasting(collector: Collector, name: str, period: Period, only: Filter) -> Lasting | None:
    found = await collector.reports.durations(name, period, only)
    if found is None:
        return None
    tables = Tables(collector.reports, name, period, only, collector.clock.today())
    rows = tables.timed(found)
    versions = [row for row in rows if row.version is not None]
    frequent = sorted(versions, key=lambda row: -row.runs)[:MAX_VERSIONS]
    named = {row.version for row in frequent} | {row.before for row in frequent}
    return Lasting(
        [row for row in rows if row.version is None],
        [row for row in versions if row.version in named],
    )


class Likelihood(NamedTuple):
    """How often an error meets sessions that have a value, beside how often it meets any.

    `times` is the one rate by the other one, and `verdict` 1 or -1 where it is above or below
    that of the other sessions by more than chance.
    """

    value: str
    failed: int
    sessions: int
    times: float
    verdict: int


class ErrorPage(NamedTuple):
    """An error in one period.

    `summary` is None where no session failed with it. `bars` has the sessions of each day, week
    or month, `tables` by kind how often it meets each value, and `remarkable` those pairs of a
    kind and a value that it meets more often than others by more than chance.
    """

    summary: ErrorSummary | None
    sessions: int
    bars: Mapping[dt.date, int]
    tables: Mapping[str, Sequence[Likelihood]]
    remarkable: Sequence[tuple[str, Likelihood]]
    messages: Sequence[Message]
    comparison: Comparison | None
    came: Mapping[dt.date, Sequence[str]]


async def error(
    collector: Collector, name: str, period: Period, only: Filter, fingerprint: str
) -> ErrorPage:
    """Everything that an error's page shows of a period, and of the sessions of a filter."""
    ask = collector.reports
    its_own = only.with_(error=fingerprint)
    found = await ask.errors(name, period, its_own, 1)
    usage, shares = await ask.breakdown(name, period, its_own)
    all_usage, all_shares = await ask.breakdown(name, period, only)
    tables = {"version": _likelihoods(_by_version(usage), _by_version(all_usage))} | {
        facet: _likelihoods(shares[facet], all_shares[facet]) for facet in FACETS
    }
    remarkable = [(kind, row) for kind, rows in tables.items() for row in rows if row.verdict > 0]
    by_version = outcomes_by((row.version, row.status, row.sessions) for row in all_usage)
    return ErrorPage(
        found[0] if found else None,
        sum(row.sessions for row in all_usage),
        _bars(((row.day, row.sessions) for row in usage), period),
        tables,
        sorted(remarkable, key=lambda pair: -pair[1].times)[:MAX_REMARKABLE],
        await ask.messages(name, period, its_own, MAX_MESSAGES),
        newest_two(by_version, (await collector.projects.release(name)).named),
        arrivals(uses(all_usage), period),
    )


class VersionsPage(NamedTuple):
    """Two versions side by side.

    `versions` are all that have sessions, the newest first. `first` and `second` are names of
    them, empty where there are no two. `outcomes` are how the sessions of both ended before
    today, `sessions` how many there are with today's, `verdict` is 1 where more of the first
    version complete, -1 where fewer do. `errors` are in one or both of them, `numbers` how many
    errors there are.
    """

    versions: Sequence[str]
    first: str
    second: str
    outcomes: tuple[Outcomes, Outcomes]
    sessions: tuple[int, int]
    users: tuple[int, int]
    verdict: int
    errors: Mapping[Where, Sequence[Difference]]
    numbers: Mapping[Where, int]


async def versions(
    collector: Collector, name: str, period: Period, only: Filter, asked: tuple[str, str]
) -> VersionsPage:
    """Everything that a page about two versions shows of a period, and of a filter's sessions.

    Args:
        collector: Where the figures come from.
        name: `owner/repo`.
        period: Which days.
        only: Which sessions.
        asked: The first version and the second one. Where one has no session it is the newest,
            or the one before the first.
    """
    ask, today = collector.reports, collector.clock.today()
    usage = await ask.usage(name, period, only)
    by_version = outcomes_by((row.version, row.status, row.sessions) for row in usage)
    finished = outcomes_by((row.version, row.status, row.sessions) for row in rated(usage, today))
    release = await collector.projects.release(name)
    shown, _ = _most_frequent(by_version, release.named)
    two = newest_two(finished, release.named)
    pair = first, second = _chosen(*asked, two, by_version, shown)
    outcomes = (finished.get(first, Outcomes()), finished.get(second, Outcomes()))
    whole = (by_version.get(first, Outcomes()).total, by_version.get(second, Outcomes()).total)
    users = [(await ask.users(name, period, only.with_(version=one))).active for one in pair]
    errors, numbers = await differences(
        collector.connections,
        name,
        period,
        only,
        versions=dict(zip(pair, whole, strict=True)),
        limit=MAX_FAILURES,
    )
    one, other = outcomes
    return VersionsPage(
        shown,
        *pair,
        outcomes,
        whole,
        (users[0], users[1]),
        compared((one.completed, one.ended), (other.completed, other.ended)),
        {where: [error for error in errors if error.where == where] for where in numbers},
        numbers,
    )


def _chosen(
    first: str,
    second: str,
    two: Comparison | None,
    known: Mapping[str, Outcomes],
    shown: Sequence[str],
) -> tuple[str, str]:
    """Two versions that have sessions, those that were asked for where they do."""
    if first not in known:
        first = two.newest if two else next(iter(shown), "")
    if second not in known or second == first:
        before = two.before if two and two.newest == first else ""
        older = [version for version in shown if version_order(version) < version_order(first)]
        others = [version for version in shown if version != first]
        second = before or next(iter(older or others), "")
    return first, second


class UsersOf(NamedTuple):
    """How many users have a value in a period, and in its first and in its second half.

    `trend` is 1 or -1 where their share of all users has grown or shrunk by more than chance.
    """

    value: str
    users: int
    earlier: int
    later: int
    trend: int


class UsersPage(NamedTuple):
    """The users of a period: how many, and in each of its halves.

    `rows` has them by the day, week or month, `tables` by kind what their sessions ran on, `came`
    the releases of the period.
    """

    number: int
    earlier: int
    later: int
    sessions: int
    rows: Sequence[UsersRow]
    tables: Mapping[str, Sequence[UsersOf]]
    came: Mapping[dt.date, Sequence[str]]


async def users(collector: Collector, name: str, period: Period, only: Filter) -> UsersPage:
    """Everything that a page about a project's users shows of a period."""
    ask, today = collector.reports, collector.clock.today()
    number, in_all = await ask.users_by_facet(name, period, only)
    (earlier, then), (later, now) = [
        await ask.users_by_facet(name, half, only) for half in period.halves
    ]
    rows = await Tables(ask, name, period, only, today).users()
    tables = {
        facet: [
            UsersOf(
                value,
                users_of,
                then[facet][value],
                now[facet][value],
                compared((now[facet][value], later), (then[facet][value], earlier)),
            )
            for value, users_of in _frequent(in_all[facet])[:MAX_VALUES]
        ]
        for facet in ("language", "platform", "container")
    }
    came = arrivals(uses(await ask.usage(name, period, only)), period)
    sessions = sum(row.sessions for row in rows)
    return UsersPage(number, earlier, later, sessions, rows, tables, came)


def _by_version(usage: Sequence[UsageCount]) -> Counter[str]:
    found: Counter[str] = Counter()
    for row in usage:
        found[row.version] += row.sessions
    return found


def _likelihoods(failed: Mapping[str, int], sessions: Mapping[str, int]) -> list[Likelihood]:
    """The values that an error meets most often, and how often it could have met them."""
    hit, everything = sum(failed.values()), sum(sessions.values())
    found = []
    for value, number in _frequent(failed)[:MAX_SHARES]:
        had = max(sessions.get(value, 0), number)  # between two questions some may have come
        times = (number / had) / (hit / everything) if everything else 0.0
        verdict = compared((number, had), (hit - number, everything - had), VERY_CONFIDENT)
        found.append(Likelihood(value, number, had, times, verdict))
    return found


def _bars(days: Iterable[tuple[dt.date, int]], period: Period) -> dict[dt.date, int]:
    """Numbers of days by what is counted together, none of the period left out."""
    found = dict.fromkeys(period.buckets(), 0)
    for day, number in days:
        found[period.bucket(day)] += number
    return found


def _frequent(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))


def _most_frequent(by_version: Mapping[str, Outcomes], latest: str) -> tuple[list[str], list[str]]:
    """The versions to show, the newest first, and the others; the named newest one is shown."""
    ranked = sorted(
        by_version, key=lambda version: (version != latest, -by_version[version].total, version)
    )
    shown = sorted(ranked[:MAX_VERSIONS], key=version_order, reverse=True)
    return shown, ranked[MAX_VERSIONS:]
