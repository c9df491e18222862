"""Runs that were never heard of again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import func, select

from migas.collector import reports
from migas.collector.reports import SILENT_SECONDS
from migas.collector.sessions import SECONDS_A_DAY, anonymous_day, anonymous_session
from migas.collector.tables import sessions

from .figures import Unheard
from .periods import day_number

if TYPE_CHECKING:
    from migas.collector.storage import Storage

    from .periods import Period

MAX_UNHEARD = 10

_LAST_STAND_IN = anonymous_session((16**12 - 1) * SECONDS_A_DAY)


async def unheard_runs(storage: Storage, name: str, period: Period) -> tuple[list[Unheard], int]:
    """The latest runs last heard of in a period that were never heard of again, and their number.

    Breadcrumbs without a session have one stand-in for each day, which is no run: it is left out.
    """
    days = reports.Period(period.first, period.last)
    lost = await storage.reports.lost_runs(name, days, MAX_UNHEARD + period.days)
    runs = [
        Unheard(run.session_id, run.version, run.began, run.seen)
        for run in lost.latest
        if anonymous_day(run.session_id) is None
    ]
    number = lost.number - await _stand_ins(storage, name, period)
    return runs[:MAX_UNHEARD], max(number, len(runs))


async def _stand_ins(storage: Storage, name: str, period: Period) -> int:
    """How many of what `lost_runs` counts are stand-ins."""
    end = (day_number(period.last) + 1) * SECONDS_A_DAY
    query = select(func.count()).where(
        sessions.c.project == name,
        sessions.c.session_id <= _LAST_STAND_IN,
        sessions.c.status == "R",
        sessions.c.seen >= day_number(period.first) * SECONDS_A_DAY,
        sessions.c.seen < min(end, storage.now() - SILENT_SECONDS),
    )
    async with storage.reading() as connection:
        return int((await connection.execute(query)).scalar_one())
