"""What can be read about projects: the questions of the usage call and of the page.

Nearly all of it comes from counts and other small tables, with a filter from those of slices, so
that an answer takes the same time over ten million breadcrumbs as over ten. Days are those of UTC.
Texts are what senders wrote: whoever shows them treats them as hostile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import distinct, func, select

from migas.collector.counts.differences import Differing
from migas.collector.counts.lasting import Lasting
from migas.collector.counts.lost import Lost
from migas.collector.counts.people import People
from migas.collector.counts.releases import Releases
from migas.collector.counts.sessions import OUTCOME
from migas.collector.counts.sums import Sums
from migas.collector.database.tables import ARRIVAL_DAY, crumbs, daily, projects
from migas.collector.days import SECONDS_A_DAY, day_number, day_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence
    from datetime import date

    from migas.collector.tokens import Access


class Reports(Differing, People, Lasting, Lost, Releases, Sums):
    """All questions that can be asked of one database; its arguments are those of `Reading`."""

    async def visible_projects(self, access: Access | None) -> list[str]:
        """The registered projects that a token may read, in the order of their registration.

        Args:
            access: What the token opens; None for whoever may read everything without one.
        """
        query = select(projects.c.project).order_by(projects.c.idx)
        if access is not None and not access.is_root:
            query = query.where(projects.c.project == access.project)
        return [row.project for row in await self.rows(query)]

    async def known_days(self, project: str) -> tuple[date, date] | None:
        """The first and the last day that have a session of a project; None where none has."""
        mine = (daily.c.project == project, daily.c.kind == OUTCOME)
        has_any = func.sum(daily.c.sessions) > 0
        days = select(daily.c.day).where(*mine).group_by(daily.c.day).having(has_any)
        # Each is the first in the order of an index, and no other day is looked at.
        ends = (
            days.order_by(order).limit(1).scalar_subquery().label(name)
            for name, order in (("first", daily.c.day), ("last", daily.c.day.desc()))
        )
        ((first, last),) = await self.rows(select(*ends))
        return None if first is None else (day_of(first), day_of(last))

    async def hits(
        self, project: str, start: int, end: int | None = None, unique: bool = False
    ) -> int:
        """Count a project's breadcrumbs, or the users who sent them, one by one.

        Args:
            project: `owner/repo`.
            start: The first second that counts, since 1970 in UTC.
            end: The last second that counts; all are counted without it.
            unique: Count users; breadcrumbs without a user then count for nothing.
        """
        counted = func.count(distinct(crumbs.c.user_id)) if unique else func.count()
        # Days lead to the breadcrumbs, seconds choose among those of the first and the last one.
        since = start // SECONDS_A_DAY <= ARRIVAL_DAY, crumbs.c.timestamp >= start
        query = select(counted).where(crumbs.c.project == project, *since)
        if end is not None:
            query = query.where(end // SECONDS_A_DAY >= ARRIVAL_DAY, crumbs.c.timestamp <= end)
        ((number,),) = await self.scanned(query)
        return int(number)

    async def breadcrumbs(
        self, columns: Sequence[str], project: str | None = None, since: date | None = None
    ) -> AsyncGenerator[Sequence[Any]]:
        """Every breadcrumb there is, in the order of their commits.

        Args:
            columns: What to tell of each, after its time in seconds since 1970.
            project: Only those of this one.
            since: Only those of this day and later.
        """
        query = select(crumbs.c.timestamp, *(crumbs.c[name] for name in columns))
        if project is not None:
            query = query.where(crumbs.c.project == project)
        if since is not None:
            query = query.where(day_number(since) <= ARRIVAL_DAY)
        async with self.connections.reading() as connection:
            async for row in await connection.stream(query.order_by(crumbs.c.idx)):
                yield row
