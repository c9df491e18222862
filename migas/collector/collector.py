"""A collector: the parts that work on one database, put together here and nowhere else."""

from __future__ import annotations

import os
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Self

from migas.collector.clock import Clock
from migas.collector.counts.duration_packing import DurationPacking
from migas.collector.counts.ledger import Ledger
from migas.collector.counts.removal import Removal
from migas.collector.counts.reports import Reports
from migas.collector.counts.visit_packing import VisitPacking
from migas.collector.database.connections import Connections
from migas.collector.database.engine import create_engine, describe, engine_url
from migas.collector.ingestion.ingestion import Ingestion
from migas.collector.migrations.migrate import open_engine
from migas.collector.news.news import News
from migas.collector.news.totals import SharedTotals
from migas.collector.news.webhooks import Webhooks
from migas.collector.projects.projects import Projects
from migas.collector.tokens import Tokens

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

SHARDS = 32
"""Among so many rows the processes on PostgreSQL divide each daily count."""


class Collector:
    """A database of breadcrumbs and what can be done with it; `Collector.open` makes one.

    Attributes:
        connections: To the database.
        clock: Tells the time.
        description: Where the database is, for people.
        projects: Whose breadcrumbs are taken.
        ingestion: The way in.
        tokens: Who may read.
        reports: What can be read.
        visit_packing: What makes the database smaller.
        duration_packing: The same, of how long runs took.
        removal: The way out.
        news: What people want to hear of.
        webhooks: Who is told of it.
        totals: What everybody may see.
    """

    def __init__(
        self,
        connections: Connections,
        clock: Clock,
        description: str,
        *,
        open_registration: bool = False,
    ) -> None:
        self.connections = connections
        self.clock = clock
        self.description = description
        shard = 0 if connections.dialect == "sqlite" else os.getpid() % SHARDS
        ledger = Ledger(connections.dialect, shard)
        self.projects = Projects(connections, clock, open_registration=open_registration)
        self.ingestion = Ingestion(connections, clock, self.projects, ledger)
        self.tokens = Tokens(connections, clock)
        self.reports = Reports(connections, clock)
        self.visit_packing = VisitPacking(connections)
        self.duration_packing = DurationPacking(connections)
        self.removal = Removal(connections, ledger)
        self.news = News(connections, clock, self.projects, self.reports)
        self.webhooks = Webhooks(connections, clock)
        self.totals = SharedTotals(connections, clock, self.reports)

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        url: str,
        *,
        open_registration: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> AsyncIterator[Self]:
        """Open a database for the time of an `async with` block; it is made when there is none.

        Args:
            url: As `engine_url` takes it.
            open_registration: Register an unknown `owner/repo` at its first breadcrumb.
            clock: Tells the seconds since 1970.

        Raises:
            CollectorError: The URL means no database, or the database cannot be opened.
        """
        parsed = engine_url(url)
        reading, _ = await open_engine(parsed)
        connections = Connections(reading, create_engine(reading.url, writes=True))
        collector = cls(
            connections, Clock(clock), describe(parsed), open_registration=open_registration
        )
        try:
            yield collector
        finally:
            await collector.ingestion.close()
            await connections.close()
