"""How many users there are: in a period, over time, and by what their sessions ran on."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import ColumnElement, func, select

from migas.collector.counts.active_days import active_days, add_days
from migas.collector.counts.activity import Activity, margin
from migas.collector.counts.appearances import FIRST_SEEN, GENERAL, LAST_SEEN, users_by, users_since
from migas.collector.counts.filters import error_number
from migas.collector.counts.reading import ALL, DAY, MAX_NAMED, listed
from migas.collector.counts.sample import Sample, halves, is_few, parts_of_all
from migas.collector.counts.slices import NO_USER, starts_in
from migas.collector.counts.usage import Facet, Usage
from migas.collector.counts.version_days import Sought, VersionDays, in_rows
from migas.collector.counts.visited import (
    during,
    visited,
    visited_days,
    visitors_by_type,
    visits_tell,
)
from migas.collector.counts.visits import ENDINGS, SAMPLES, first_number, in_parts
from migas.collector.database.json_rows import among
from migas.collector.database.tables import (
    daily,
    error_users,
    profiles,
    project_users,
    sessions,
    visits,
)
from migas.collector.database.value_lists import is_one_of
from migas.collector.days import BLOCK_DAYS, block_of, day_number

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from datetime import date

    from migas.collector.counts.activity import UserDays
    from migas.collector.counts.filters import Filter
    from migas.collector.days import Period

MAX_AT_MIDNIGHT = 0.01
"""Where at most this share of users came on the last day of a period, those of them whose first
session counts on a later day are too few to matter."""

MAX_NAMED_USERS = 10_000
"""Of so many users is asked which are new; where there are more, who is new is looked for."""


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

        Those of an error, and of sessions that run, are looked for one by one, all others of a
        filter by what they were seen with.
        """
        first, last = day_number(period.first), day_number(period.last)
        is_new = func.count().filter(project_users.c.first_day.between(first, last))
        if not visits_tell(only):
            return await self._users_one_by_one(project, period, only, is_new)
        if only.version is not None:
            return await self._visitors_of_version(project, period, only)
        if only:
            return await self._visitors(project, period, only, is_new)
        types, new = await self._by_counts(project, period)
        if types is not None:
            active = sum(types.values())
            return UserCounts(active, min(new, active), types)
        found = await self._visitors(project, period, only, None)
        if not found.margin:
            return found._replace(new=min(new, found.active))
        # An estimate is never less than what is known.
        more = max(0, new - found.active)
        kinds = Counter(found.types)
        kinds[max(kinds, key=kinds.__getitem__, default=GENERAL)] += more
        return UserCounts(found.active + more, new, kinds, found.margin)

    async def _by_counts(
        self, project: str, period: Period
    ) -> tuple[Mapping[str, int] | None, int]:
        """How many users a period has, by type, and how many are new, as counts tell it.

        Whoever was last seen since it began was seen in it, or came after it. There are no types
        where that does not tell enough: where somebody was seen before and after it, for nobody
        has counted who was away meanwhile; and where it matters that a run over midnight may count
        on another day than its user was seen on: of few users, or where many came on the last day.
        Of many, the few runs over either end of the period are not told apart.
        """
        first, last = day_number(period.first), day_number(period.last)
        types: Counter[str] = Counter()
        new = new_on_last = later = 0
        for kind, after, of, number in await self.rows(users_since(project, first, last)):
            if kind == LAST_SEEN:
                types[of] += number
                later += number if after > 0 else 0
            elif after > 0:
                types[of] -= number
            else:
                new += number
                new_on_last += number if after == 0 else 0
        types = +types  # none is below 0 but where an older collector has written beside this one
        if later:
            whole = types.total()
            is_told = not is_few(whole) and new_on_last <= MAX_AT_MIDNIGHT * whole
            if not is_told or await self._may_be_away(project, first, last):
                return None, max(0, new)
        return types, max(0, new)

    async def _may_be_away(self, project: str, first: int, last: int) -> bool:
        """Whether somebody was seen before some days and after them."""
        came = daily.c.project == project, daily.c.kind == FIRST_SEEN, daily.c.day < first
        if not await self.rows(select(daily.c.day).where(*came, daily.c.sessions > 0).limit(1)):
            return False  # without a look at all who were seen later
        columns = project_users.c
        away = columns.project == project, columns.last_day > last, columns.first_day < first
        return bool(await self.rows(select(columns.last_day).where(*away).limit(1)))

    async def _visitors(
        self, project: str, period: Period, only: Filter, is_new: ColumnElement[int] | None
    ) -> UserCounts:
        """Users by what they were seen with; of very many it looks at a part.

        Without `is_new` nobody is told to be new.
        """
        most = await self._most(project, period, only)
        if not most:
            return UserCounts(0, 0, {})
        found, found_new = 0, 0
        by_kind: Counter[str] = Counter()
        sample = Sample(most)
        while some := sample.another(found):
            theirs = [*await self._in_part(project, only, some), during(period, only)]
            by_type = visitors_by_type(project, theirs, is_new, some)
            for kind, number, new in await self.scanned(by_type):
                by_kind[kind or GENERAL] += number
                found += number
                found_new += new
        return _counted(found, found_new, by_kind, sample.part)

    async def _visitors_of_version(self, project: str, period: Period, only: Filter) -> UserCounts:
        """The same for those of a version."""
        found, part = await self._seen_with_version(project, period, only)
        types = select(profiles.c.profile, profiles.c.user_type)
        type_of = dict(await self.many(types.where(profiles.c.project == project)))
        kind_of: dict[int, str] = {}
        for profile in sorted(found, reverse=True):
            kind_of |= dict.fromkeys(found[profile], type_of.get(profile) or GENERAL)
        new = await self._new_among(kind_of, part, project, period)
        return _counted(len(kind_of), len(new), Counter(kind_of.values()), part)

    async def _seen_with_version(
        self, project: str, period: Period, only: Filter, *, may_estimate: bool = True
    ) -> tuple[VersionDays, int]:
        """The active days of a version's users, and of how many of `SAMPLES` parts they are."""
        found = VersionDays(dict)
        if only.outcome not in (None, *ENDINGS):
            return found, SAMPLES
        mine = await self.profiles_of(project, only)
        sought = Sought(project, only.version or "", period, only.outcome, mine)
        dialect = self.connections.dialect
        most = await self._most(project, period, only)
        sample = Sample(most if may_estimate else 0)
        while some := sample.another(len(set().union(*found.values()))):
            rows = await self.scanned(sought.question(some, dialect))
            # In a thread, for others are answered meanwhile, and unpacking needs no lock.
            await asyncio.to_thread(sought.add, found, rows, some)
        return found, sample.part

    async def _new_among(
        self, users: Collection[int], part: int, project: str, period: Period
    ) -> Sequence[int]:
        """Which of the users of a part, known by their numbers, were first seen in a period."""
        number, day = project_users.c.user_number, project_users.c.first_day
        first, last = day_number(period.first), day_number(period.last)
        query = select(number, day).where(project_users.c.project == project)
        # Where their numbers lead to them, days must not: SQLite would read all users by these.
        if len(users) <= MAX_NAMED_USERS:
            named = [(user,) for user in users]
            query = query.where(among([number], named, self.connections.dialect))
        elif part < SAMPLES:
            query = query.where(number < first_number(part))
        else:
            query = query.where(day.between(first, last))
        return [of for of, came in await self.many(query) if first <= came <= last and of in users]

    async def _users_one_by_one(
        self, project: str, period: Period, only: Filter, is_new: ColumnElement[int]
    ) -> UserCounts:
        theirs = (
            select(sessions.c.user_number, func.min(sessions.c.profile).label("profile"))
            .where(*only.within(project, period), sessions.c.user_number.isnot(None))
            .group_by(sessions.c.user_number)
            .subquery()
        )
        kind = func.coalesce(profiles.c.user_type, GENERAL)
        known = project_users.c.user_number == theirs.c.user_number
        of = (profiles.c.profile == theirs.c.profile) & (profiles.c.project == project)
        query = (
            select(kind, func.count(), is_new)
            .select_from(theirs.join(project_users, known).outerjoin(profiles, of))
            .where(project_users.c.project == project)
            .group_by(kind)
        )
        rows = await self.scanned(query)
        kinds = {row[0]: row[1] for row in rows}
        return UserCounts(sum(kinds.values()), sum(row[2] for row in rows), kinds)

    async def activity(
        self, project: str, period: Period, only: Filter = ALL, *, may_estimate: bool = False
    ) -> Activity:
        """On which days of a period each user was active, and what their sessions ran on.

        Users of an error, and of sessions that run, are looked for one by one.

        Args:
            project: `owner/repo`.
            period: Which days.
            only: Which sessions.
            may_estimate: Whether of very many users a part is enough, which tells how many all are
                within 2 %.
        """
        if not visits_tell(only):
            return await self._activity_one_by_one(project, period, only, may_estimate)
        ran_on = await self._ran_on(project)
        if only.version is not None:
            seen = self._seen_with_version(project, period, only, may_estimate=may_estimate)
            days, part = await seen
            return _activity(period, in_rows(days, period), ran_on, part)
        most = await self._most(project, period, only)
        found: dict[int, UserDays] = {}
        if not may_estimate:
            for each in parts_of_all(most):
                await self._find_active(found, project, period, only, each)
            return _activity(period, found, ran_on)
        sample, number = Sample(most), 0
        while some := sample.another(number):
            # Two processes of PostgreSQL are done sooner than one. Two threads of SQLite are not:
            # they wait for each other at each piece of memory.
            is_divided = self.connections.dialect == "postgresql" and some != (0, SAMPLES)
            parts = halves(some) if is_divided else [some]
            await asyncio.gather(
                *(self._find_active(found, project, period, only, part) for part in parts)
            )
            activity = _activity(period, found, ran_on, sample.part)
            number = activity.users(period)
        if only or sample.part == SAMPLES:
            return activity
        types, _ = await self._by_counts(project, period)
        if types is not None:
            return _activity(period, found, ran_on, sample.part, sum(types.values()))
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
        query = active_days(those, visited_days(only), starts, self.connections.dialect)
        add_days(found, await self.scanned(query))

    async def _in_part(
        self, project: str, only: Filter, part: tuple[int, int]
    ) -> list[ColumnElement[bool]]:
        """The conditions of visits of the users in a part, from one of `SAMPLES` to another."""
        those = visited(project, only)
        if part == (0, SAMPLES):
            return those
        # Nobody is in two parts: those that are known are not looked for again.
        those.append(in_parts(visits.c.user_number, part))
        if only.profiles is None and len(named := await self._ran_on(project)) <= MAX_NAMED:
            those.append(is_one_of(visits.c.profile, list(named)))
        return those

    async def _most(self, project: str, period: Period, only: Filter) -> int:
        """How many users there are at most: as many as sessions, or were seen since it began."""
        since = daily.c.day >= day_number(period.first)
        by_type = await self.rows(users_by(daily.c.value, project, LAST_SEEN, since))
        seen: int = max(0, sum(number for _, _, number in by_type))
        days = starts_in(period, charted=False)
        rows = await self.sums_on(project, days, only, (), is_chained=True)
        return min(seen, sum(map(sum, (row for row in rows if None not in row))))

    async def _most_of_error(self, project: str, period: Period, only: Filter) -> int:
        """How many users an error has hit since the period began."""
        hit = select(func.count()).where(
            error_users.c.project == project,
            error_users.c.fingerprint == error_number(only.error or ""),
            error_users.c.last_day >= day_number(period.first),
        )
        ((number,),) = await self.rows(hit)
        return int(number)

    async def _activity_one_by_one(
        self, project: str, period: Period, only: Filter, may_estimate: bool
    ) -> Activity:
        of, user = sessions.c.profile, sessions.c.user_number
        lists = (listed(each, self.connections.dialect) for each in (user, DAY))
        those = (*only.within(project, period), user.isnot(None))
        # Not by user: databases would sort the sessions, which takes longer than to read them.
        query = select(of, *lists).where(*those).group_by(of)
        days, origin = VersionDays(dict), block_of(day_number(period.first))
        most = self._most if only.error is None else self._most_of_error
        sample = Sample(await most(project, period, only) if may_estimate else 0)
        found = set[int]()
        while some := sample.another(len(found)):
            of_part = query
            if some != (0, SAMPLES):
                of_part = query.where(in_parts(user, some))
            rows = await self.scanned(of_part)
            # In a thread, for others are answered meanwhile.
            for profile, on_days in await asyncio.to_thread(_by_user, rows, origin):
                days[profile] |= on_days
                found |= on_days.keys()
        ran_on = await self._ran_on(project)
        return _activity(period, in_rows(days, period), ran_on, sample.part)

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
            came = await self._new_among(activity.everyone, activity.part, project, period)
            of_part = activity.new_over_time(came)
            new.update({start: activity.whole(number) for start, number in of_part.items()})
        else:
            days = daily.c.day.between(first, last)
            for _, day, number in await self.rows(users_by(daily.c.day, project, FIRST_SEEN, days)):
                new[period.bar_of(day)] += number
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
                found[period.bar_of(day)] += number
            return found
        asked = [self._sliced(project, period, only, "day")]
        if only.user is None:
            asked.append(self._sliced(project, period, only.with_(user=NO_USER), "day"))
        every, *nobodys = await asyncio.gather(*asked)
        for day, _, number in every:
            found[period.bar_of(day)] += number
        for day, _, number in chain.from_iterable(nobodys):
            found[period.bar_of(day)] -= number
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


def _by_user(rows: Iterable[Any], origin: int) -> list[tuple[int, dict[int, int]]]:
    """By profile the days of each user as bits, from rows of a list of users and one of days."""
    bits: list[tuple[int, dict[int, int]]] = []
    for profile, users, on_days in rows:
        seen: defaultdict[int, set[int]] = defaultdict(set)
        for user, day in zip(users, on_days, strict=True):
            seen[user].add(day - origin)
        bits.append((profile, {of: sum(1 << day for day in mine) for of, mine in seen.items()}))
    return bits


def _counted(found: int, new: int, kinds: Mapping[str, int], part: int) -> UserCounts:
    """What the users that were found in some of `SAMPLES` parts stand for."""
    of_kinds = {kind: round(number * SAMPLES / part) for kind, number in kinds.items()}
    number, number_new = (round(of * SAMPLES / part) for of in (found, new))
    return UserCounts(number, number_new, of_kinds, margin(found, part))
