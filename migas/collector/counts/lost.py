"""Runs that were never heard of again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import func, select

from migas.collector.counts.reading import ALL
from migas.collector.counts.sessions import LAST_ANONYMOUS
from migas.collector.counts.usage import Usage
from migas.collector.database.tables import RUNNING, sessions
from migas.collector.database.value_lists import is_one_of
from migas.collector.days import SECONDS_A_DAY, day_number, moment

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import ColumnElement

    from migas.collector.counts.filters import Filter
    from migas.collector.days import Period


SILENT_SECONDS = SECONDS_A_DAY
"""After so long without a word a run that has not ended counts as never heard of again."""

NEARLY_ALL_SECONDS = 7 * SECONDS_A_DAY
"""Nearly all that are never heard of again were so this long after they began. Where all were,
those of a period that is long over are found without a look at what began later."""


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
        unfinished = (await self.outcomes(project, period, only)).running
        if not unfinished:
            return LostRuns(0, ())  # to look for the latest would read all that are not ended since
        silent_since = self.clock.now() - SILENT_SECONDS
        first = day_number(period.first) * SECONDS_A_DAY
        end = (day_number(period.last) + 1) * SECONDS_A_DAY
        no_runs = sum(
            row.status == "R" and first <= row.began < end and row.seen < silent_since
            for row in await self._anonymous(project, only)
        )
        running = (*only.within(project, period), RUNNING)
        # Counting the lost ones would read every unfinished session. So: the unfinished sessions by
        # the counts, less those heard from within a day, less the rows that stand for breadcrumbs
        # without a session.
        recent = await self._number((*running, sessions.c.seen >= silent_since))
        # With a second bound above SQLite may go by the wrong one.
        running = (*running, sessions.c.seen >= first)
        silent = (*running, sessions.c.seen < silent_since)
        if (until := end + NEARLY_ALL_SECONDS) < silent_since:
            early = (*running, sessions.c.seen < until)
            if await self._number(early) == unfinished - recent:
                silent = early
        runs = await self._latest(silent, limit, no_runs)
        # Between two questions a run may have ended.
        return LostRuns(max(unfinished - recent - no_runs, len(runs)), runs)

    async def _number(self, those: Sequence[ColumnElement[bool]]) -> int:
        ((number,),) = await self.rows(select(func.count()).where(*those))
        return int(number)

    async def _anonymous(self, project: str, only: Filter) -> Sequence[Any]:
        """What stands for a day's breadcrumbs without a session: status, begin, last heard of."""
        # A condition on the status would have SQLite prefer the index of all that do not end.
        query = select(sessions.c.status, sessions.c.began, sessions.c.seen).where(
            sessions.c.session_id <= LAST_ANONYMOUS,
            sessions.c.project == project,
            *only.with_(outcome=None).conditions(project),
        )
        return await self.rows(query)

    async def _latest(
        self, silent: Sequence[ColumnElement[bool]], limit: int, no_runs: int
    ) -> tuple[LostRun, ...]:
        """The latest of some sessions, of which so many are no runs."""
        # When they were heard of is told by the index alone; which they are, by their rows. Of a
        # period that is long over PostgreSQL would look up the rows of all that began later.
        newest = select(sessions.c.seen).where(*silent).order_by(sessions.c.seen.desc())
        times = {seen for (seen,) in await self.rows(newest.limit(limit + no_runs))}
        query = (
            select(sessions.c.session_id, sessions.c.version, sessions.c.began, sessions.c.seen)
            .where(
                *silent, is_one_of(sessions.c.seen, times), sessions.c.session_id > LAST_ANONYMOUS
            )
            .order_by(sessions.c.seen.desc(), sessions.c.session_id)
            .limit(limit)
        )
        return tuple(
            LostRun(row.session_id, row.version, moment(row.began), moment(row.seen))
            for row in await self.rows(query)
        )
