"""How many users there are: in a period, over time, and by what their sessions ran on."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from itertools import chain
from math import ceil
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Select,
    Text,
    cast,
    func,
    null,
    select,
    union_all,
)

from migas.collector.counts.active_days import UserDays, active_days, add_days
from migas.collector.counts.activity import Activity, margin, row_bytes
from migas.collector.counts.appearances import FIRST_SEEN, GENERAL, LAST_SEEN, users_by
from migas.collector.counts.reading import ALL, DAY, MAX_NAMED
from migas.collector.counts.slices import NO_USER
from migas.collector.counts.usage import Facet, Usage
from migas.collector.counts.visits import ENDINGS, SAMPLES, first_number
from migas.collector.database.tables import (
    daily,
    profiles,
    project_users,
    sessions,
    users,
    visits,
)
from migas.collector.days import BLOCK_DAYS, block_of, day_number, day_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import date

    from migas.collector.counts.filters import Filter
    from migas.collector.days import Period

MAX_MARGIN = 2.0
"""By so many percent an estimate may be off, in 95 of 100 cases."""

ENOUGH = 10_500
"""From so many of very many users their number is known within 2 %, in 95 of 100 cases."""

MAX_AT_ONCE = 200_000
"""The days of so many users, where each of them is counted, are asked for in one question."""

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

        Where nobody was seen after it, they are those last seen in it or later. Those of an error,
        and of sessions that run, are looked for among these, and all others by what they were seen
        with.
        """
        first, last = day_number(period.first), day_number(period.last)
        is_new = func.count().filter(project_users.c.first_day.between(first, last))
        if not _is_told_by_visits(only):
            return await self._users_one_by_one(project, period, only, is_new)
        if only:
            return await self._visitors(project, period, only, is_new)
        came = users_by(daily.c.value, project, FIRST_SEEN, daily.c.day.between(first, last))
        seen = users_by(daily.c.value, project, LAST_SEEN, daily.c.day >= first)
        numbers = {
            (kind, of): number for kind, of, number in await self.rows(union_all(seen, came))
        }
        # None is below 0 but where an older collector has written beside this one.
        new = max(0, sum(number for (kind, _), number in numbers.items() if kind == FIRST_SEEN))
        if await self._has_users_after(project, last):
            found = await self._visitors(project, period, only, is_new)
            if not found.margin:
                return found._replace(new=min(new, found.active))
            # An estimate is never less than what is known.
            more = max(0, new - found.active)
            kinds = Counter(found.types)
            kinds[max(kinds, key=kinds.__getitem__, default=GENERAL)] += more
            return UserCounts(found.active + more, new, kinds, found.margin)
        types = {of: number for (kind, of), number in numbers.items() if kind == LAST_SEEN}
        types = {of: number for of, number in types.items() if number > 0}
        active = sum(types.values())
        return UserCounts(active, min(new, active), types)

    async def _has_users_after(self, project: str, day: int) -> bool:
        later = (project_users.c.project == project, project_users.c.last_day > day)
        return bool(await self.rows(select(project_users.c.last_day).where(*later).limit(1)))

    async def _visitors(
        self, project: str, period: Period, only: Filter, is_new: ColumnElement[int]
    ) -> UserCounts:
        """Users by what they were seen with; of very many it looks at a part."""
        most, _ = await self._most(project, period, only)
        part, found, found_new = 0, 0, 0
        by_kind: Counter[str] = Counter()
        while part < SAMPLES and (not part or margin(found, part) > MAX_MARGIN):
            before, part = part, _larger(part, most)
            theirs = [*await self._in_part(project, only, (before, part)), _during(period, only)]
            for kind, number, new in await self.scanned(_visitors_by_type(project, theirs, is_new)):
                by_kind[kind or GENERAL] += number
                found += number
                found_new += new
            most = round(found * SAMPLES / part)
        kinds = {kind: round(number * SAMPLES / part) for kind, number in by_kind.items()}
        return UserCounts(most, round(found_new * SAMPLES / part), kinds, margin(found, part))

    async def _users_one_by_one(
        self, project: str, period: Period, only: Filter, is_new: ColumnElement[int]
    ) -> UserCounts:
        theirs = select(sessions.c.user_number).where(*only.within(project, period))
        known = theirs.where(sessions.c.user_number.isnot(None))
        seen = project_users.c.user_number.in_(known)
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

    async def activity(
        self, project: str, period: Period, only: Filter = ALL, *, may_estimate: bool = False
    ) -> Activity:
        """On which days of a period each user was active, and what their sessions ran on.

        Those of an error, and of sessions that run, are looked for among these.

        Args:
            project: `owner/repo`.
            period: Which days.
            only: Which sessions.
            may_estimate: Whether of very many users a part is enough, which tells how many all are
                within 2 %.
        """
        if not _is_told_by_visits(only):
            return await self._activity_one_by_one(project, period, only)
        most, seen = await self._most(project, period, only)
        ran_on = await self._ran_on(project)
        found: dict[int, UserDays] = {}
        if not may_estimate:
            for some in _parts(most):
                await self._find_active(found, project, period, only, some)
            return _activity(period, found, ran_on)
        is_known = not only and not await self._has_users_after(project, day_number(period.last))
        part = 0
        while part < SAMPLES:
            before, part = part, _larger(part, most)
            await self._find_active(found, project, period, only, (before, part))
            activity = _activity(period, found, ran_on, part)
            number = activity.users(period)
            if margin(number, part) <= MAX_MARGIN:
                break
            most = round(number * SAMPLES / part)
        if is_known and part < SAMPLES:
            return _activity(period, found, ran_on, part, seen)
        return activity

    async def _find_active(
        self,
        found: dict[int, UserDays],
        project: str,
        period: Period,
        only: Filter,
        part: tuple[int, int],
    ) -> None:
        """Add the active days of the users in a part, by profile."""
        first, last = day_number(period.first), day_number(period.last)
        starts = range(block_of(first), last + 1, BLOCK_DAYS)
        those = await self._in_part(project, only, part)
        query = active_days(those, _visited_days(only), starts, self.connections.dialect)
        add_days(found, await self.scanned(query))

    async def _in_part(
        self, project: str, only: Filter, part: tuple[int, int]
    ) -> list[ColumnElement[bool]]:
        """The conditions of visits of the users in a part, from one of `SAMPLES` to another."""
        those = _visited(project, only)
        if part == (0, SAMPLES):
            return those
        # Nobody is in two parts: those that are known are not looked for again.
        number = visits.c.user_number
        those.append(number.between(first_number(part[0]), first_number(part[1]) - 1))
        if only.profiles is None and len(named := await self._ran_on(project)) <= MAX_NAMED:
            those.append(visits.c.profile.in_(list(named)))
        return those

    async def _most(self, project: str, period: Period, only: Filter) -> tuple[int, int]:
        """How many users there are at most, and how many were seen since a period began."""
        since = daily.c.day >= day_number(period.first)
        by_type = await self.rows(users_by(daily.c.value, project, LAST_SEEN, since))
        seen = max(0, sum(number for _, _, number in by_type))
        most = (await self.outcomes(project, period, only)).total if only else seen
        return min(seen, most), seen

    async def _activity_one_by_one(self, project: str, period: Period, only: Filter) -> Activity:
        columns = (DAY, sessions.c.profile, cast(sessions.c.user_number, Text))
        those = (*only.within(project, period), sessions.c.user_number.isnot(None))
        days: defaultdict[tuple[int, str], int] = defaultdict(int)
        first, last = day_number(period.first), day_number(period.last)
        for day, profile, user in await self.scanned(select(*columns).where(*those).distinct()):
            days[profile, user] |= 1 << (day - block_of(first))
        found: dict[int, UserDays] = {}
        width = row_bytes(first, last)
        add_days(
            found, ((of, user, bits.to_bytes(width).hex()) for (of, user), bits in days.items())
        )
        return _activity(period, found, await self._ran_on(project))

    async def users_over_time(
        self, project: str, period: Period, only: Filter = ALL, activity: Activity | None = None
    ) -> dict[date, tuple[int, int, int]]:
        """Users, new ones, and sessions of users, by the day, week or month.

        New are those first seen in the period: on that day, or with a filter on the day on which it
        first shows them. Sessions without a user are not in it. `activity` is that of the same
        period and filter, if it is known; where it is of a part, users are what that part stands
        for.
        """
        first, last = day_number(period.first), day_number(period.last)
        new: Counter[date] = Counter()
        if activity is None:
            activity = await self.activity(project, period, only)
        number_of = await self._sessions_of_users(project, period, only)
        if only:
            number = project_users.c.user_number
            query = select(cast(number, Text)).where(
                project_users.c.project == project,
                project_users.c.first_day.between(first, last),
            )
            if activity.part < SAMPLES:
                theirs = await self._in_part(project, only, (0, activity.part))
                query = query.where(number.in_(select(visits.c.user_number).where(*theirs)))
            came = await self.many(query)
            of_part = activity.new_over_time(user for (user,) in came)
            new.update({start: activity.whole(number) for start, number in of_part.items()})
        else:
            days = daily.c.day.between(first, last)
            for _, day, number in await self.rows(users_by(daily.c.day, project, FIRST_SEEN, days)):
                new[period.bucket(day_of(day))] += number
            new = +new  # below 0 is none, as in `users`
        seen = {start: activity.whole(number) for start, number in activity.over_time().items()}
        if activity.part < SAMPLES:  # an estimate must not be less than what is known
            seen = {start: max(number, new[start]) for start, number in seen.items()}
        return {start: (number, new[start], number_of[start]) for start, number in seen.items()}

    async def _sessions_of_users(self, project: str, period: Period, only: Filter) -> Counter[date]:
        """How many sessions with a user there are, by the day, week or month."""
        found: Counter[date] = Counter()
        if only.error:
            those = (*only.within(project, period), sessions.c.user_number.isnot(None))
            query = select(DAY, func.count()).where(*those).group_by(DAY)
            for day, number in await self.scanned(query):
                found[period.bucket(day_of(day))] += number
            return found
        asked = [self._sliced(project, period, only, "day")]
        if only.user is None:
            asked.append(self._sliced(project, period, only.with_(user=NO_USER), "day"))
        every, *nobodys = await asyncio.gather(*asked)
        for day, _, number in every:
            found[period.bucket(day_of(day))] += number
        for day, _, number in chain.from_iterable(nobodys):
            found[period.bucket(day_of(day))] -= number
        return found

    async def users_by_facet(
        self, project: str, period: Period, only: Filter = ALL
    ) -> tuple[int, dict[Facet, Counter[str]]]:
        """How many users sessions have, and by what those ran on; a user may be in several."""
        activity = await self.activity(project, period, only)
        return activity.users(period), activity.by_facet(period)


def _activity(
    period: Period,
    found: Mapping[int, UserDays],
    ran_on: Mapping[int, Sequence[str]],
    part: int = SAMPLES,
    total: int | None = None,
) -> Activity:
    """The activity of users, whose days are known by profile."""
    known = ((ran_on[of], days) for of, days in found.items() if of in ran_on)
    return Activity(period, known, part, total)


def _parts(most: int) -> Iterable[tuple[int, int]]:
    """All parts of users, from one of `SAMPLES` to another: no text holds any number of them."""
    step = max(1, SAMPLES * MAX_AT_ONCE // max(most, MAX_AT_ONCE))
    return ((start, min(start + step, SAMPLES)) for start in range(0, SAMPLES, step))


def _larger(part: int, most: int) -> int:
    """How many of `SAMPLES` to look at after so many, where there are so many users at most."""
    share = 1.0 if most < FEW else ENOUGH / (ENOUGH + most)
    return min(SAMPLES, max(2 * part, ceil(SAMPLES * share)))


def _is_told_by_visits(only: Filter) -> bool:
    """Whether visits tell users of a filter: not those of an error, nor of sessions that run.

    An empty version stands for any there.
    """
    return not only.error and only.version != "" and only.outcome != "running"


def _visited(project: str, only: Filter) -> list[ColumnElement[bool]]:
    """The conditions of visits by what is filtered, but for an error."""
    mine = [visits.c.project == project, visits.c.version == (only.version or "")]
    if only.outcome is not None:
        mine.append(_visited_days(only).isnot(None))
    return mine + only.profile_conditions(project, visits.c.profile)


def _visited_days(only: Filter) -> ColumnElement[int]:
    """The days of a visit by how its sessions ended; NULL where none did so."""
    if only.outcome is None:
        return visits.c.days
    return visits.c[only.outcome] if only.outcome in ENDINGS else cast(null(), BigInteger)


def _during(period: Period, only: Filter) -> ColumnElement[bool]:
    """The condition of visits on one of the days of a period."""
    start, days = visits.c.start, _visited_days(only)
    first, last = day_number(period.first), day_number(period.last)
    block, last_block = block_of(first), block_of(last)
    of_last = (1 << (last - last_block + 1)) - 1
    if block == last_block:
        those = of_last >> (first - block) << (first - block)
        return (start == block) & (days.bitwise_and(those) != 0)
    since = (start > block) | (days >= 1 << (first - block))
    until = (start < last_block) | (days.bitwise_and(of_last) != 0)
    return start.between(block, last_block) & since & until


def _visitors_by_type(
    project: str, those: Sequence[ColumnElement[bool]], is_new: ColumnElement[int]
) -> Select[Any]:
    """How many users of some visits are of which type, and how many of these are new."""
    seen = (
        select(visits.c.user_number, func.min(visits.c.profile).label("profile"))
        .where(*those)
        .group_by(visits.c.user_number)
        .subquery()
    )
    is_seen = project_users.c.user_number == seen.c.user_number
    known = is_seen & (project_users.c.project == project)
    of = (profiles.c.profile == seen.c.profile) & (profiles.c.project == project)
    return (
        select(profiles.c.user_type, func.count(), is_new)
        .select_from(seen.join(project_users, known).join(profiles, of))
        .group_by(profiles.c.user_type)
    )
