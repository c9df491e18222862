"""What a page about two versions shows."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

from migas.collector.counts.comparison import ENOUGH, newest_two
from migas.collector.counts.outcomes import Outcomes, completes_more
from migas.collector.pages.shown import MAX_FAILURES, most_frequent
from migas.collector.projects.versions import version_order

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from migas.collector.collector import Collector
    from migas.collector.counts.comparison import Comparison
    from migas.collector.counts.differences import Difference, Where
    from migas.collector.counts.filters import Filter
    from migas.collector.days import Period


class UsersOfVersion(NamedTuple):
    """How many users a version has, and by how many percent that may be off in 95 of 100 cases."""

    active: int
    margin: float


class VersionsPage(NamedTuple):
    """Two versions side by side.

    `versions` are all that have sessions, the newest first. `first` and `second` are names of
    them, empty where there are no two, `missing` those that were asked for and have no session.
    `outcomes` are how the sessions of both ended before
    today, and empty for those of one outcome; `sessions` how many there are with today's, and
    `ended_anyhow` how many whatever the outcome that is asked for; `verdict` is 1 where more of
    the first version complete, -1 where fewer do. `errors` are in one or both of them, `numbers`
    how many errors there are.
    """

    versions: Sequence[str]
    first: str
    second: str
    missing: Sequence[str]
    outcomes: tuple[Outcomes, Outcomes]
    sessions: tuple[int, int]
    ended_anyhow: tuple[int, int]
    users: tuple[UsersOfVersion, UsersOfVersion]
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
    ask = collector.reports
    only = await ask.resolved(name, only)
    release, found = await asyncio.gather(
        collector.projects.release(name), ask.by_version(name, period, only)
    )
    # How often something fails is told of all sessions, however they ended.
    anyhow_ended = only.with_(outcome=None)
    every = await ask.by_version(name, period, anyhow_ended) if only.outcome else found
    by_version = {version: of.outcomes for version, of in found.items()}
    finished = {version: of.before_today for version, of in found.items() if of.before_today.total}
    finished = finished or by_version
    shown, _ = most_frequent(by_version, release.named)
    two = newest_two(finished, release.named)
    pair = first, second = _chosen(*asked, two, by_version, shown)
    # Sessions of one outcome have no rate that could be compared.
    rated = {} if only.outcome else finished
    outcomes = (rated.get(first, Outcomes()), rated.get(second, Outcomes()))
    whole = (by_version.get(first, Outcomes()).total, by_version.get(second, Outcomes()).total)
    one_anyhow, other_anyhow = (every[of].outcomes.total if of in every else 0 for of in pair)
    anyhow = (one_anyhow, other_anyhow)

    async def users_of(version: str) -> UsersOfVersion:
        if version not in by_version:
            return UsersOfVersion(0, 0.0)
        of_version = only.with_(version=version)
        activity = await ask.activity(name, period, of_version, may_estimate=True)
        return UsersOfVersion(activity.whole(activity.users(period)), activity.margin)

    first_users, second_users, (errors, numbers) = await asyncio.gather(
        users_of(first),
        users_of(second),
        ask.differences(
            name,
            period,
            only,
            versions=dict(zip(pair, anyhow, strict=True)),
            limit=MAX_FAILURES,
        ),
    )
    return VersionsPage(
        shown,
        *pair,
        [version for version in asked if version and version not in by_version],
        outcomes,
        whole,
        anyhow,
        (first_users, second_users),
        completes_more(*outcomes),
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
        others = [version for version in shown if version != first]
        # Beside a handful of sessions nothing can be told of the first one.
        enough = [version for version in others if known[version].ended >= ENOUGH] or others
        older = [version for version in enough if version_order(version) < version_order(first)]
        second = before or next(iter(older or enough), "")
    return first, second
