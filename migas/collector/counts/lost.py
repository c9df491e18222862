"""Runs that were never heard of again."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import func, select

from migas.collector.counts.reading import ALL
from migas.collector.counts.sessions import LAST_ANONYMOUS
from migas.collector.counts.usage import Usage
from migas.collector.database.tables import RUNNING, sessions
from migas.collector.days import SECONDS_A_DAY, day_number, moment

if TYPE_CHECKING:
    from datetime import datetime

    from migas.collector.counts.filters import Filter
    from migas.collector.days import Period


SILENT_SECONDS = SECONDS_A_DAY
"""After so long without a word a run that has not ended counts as never heard of again."""


class LostRun(NamedTuple):
    """A run that has not ended and of which nothing was heard; times are in UTC."""

    session_id: str
    version: str
    began: datetime
    seen: datetime


class LostRuns(NamedTuple):
    """How many runs were never heard of again, and the latest of them."""

    number: int
    latest: tuple[LostRun, ...]


class Lost(Usage):
    """The runs of a project of which nothing was heard any more."""

    async def lost_runs(
        self, project: str, period: Period, only: Filter = ALL, limit: int = 10
    ) -> LostRuns:
        """Runs that began in a period, did not end, and have been silent for a day or longer.

        What stands for a day's breadcrumbs without a session is no run.
        """
        if only.error or only.outcome not in (None, "running"):
            return LostRuns(0, ())  # these have ended
        silent_since = self.clock.now() - SILENT_SECONDS
        first = day_number(period.first) * SECONDS_A_DAY
        lost = (
            *only.within(project, period),
            RUNNING,
            sessions.c.seen >= first,  # as the index has them
            sessions.c.seen < silent_since,
            sessions.c.session_id > LAST_ANONYMOUS,
        )
        latest = (
            select(sessions.c.session_id, sessions.c.version, sessions.c.began, sessions.c.seen)
            .where(*lost)
            .order_by(sessions.c.seen.desc(), sessions.c.session_id)
            .limit(limit)
        )
        runs = tuple(
            LostRun(row.session_id, row.version, moment(row.began), moment(row.seen))
            for row in await self.rows(latest)
        )
        number = await self._count_lost(project, period, only, silent_since)
        # Between two questions a run may have ended.
        return LostRuns(max(number, len(runs)), runs)

    async def _count_lost(
        self, project: str, period: Period, only: Filter, silent_since: int
    ) -> int:
        """How many runs that began in a period are lost, without reading each."""
        first = day_number(period.first) * SECONDS_A_DAY
        end = (day_number(period.last) + 1) * SECONDS_A_DAY
        # Counting the rows would read every unfinished session. So: the unfinished sessions by the
        # counts, less those heard from within a day, less the rows that stand for breadcrumbs
        # without a session.
        unfinished = (await self.outcomes(project, period, only)).running
        query = select(func.count()).where(
            *only.within(project, period), RUNNING, sessions.c.seen >= silent_since
        )
        ((recent,),) = await self.rows(query)
        # A condition on the status would have SQLite prefer the index of all that do not end.
        anonymous = select(sessions.c.status, sessions.c.began, sessions.c.seen).where(
            sessions.c.session_id <= LAST_ANONYMOUS,
            sessions.c.project == project,
            *only.with_(outcome=None).conditions(project),
        )
        no_runs = sum(
            row.status == "R" and first <= row.began < end and row.seen < silent_since
            for row in await self.rows(anonymous)
        )
        return int(unfinished - recent - no_runs)
