"""How many users there are: in a period, over time, and by what their sessions ran on."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from math import ceil, sqrt
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Integer,
    Select,
    case,
    distinct,
    func,
    literal_column,
    select,
)

from migas.collector.counts.reading import ALL, DAY
from migas.collector.counts.sessions import facets
from migas.collector.counts.usage import FACETS, RAN_ON, Facet, Usage
from migas.collector.counts.visits import SAMPLES
from migas.collector.database.tables import (
    IS_SPECIAL,
    profiles,
    project_users,
    sessions,
    users,
    visits,
)
from migas.collector.days import day_number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from migas.collector.counts.filters import Filter
    from migas.collector.days import Period


GENERAL = "general"
"""The type of nearly all users."""

MAX_NAMED = 1000
"""So many profiles are named to the database one by one, which leads it straight to their rows."""

MAX_MARGIN = 2.0
ENOUGH = 10_500
"""From so many of very many users their number is known within 2 %, in 95 of 100 cases."""

FEW = 5_000
"""Fewer users are counted one by one."""


class UserCounts(NamedTuple):
    """How many users were seen in a period, how many for the first time, and their types.

    `margin` says by how many percent the number of users may be off, in 95 of 100 cases; 0 where
    they were counted, at most 2 where it is an estimate.
    """

    active: int
    new: int
    types: Mapping[str, int]
    margin: float = 0.0


class People(Usage):
    """The users of a project."""

    async def users(self, project: str, period: Period, only: Filter = ALL) -> UserCounts:
        """How many users a period has, and how many of them were first seen then.

        They are those last seen in it or later: for a period that ends today these are its users.
        Those of an error or an outcome are looked for among its sessions.
        """
        first, last = day_number(period.first), day_number(period.last)
        is_new = func.count().filter(project_users.c.first_day.between(first, last))
        if only.error or only.outcome:
            return await self._users_one_by_one(project, period, only, is_new)
        if only:
            return await self._visitors(project, period, only, is_new)
        seen = (project_users.c.project == project, project_users.c.last_day >= first)
        ((active, new),) = await self.rows(select(func.count(), is_new).where(*seen))
        of_user = users.c.user_id == project_users.c.user_id
        special = select(users.c.user_type, func.count()).join(project_users, of_user)
        special = special.where(*seen, IS_SPECIAL).group_by(users.c.user_type)
        types = {row[0]: row[1] for row in await self.rows(special)}
        general = active - sum(types.values())
        return UserCounts(active, new, {GENERAL: general} | types if general > 0 else types)

    async def _visitors(
        self, project: str, period: Period, only: Filter, is_new: ColumnElement[int]
    ) -> UserCounts:
        """Users by what they were seen with; of very many it looks at a part."""
        everybody = select(func.count()).where(
            project_users.c.project == project,
            project_users.c.last_day >= day_number(period.first),
        )
        ((most,),) = await self.rows(everybody)
        of_profiles = await self._sliced(project, period, only, "profile")
        most = min(most, sum(row[-1] for row in of_profiles))
        those = [
            visits.c.project == project,
            visits.c.last_day >= day_number(period.first),
            *only.profile_conditions(project, visits.c.profile),
        ]
        those.append(visits.c.version == (only.version or ""))
        named = {row[0] for row in of_profiles}
        if len(named) < MAX_NAMED:
            those.append(visits.c.profile.in_(named))
        part, found = 0, 0
        while part < SAMPLES and (not part or _margin(found, part) > MAX_MARGIN):
            share = 1.0 if most < FEW else ENOUGH / (ENOUGH + most)
            part = min(SAMPLES, max(2 * part, ceil(SAMPLES * share)))
            # Named one by one, they lead straight to the rows of a profile.
            theirs = [*those, visits.c.sample.in_(range(part))]
            rows = await self.scanned(_visitors_by_type(project, theirs, is_new))
            found = sum(row[1] for row in rows)
            most = round(found * SAMPLES / part)
        kinds: Counter[str] = Counter()
        for kind, number, _ in rows:
            kinds[kind or GENERAL] += round(number * SAMPLES / part)
        new = round(sum(row[2] for row in rows) * SAMPLES / part)
        return UserCounts(most, new, dict(kinds), _margin(found, part))

    async def _users_one_by_one(
        self, project: str, period: Period, only: Filter, is_new: ColumnElement[int]
    ) -> UserCounts:
        theirs = select(sessions.c.user_id).where(*only.within(project, period))
        seen = project_users.c.user_id.in_(theirs.where(sessions.c.user_id.isnot(None)))
        kind = func.coalesce(users.c.user_type, GENERAL)
        of_user = users.c.user_id == project_users.c.user_id
        query = (
            select(kind, func.count(), is_new)
            .join_from(project_users, users, of_user, isouter=True)
            .where(project_users.c.project == project, seen)
            .group_by(kind)
        )
        rows = await self.scanned(query)
        kinds = {row[0]: row[1] for row in rows}
        return UserCounts(sum(kinds.values()), sum(row[2] for row in rows), kinds)

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


def _visitors_by_type(
    project: str, those: Sequence[ColumnElement[bool]], is_new: ColumnElement[int]
) -> Select[Any]:
    """How many users of some visits are of which type, and how many of these are new."""
    seen = (
        select(visits.c.user_id, func.min(visits.c.profile).label("profile"))
        .where(*those)
        .group_by(visits.c.user_id)
        .subquery()
    )
    known = (project_users.c.user_id == seen.c.user_id) & (project_users.c.project == project)
    of = (profiles.c.profile == seen.c.profile) & (profiles.c.project == project)
    return (
        select(profiles.c.user_type, func.count(), is_new)
        .select_from(seen.join(project_users, known).join(profiles, of))
        .group_by(profiles.c.user_type)
    )


def _margin(found: int, part: int) -> float:
    """By how many percent a number may be off that so many users of so many parts stand for."""
    return 196 * sqrt((1 - part / SAMPLES) / max(found, 1))


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
