"""Every breadcrumb that is sent to a collector is written here."""

from __future__ import annotations

import logging
import time
from functools import partial
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

from migas.collector.database.outage import cause, is_outage
from migas.collector.errors import NotStoredError
from migas.collector.ingestion.group_commit import GroupWriter
from migas.collector.ingestion.recorder import Recorder
from migas.collector.ingestion.timing import TOLD

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.ext.asyncio import AsyncConnection

    from migas.collector.clock import Clock
    from migas.collector.counts.ledger import Ledger
    from migas.collector.database.connections import Connections
    from migas.collector.ingestion.crumb import Crumb
    from migas.collector.projects.projects import Projects
    from migas.collector.projects.versions import Release

_log = logging.getLogger("migas.collector")


class Watch:
    """Hears of what is written; this one does nothing with it."""

    def waits(self, change: int) -> None:
        """A breadcrumb waits to be committed (1), or does so no more (-1)."""

    def wrote(self, seconds: float, **numbers: int) -> None:
        """A batch took so long; so many breadcrumbs were `stored`, `refused` or have `failed`."""


class Ingestion:
    """The way into one database.

    Args:
        connections: To the database.
        clock: Tells the second that breadcrumbs are stamped with.
        projects: Whose breadcrumbs are taken.
        ledger: Counts them.

    Attributes:
        watch: Hears of what is written.
    """

    def __init__(
        self, connections: Connections, clock: Clock, projects: Projects, ledger: Ledger
    ) -> None:
        self.watch = Watch()
        self._connections = connections
        self._clock = clock
        self._projects = projects
        self._recorder = Recorder(connections.dialect, ledger)
        self._writer: GroupWriter[Crumb, Release | None] = GroupWriter(self._commit)

    async def record(self, crumb: Crumb) -> Release | None:
        """Store a breadcrumb, stamped with the present time and with what its request says of time.

        Returns:
            What is known about the project's versions, after the breadcrumb was committed; None
            if the project is not registered, and then nothing was stored.

        Raises:
            NotStoredError: The database did not commit it.
        """
        self.watch.waits(1)
        try:
            return await self._writer.submit(crumb.timed(TOLD.get()))
        except (SQLAlchemyError, OSError) as error:
            raise NotStoredError from error
        finally:
            self.watch.waits(-1)

    async def close(self) -> None:
        """Write what was handed in so far. Nothing may be recorded afterwards."""
        await self._writer.close()

    async def _commit(self, batch: Sequence[Crumb]) -> list[Release | None]:
        """Write breadcrumbs in one transaction, those of registered projects, and say which."""
        began = time.perf_counter()
        try:
            results = await self._connections.transact(partial(self._write, batch))
        except (SQLAlchemyError, OSError) as error:
            trace = None if is_outage(error) else error
            message = "a batch of %d breadcrumbs was not stored: %s"
            _log.error(message, len(batch), cause(error), exc_info=trace)
            self.watch.wrote(time.perf_counter() - began, failed=len(batch))
            raise
        refused = results.count(None)
        seconds = time.perf_counter() - began
        self.watch.wrote(seconds, stored=len(batch) - refused, refused=refused)
        return results

    async def _write(
        self, batch: Sequence[Crumb], connection: AsyncConnection
    ) -> list[Release | None]:
        names = dict.fromkeys(crumb.project for crumb in batch)
        known = await self._projects.known(connection, list(names))
        projects = [known.get(crumb.project) for crumb in batch]
        accepted = [
            crumb._replace(project=today.project)
            for crumb, today in zip(batch, projects, strict=True)
            if today is not None
        ]
        if accepted:
            await self._recorder.store(connection, accepted, self._clock.now())
        return [today and today.release for today in projects]
