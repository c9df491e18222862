"""Which errors hit most users, without looking at each failure of each error.

No error hits more users than sessions, and how many sessions have it in some weeks at most is
counted. So users are counted from the most frequent error on, until no other one can have more.
"""

from __future__ import annotations

import asyncio
from itertools import chain
from math import ceil
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import BigInteger, cast, distinct, exists, func, not_, select

from migas.collector.counts.filters import A_MONTH, Filter, error_number
from migas.collector.counts.sessions import (
    ERROR,
    ERRORS_WEEKLY,
    LONG_DAYS,
    VERSIONS_LONG,
    error_name,
    first_long_day,
)
from migas.collector.counts.usage import Usage
from migas.collector.database.tables import OF_ERRORS_LONG, daily, error_users, sessions
from migas.collector.database.value_lists import is_one_of
from migas.collector.days import day_number, monday_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import ColumnElement

    from migas.collector.days import Period


FREQUENT = 16
"""Among so many times as many frequent errors as are asked for are mostly those that hit most."""

FEW = 60
"""Where so few errors are asked for, a filter leaves a good part of the sessions."""

MOST = 0.9
"""A filter that leaves such a share of the failures is told as all without what it leaves out. To
look up whom that met takes several times as long as to read as many sessions."""

MAX_NAMED = 5000
"""So many errors are named to the database in one question."""


class Hits(NamedTuple):
    """An error's fingerprint, and how many known users and how many sessions it met.

    `newest` is the number of the last breadcrumb among them; None where that is the error's last.
    """

    fingerprint: int
    users: int
    sessions: int
    newest: int | None = None


class MostHit(Usage):
    """The errors of a project by how many users they hit."""

    async def most_hit(self, project: str, period: Period, only: Filter, limit: int) -> list[Hits]:
        """The errors that hit most users, then most sessions.

        Args:
            project: `owner/repo`.
            period: Which days.
            only: Which sessions; failed ones are meant.
            limit: How many errors.
        """
        if only.outcome not in (None, "failed"):
            return []
        only = only.with_(outcome=None)
        if only.error is not None:
            asked = error_number(only.error)
            return [] if asked is None else await self._hits(project, period, only, [asked], 0.0)
        found: list[Hits] = []
        # Few of the next ones hit more users than the last one of those that are asked for. Of a
        # tenth of all failures these are among ten times as many.
        share = await self._share(project, period, only)
        looked_at, number = 0, min(ceil((limit + limit // 2) / share), MAX_NAMED)
        frequent = max(FREQUENT * limit, number)
        known = await self._at_most(project, period, only, frequent)
        least = 0
        while looked_at < len(known):
            batch = known[looked_at : looked_at + number]
            some = [fingerprint for fingerprint, most in batch if most >= least]
            if not some:
                break
            found += await self._hits(project, period, only, some, share)
            found.sort(key=lambda hits: (-hits.users, -hits.sessions, hits.fingerprint))
            least = found[limit - 1].users if len(found) >= limit else 0
            looked_at, number = looked_at + len(batch), min(2 * number, MAX_NAMED)
            if looked_at == len(known) == frequent and known[-1][1] >= least:
                known = await self._at_most(project, period, only)
        return found[:limit]

    async def _share(self, project: str, period: Period, only: Filter) -> float:
        """About which share of the failures of its version, or of all, a filter leaves."""
        if only.values.keys() <= {"version"}:
            return 1.0
        of_version = Filter(version=only.version, outcome="failed")
        some, every = await asyncio.gather(
            self.outcomes(project, period, only.with_(outcome="failed")),
            self.outcomes(project, period, of_version),
        )
        return max(some.failed, 1) / max(every.failed, some.failed, 1)

    async def _at_most(
        self, project: str, period: Period, only: Filter, limit: int | None = None
    ) -> list[tuple[int, int]]:
        """Errors and how many sessions at most have them, the most frequent first.

        Sessions that a collector of an earlier step wrote are in weeks once all are counted anew.
        """
        total = func.sum(daily.c.sessions)
        begin, last = day_number(period.first), day_number(period.last)
        name, mine, first = daily.c.value, [OF_ERRORS_LONG], first_long_day(begin)
        if only.version is not None:
            name, mine = daily.c.detail, [daily.c.kind == VERSIONS_LONG]
            mine.append(daily.c.value == only.version)
        elif period.days < 7:  # else most would be of other days
            mine, first = [daily.c.kind == ERROR], begin
        elif period.days < LONG_DAYS:
            mine, first = [daily.c.kind == ERRORS_WEEKLY], monday_of(begin)
        days = daily.c.day.between(first, last)
        query = select(name, total).where(daily.c.project == project, *mine, days).group_by(name)
        ordered = query.having(total > 0).order_by(total.desc(), name)
        rows = await self.chained(ordered.limit(limit))
        return [(int(row[0], 16), int(row[1])) for row in rows]

    async def _hits(
        self, project: str, period: Period, only: Filter, some: Sequence[int], share: float
    ) -> list[Hits]:
        """How many users and sessions some errors met; those that met none are left out.

        Args:
            project: `owner/repo`.
            period: Which days.
            only: Which sessions.
            some: The fingerprints of the errors.
            share: About which share of all failures the filter leaves; 0 where nobody asked.
        """
        if period.last < self.clock.today():
            return await self._hits_one_by_one(project, period, only, some)
        if not only.with_(error=None):
            return await self._hits_of_all(project, period, some)
        # Failures of some weeks are found by their time, which is faster than any of this.
        is_most = share >= MOST and period.days > A_MONTH
        if not is_most or only.others is None or only.version is not None:
            return await self._hits_one_by_one(project, period, only, some)
        every, elsewhere = await asyncio.gather(
            self._hits_of_all(project, period, some),
            self._hits_elsewhere(project, period, only, some),
        )
        if elsewhere is None:
            return await self._hits_one_by_one(project, period, only, some)
        found = []
        for hits in every:
            users, number = elsewhere.get(hits.fingerprint, (0, 0))
            if hits.sessions > number:
                found.append(Hits(hits.fingerprint, hits.users - users, hits.sessions - number))
        return found

    async def _hits_one_by_one(
        self, project: str, period: Period, only: Filter, some: Sequence[int]
    ) -> list[Hits]:
        """How many users and sessions some errors met, by a look at each of these sessions."""
        those = only.with_(error=None).within(project, period)
        columns = (
            sessions.c.fingerprint,
            func.count(distinct(sessions.c.user_number)),
            func.count(),
            func.max(sessions.c.last_idx),
        )
        each = select(*columns).where(*those).group_by(sessions.c.fingerprint)
        parts: Sequence[Sequence[int]] = [some]
        if 1 < len(some) <= FEW:
            # They have many of the failures. Two at work are done with these sooner than one.
            parts = some[::2], some[1::2]
        asked = (
            self.scanned(each.where(is_one_of(sessions.c.fingerprint, part))) for part in parts
        )
        return [Hits(*row) for row in chain.from_iterable(await asyncio.gather(*asked))]

    async def _hits_of_all(self, project: str, period: Period, some: Sequence[int]) -> list[Hits]:
        """How many some errors met up to today, whatever the filter, as counts tell it."""
        names = {error_name(fingerprint): fingerprint for fingerprint in some}
        hit = (
            select(error_users.c.fingerprint, func.count())
            .where(
                error_users.c.project == project,
                is_one_of(error_users.c.fingerprint, some),
                error_users.c.last_day >= day_number(period.first),
            )
            .group_by(error_users.c.fingerprint)
        )
        rows, counted = await asyncio.gather(
            self.chained(hit), self.failed(project, period, names, ("error",))
        )
        users = dict(rows)
        return [
            Hits(names[name], users.get(names[name], 0), number)
            for (name,), number in counted.items()
        ]

    async def _hits_elsewhere(
        self, project: str, period: Period, only: Filter, some: Sequence[int]
    ) -> dict[int, tuple[int, int]] | None:
        """How many users met some errors on other profiles alone, and in how many sessions any did.

        Both are what counts of all have and a filter does not leave.

        Returns:
            Pairs by error; None where not all of their sessions have a profile.
        """
        everywhere = only.on_anything.with_(error=None).within(project, period, by_time=False)
        those = (*everywhere, is_one_of(sessions.c.fingerprint, some))
        is_other = is_one_of(sessions.c.profile, only.others or ())
        # Each user once: one may fail thousands of times, and each look-up goes through all of it.
        # In other words than those of the index by user, which SQLite would read whole.
        of, user = sessions.c.fingerprint, (sessions.c.user_number + 0).label("user_number")
        met = select(of, user, func.count().label("number")).where(*those, is_other)
        elsewhere = met.group_by(of, user).subquery("elsewhere")
        # As a condition of what is counted, and not of the rows, it is looked up for each by error
        # and user, and leads nobody to read all sessions of these errors.
        here = exists().where(
            *everywhere,
            sessions.c.fingerprint == elsewhere.c.fingerprint,
            sessions.c.user_number == elsewhere.c.user_number,
            not_(is_other),
        )
        gone = func.count(elsewhere.c.user_number).filter(not_(here))
        number = cast(func.sum(elsewhere.c.number), BigInteger)
        by_error = select(elsewhere.c.fingerprint, gone, number).group_by(elsewhere.c.fingerprint)
        rows, are_untold = await asyncio.gather(
            self.scanned(by_error), self._have_no_profile(those)
        )
        return None if are_untold else {error: (users, number) for error, users, number in rows}

    async def _have_no_profile(self, those: Sequence[ColumnElement[bool]]) -> bool:
        """Whether some of these sessions have no profile: counts of all may not know of them.

        A collector of an earlier step wrote them.
        """
        query = select(sessions.c.last_idx).where(*those, sessions.c.profile.is_(None)).limit(1)
        return bool(await self.scanned(query))
