"""What a page about a project's users shows."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

from migas.collector.counts.frequency import frequent
from migas.collector.counts.releases import among
from migas.collector.counts.tables import Tables, trend_of

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping, Sequence

    from migas.collector.collector import Collector
    from migas.collector.counts.filters import Filter
    from migas.collector.counts.releases import Arrival
    from migas.collector.counts.rows import UsersRow
    from migas.collector.days import Period

MAX_VALUES = 15


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
    """The users of a period: how many, and in each of its halves; and the versions to choose from.

    `margin` says by how many percent of all users their numbers may be off, in 95 of 100 cases; 0
    where each of them was counted; `is_estimate` whether that is so of their number in all.
    `rows` has them by the day, week or month, `tables` by kind what their sessions ran on, `came`
    the releases of the period.

    `versions` are the most frequent versions and the numbers of their sessions, with those that
    have no user id; `other_versions` says how many other versions there are, and how many
    sessions these have.
    """

    number: int
    earlier: int
    later: int
    margin: float
    is_estimate: bool
    sessions: int
    rows: Sequence[UsersRow]
    tables: Mapping[str, Sequence[UsersOf]]
    came: Mapping[dt.date, Sequence[Arrival]]
    versions: Sequence[tuple[str, int]]
    other_versions: tuple[int, int]

    @property
    def sessions_by_version(self) -> int:
        """How many sessions all versions have."""
        return sum(sessions for _, sessions in self.versions) + self.other_versions[1]


async def users(collector: Collector, name: str, period: Period, only: Filter) -> UsersPage:
    """Everything that a page about a project's users shows of a period."""
    ask, today = collector.reports, collector.clock.today()
    only = await ask.resolved(name, only)
    activity, by_version, came = await asyncio.gather(
        ask.activity(name, period, only, may_estimate=True),
        ask.by_version(name, period, only),
        ask.arrivals(name, period),
    )
    first_half, second_half = period.halves
    earlier, later = activity.users(first_half), activity.users(second_half)
    in_all, then, now = (activity.by_facet(of) for of in (period, first_half, second_half))
    whole = activity.whole
    found = await ask.users_over_time(name, period, only, activity)
    rows = Tables(ask, name, period, only, today).of_users(found)
    tables = {
        facet: [
            UsersOf(
                value,
                whole(users_of),
                whole(then[facet][value]),
                whole(now[facet][value]),
                # Chance has to be told of the users who were counted.
                trend_of((then[facet][value], now[facet][value]), (earlier, later)),
            )
            for value, users_of in frequent(in_all[facet])[:MAX_VALUES]
        ]
        for facet in ("language", "platform", "container")
    }
    sessions = sum(row.sessions for row in rows)
    # Of sessions, not of users: no count tells the users of each version, and to find them takes
    # too long where there are millions of sessions.
    numbers = {version: of.outcomes.total for version, of in by_version.items()}
    versions = frequent(numbers)
    other_versions = versions[MAX_VALUES:]
    return UsersPage(
        # An estimate is never less than what is known.
        max(whole(activity.users(period)), sum(row.new for row in rows)),
        whole(earlier),
        whole(later),
        activity.margin,
        activity.is_estimate,
        sessions,
        rows,
        tables,
        among(came, numbers),
        versions[:MAX_VALUES],
        (len(other_versions), sum(number for _, number in other_versions)),
    )
