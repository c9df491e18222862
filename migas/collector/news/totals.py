"""A project's totals, as everybody may see them where an administrator shares them.

No message is in them, and nothing that fewer than five users have in common.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import select, update

from migas.collector.counts.outcomes import outcomes_by, rated, total
from migas.collector.database.tables import projects
from migas.collector.days import DEFAULT_DAYS, Period
from migas.collector.projects.names import is_project_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from migas.collector.clock import Clock
    from migas.collector.counts.outcomes import Outcomes
    from migas.collector.counts.reports import Reports
    from migas.collector.counts.usage import Facet
    from migas.collector.database.connections import Connections

FEWEST = 5
"""What fewer users have in common is not told."""

KEPT_SECONDS = 600
"""So old may totals be: whoever asks needs no token, and each answer reads sessions."""

_KINDS: tuple[Facet, ...] = ("platform", "container", "language")


class Totals(NamedTuple):
    """The totals of a period; `tables` has users by kind of value, the most frequent first.

    Rates are shares of `rated`: of the sessions before today, which is not over, if there are any.
    """

    period: Period
    users: int
    outcomes: Outcomes
    rated: Outcomes
    tables: Mapping[Facet, Sequence[tuple[str, int]]]

    @property
    def are_too_few(self) -> bool:
        """Whether nothing of this may be told."""
        return self.users < FEWEST


class SharedTotals:
    """What is shared of one database."""

    def __init__(self, connections: Connections, clock: Clock, reports: Reports) -> None:
        self._connections = connections
        self._clock = clock
        self._reports = reports
        self._turn = asyncio.Lock()
        self._kept: dict[str, tuple[float, Totals]] = {}

    async def is_shared(self, project: str) -> bool:
        """Whether the totals of a project are shared."""
        mine = (projects.c.project == project) & projects.c.shared.isnot(None)
        return bool(await self._connections.rows(select(projects.c.idx).where(mine)))

    async def share(self, project: str, *, shared: bool) -> None:
        """Share a registered project's totals, or do so no more."""
        since = self._clock.now() if shared else None
        changed = update(projects).where(projects.c.project == project).values(shared=since)
        async with self._connections.writing() as connection:
            await connection.execute(changed)

    async def of(self, project: str) -> Totals | None:
        """The totals of a project; None where they are not shared, or there is no such project."""
        # It may be one that no database can be asked for.
        if not is_project_name(project) or not await self.is_shared(project):
            return None
        async with self._turn:
            now = self._clock.time()
            kept, totals = self._kept.get(project, (0.0, None))
            if totals is None or not kept <= now < kept + KEPT_SECONDS:
                totals = await self._count(project)
                self._kept[project] = now, totals
            return totals

    async def _count(self, project: str) -> Totals:
        period = Period.ending(self._clock.today(), DEFAULT_DAYS)
        users, found = await self._reports.users_by_facet(project, period)
        tables = {
            kind: [
                (value, number) for value, number in found[kind].most_common() if number >= FEWEST
            ]
            for kind in _KINDS
        }
        usage = await self._reports.usage(project, period)
        every, finished = (
            total(outcomes_by((row.day, row.status, row.sessions) for row in rows).values())
            for rows in (usage, rated(usage, period.last))
        )
        return Totals(period, users, every, finished, tables)
