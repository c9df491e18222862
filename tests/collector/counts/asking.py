"""A collector that was sent some breadcrumbs on some days, and is asked about a project."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

from migas.collector.collector import Collector
from migas.collector.days import Period
from tests.collector.counts.test_sessions import Clock
from tests.collector.test_collector import a_crumb

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from migas.collector.counts.reports import Reports
    from tests.collector.databases import Database

WEDNESDAY = date(2026, 1, 14)
NOON = int(datetime(2026, 1, 14, 12, tzinfo=UTC).timestamp())
DAY = timedelta(days=1)
WHOLE = Period(WEDNESDAY - 30 * DAY, WEDNESDAY)
YEAR = Period(WEDNESDAY - 364 * DAY, WEDNESDAY, "week")

Sent = tuple[int, dict[str, Any]]
"""How many days before that Wednesday, and a breadcrumb's fields."""

Answer = TypeVar("Answer")


def session(number: int) -> str:
    return str(UUID(int=number, version=4))


def asked(
    database: Database, sent: Iterable[Sent], question: Callable[[Reports], Awaitable[Answer]]
) -> Answer:
    """The answer to a question after breadcrumbs were sent."""
    clock = Clock()

    async def run() -> Answer:
        async with Collector.open(database.url, open_registration=True, clock=clock) as collector:
            for days_ago, fields in sent:
                clock.now = NOON - days_ago * 86400
                await collector.ingestion.record(a_crumb(**fields))
            clock.now = NOON
            return await question(collector.reports)

    return asyncio.run(run())


def run(number: int, days_ago: int = 0, **fields: Any) -> Sent:
    return days_ago, {"session_id": session(number), "status": "C"} | fields


def failed(number: int, kind: str, message: str | None, version: str = "1.0", **more: Any) -> Sent:
    fields: dict[str, Any] = {"status": "F", "error_type": kind, "error_desc": message} | more
    return run(number, project_version=version, **fields)
