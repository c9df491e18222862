"""How many users there are: in a period, over time, and by what their sessions ran on."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import ColumnElement, Integer, case, distinct, func, literal_column, select

from migas.collector.counts.reading import ALL, DAY, Reading
from migas.collector.counts.sessions import facets
from migas.collector.counts.usage import FACETS, RAN_ON, Facet
from migas.collector.database.tables import project_users, sessions, users
from migas.collector.days import day_number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from migas.collector.counts.filters import Filter
    from migas.collector.days import Period


class UserCounts(NamedTuple):
    """How many users were seen in a period, how many for the first time, and their types."""

    active: int
    new: int
    types: Mapping[str, int]


class People(Reading):
    """The users of a project."""

    async def users(self, project: str, period: Period, only: Filter = ALL) -> UserCounts:
        """How many users a period has, and how many of them were first seen then.

        Without a filter they are those last seen in it or later: for a period that ends today
        these are its users.
        """
        first, last = day_number(period.first), day_number(period.last)
        seen = project_users.c.last_day >= first
        if only:
            theirs = select(sessions.c.user_id).where(*only.within(project, period))
            seen = project_users.c.user_id.in_(theirs.where(sessions.c.user_id.isnot(None)))
        is_new = project_users.c.first_day.between(first, last)
        kind = func.coalesce(users.c.user_type, "general")
        query = (
            select(kind, func.count(), func.count().filter(is_new))
            .join_from(
                project_users, users, users.c.user_id == project_users.c.user_id, isouter=True
            )
            .where(project_users.c.project == project, seen)
            .group_by(kind)
        )
        rows = await (self.scanned(query) if only else self.rows(query))
        return UserCounts(
            sum(row[1] for row in rows),
            sum(row[2] for row in rows),
            {row[0]: row[1] for row in rows},
        )

    async def users_over_time(
        self, project: str, period: Period, only: Filter = ALL
    ) -> dict[date, tuple[int, int, int]]:
        """Users, those first seen then, and sessions of users, by the day, week or month.

        Those without a user are not in it.
        """
        starts = period.buckets()
        seen, joined = (_bucket(column, starts) for column in (DAY, project_users.c.first_day))
        those = (*only.within(project, period), sessions.c.user_id.isnot(None))
        hit = distinct(sessions.c.user_id)
        query = select(seen, func.count(hit), func.count()).where(*those).group_by(seen)
        if only:
            of_user = (project_users.c.user_id == sessions.c.user_id) & (
                project_users.c.project == sessions.c.project
            )
            new = select(seen, func.count(hit)).join(project_users, of_user)
            new = new.where(*those, joined == seen).group_by(seen)
        else:
            first, last = day_number(period.first), day_number(period.last)
            is_new = project_users.c.first_day.between(first, last)
            new = select(joined, func.count())
            new = new.where(project_users.c.project == project, is_new).group_by(joined)
        found_new = {row[0]: row[1] for row in await self.scanned(new)}
        return {
            starts[number]: (users_then, found_new.get(number, 0), sessions_then)
            for number, users_then, sessions_then in await self.scanned(query)
        }

    async def users_by_facet(
        self, project: str, period: Period, only: Filter = ALL
    ) -> tuple[int, dict[Facet, Counter[str]]]:
        """How many users sessions have, and by what those ran on; a user may be in several."""
        columns = (sessions.c.user_id, *(sessions.c[name] for name in RAN_ON))
        those = (*only.within(project, period), sessions.c.user_id.isnot(None))
        seen: set[tuple[Facet, str, str]] = set()
        people: set[str] = set()
        for user, *ran_on in await self.scanned(select(*columns).where(*those).distinct()):
            people.add(user)
            seen.update((facet, value, user) for facet, value in facets(*ran_on))
        found: dict[Facet, Counter[str]] = {facet: Counter() for facet in FACETS}
        for facet, value, _ in seen:
            found[facet][value] += 1
        return len(people), found


def _bucket(day: ColumnElement[int], starts: Sequence[date]) -> ColumnElement[int]:
    """Which of some days that stand for others, in order, stands for a day; counted from 0."""

    def plain(value: int) -> ColumnElement[int]:
        # No parameter: PostgreSQL has to see that what is asked for is what is grouped by.
        return literal_column(str(value), Integer)

    steps = {(later - start).days for start, later in pairwise(starts)}
    if len(steps) <= 1:
        return (day - plain(day_number(starts[0]))) // plain(max(steps, default=31))
    return case(
        *((day < plain(day_number(end)), plain(number)) for number, end in enumerate(starts[1:])),
        else_=plain(len(starts) - 1),
    )
