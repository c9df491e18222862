"""What the collector keeps, and the questions it answers from it.

Every breadcrumb is written in one place, `Storage.record`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Self

from sqlalchemy import delete, distinct, func, or_, select, update
from sqlalchemy.exc import SQLAlchemyError

from migas.collector.counts.reports import Reports
from migas.collector.database.connections import Connections
from migas.collector.database.engine import create_engine, describe, engine_url
from migas.collector.database.outage import cause, is_outage
from migas.collector.database.tables import crumbs, flagged_versions, projects, releases
from migas.collector.errors import NotStoredError
from migas.collector.ingestion.crumb import Crumb
from migas.collector.ingestion.group_commit import GroupWriter
from migas.collector.ingestion.recorder import Recorder
from migas.collector.migrations.migrate import open_engine
from migas.collector.projects.names import is_project_name
from migas.collector.projects.versions import UNKNOWN, Release, in_order
from migas.collector.tokens import Tokens

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import AsyncIterator, Callable, Iterable, Sequence

    from sqlalchemy import URL
    from sqlalchemy.ext.asyncio import AsyncConnection

_log = logging.getLogger("migas.collector")

SHARDS = 32
"""Among so many rows the processes on PostgreSQL divide each daily count."""

MEMORY_SECONDS = 1.0
"""For so long a process may not know what another one has changed about a project."""

MAX_COUNTING = 2
"""So many questions that look at breadcrumbs one by one are answered at a time; others wait."""


class Storage:
    """A database of breadcrumbs; `Storage.open` makes one.

    Args:
        connections: From `Connections.open`.
        url: Where it is, for people.
        open_registration: Register an unknown `owner/repo` at its first breadcrumb.
        clock: Tells the seconds since 1970 that breadcrumbs are stamped with.

    Attributes:
        description: Where it is, for people.
        open_registration: Whether an unknown project is registered at its first breadcrumb.
        recorder: Statements in the words of this kind of database.
        writing: Begins a transaction that may write, committed at the end of its block.
        reading: Begins a transaction that reads.
        transact: Does work in a transaction that may write, again where it met another one's.
        removing: Held while breadcrumbs are deleted, for which one connection is enough.
        tokens: Who may read it.
        reports: What can be read from it.
    """

    def __init__(
        self,
        connections: Connections,
        url: URL,
        *,
        open_registration: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.description = describe(url)
        self.writing = connections.writing
        self.reading = connections.reading
        self.transact = connections.transact
        self.removing = asyncio.Lock()
        self._counting = asyncio.Semaphore(MAX_COUNTING)
        shard = 0 if connections.dialect == "sqlite" else os.getpid() % SHARDS
        self.recorder = Recorder(connections.dialect, shard)
        self.tokens = Tokens(self)
        self.reports = Reports(self)
        self.open_registration = open_registration
        self._remembered: dict[str, Release] = {}
        self._remembered_until = 0.0
        self._clock = clock
        self._writer: GroupWriter[Crumb, Release | None] = GroupWriter(self._commit)

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

        Raises:
            CollectorError: The URL means no database, or the database cannot be opened.
        """
        parsed = engine_url(url)
        connections = Connections(await open_engine(parsed), create_engine(parsed))
        storage = cls(connections, parsed, open_registration=open_registration, clock=clock)
        try:
            yield storage
        finally:
            await storage._writer.close()
            await connections.close()

    def time(self) -> float:
        """The present time, in seconds since 1970."""
        return self._clock()

    def now(self) -> int:
        """The present second."""
        return int(self._clock())

    def today(self) -> dt.date:
        """The present day, in UTC."""
        return datetime.fromtimestamp(self._clock(), UTC).date()

    async def ping(self) -> None:
        """Ask for a row, which raises when the database cannot be reached."""
        async with self.reading() as connection:
            await connection.execute(select(projects.c.idx).limit(1))

    async def record(self, crumb: Crumb) -> Release | None:
        """Store a breadcrumb, stamped with the present time.

        Returns:
            What is known about the project's versions, after the breadcrumb was committed; None
            if the project is not registered, and then nothing was stored.

        Raises:
            NotStoredError: The database did not commit it.
        """
        try:
            return await self._writer.submit(crumb)
        except (SQLAlchemyError, OSError) as error:
            raise NotStoredError from error

    async def register(self, names: Iterable[str]) -> None:
        """Take breadcrumbs of these projects from now on; known ones stay as they are."""
        wanted = list(names)
        await self.transact(lambda connection: self._register(connection, wanted))

    async def projects(self) -> list[str]:
        """The registered projects, in the order in which they were registered."""
        async with self.reading() as connection:
            found = await connection.scalars(select(projects.c.project).order_by(projects.c.idx))
            return list(found)

    async def is_registered(self, project: str) -> bool:
        """Whether breadcrumbs of this project are taken."""
        if not is_project_name(project):
            return False
        async with self.reading() as connection:
            return project in await _registered(connection, {project})

    async def release(self, project: str) -> Release:
        """What is known about a project's versions; the project need not be registered."""
        if not is_project_name(project):
            return Release()
        async with self.reading() as connection:
            return (await _releases(connection, {project}))[project]

    async def set_release(self, project: str, latest: str, flagged: Iterable[str] = ()) -> None:
        """Name a project's newest version, and versions to flag beside those flagged before.

        Args:
            project: `owner/repo`.
            latest: The newest version, as PEP 440 writes it.
            flagged: Versions with known faults, as PEP 440 writes them.
        """
        flags = [{"project": project, "version": version} for version in flagged]
        async with self.writing() as connection:
            await connection.execute(delete(releases).where(releases.c.project == project))
            await connection.execute(
                releases.insert(), {"project": project, "latest": latest, "recorded": self.now()}
            )
            if flags:
                await connection.execute(self.recorder.insert_new(flagged_versions), flags)
        self._remembered.clear()

    async def set_package(self, project: str, package: str | None) -> None:
        """Say under which name a package index knows a project; None for none."""
        named = update(projects).where(projects.c.project == project)
        async with self.writing() as connection:
            await connection.execute(named.values(package=package, asked=None))

    async def claim_packages(self, seconds: int) -> list[tuple[str, str]]:
        """Projects and their packages that nobody has asked an index for in so many seconds.

        Each is handed out once: whoever gets it is the one who asks.
        """
        due = or_(projects.c.asked.is_(None), projects.c.asked <= self.now() - seconds)
        claimed = (
            update(projects)
            .where(projects.c.package.isnot(None), due)
            .values(asked=self.now())
            .returning(projects.c.project, projects.c.package)
        )
        rows = (await self.transact(lambda connection: connection.execute(claimed))).all()
        return [(row.project, row.package) for row in rows]

    async def usage(
        self, project: str, start: int, end: int | None = None, unique: bool = False
    ) -> int:
        """Count a project's breadcrumbs, or the users who sent them.

        Args:
            project: `owner/repo`.
            start: The first second that counts, since 1970 in UTC.
            end: The last second that counts; all are counted without it.
            unique: Count users; breadcrumbs without a user then count for nothing.
        """
        counted = func.count(distinct(crumbs.c.user_id)) if unique else func.count()
        query = select(counted).where(crumbs.c.project == project, crumbs.c.timestamp >= start)
        if end is not None:
            query = query.where(crumbs.c.timestamp <= end)
        async with self._counting, self.reading() as connection:
            return int((await connection.execute(query)).scalar_one())

    async def _commit(self, batch: Sequence[Crumb]) -> list[Release | None]:
        """Write breadcrumbs in one transaction, those of registered projects, and say which."""
        try:
            return await self.transact(partial(self._write, batch))
        except (SQLAlchemyError, OSError) as error:
            trace = None if is_outage(error) else error
            message = "a batch of %d breadcrumbs was not stored: %s"
            _log.error(message, len(batch), cause(error), exc_info=trace)
            raise

    async def _write(
        self, batch: Sequence[Crumb], connection: AsyncConnection
    ) -> list[Release | None]:
        names = dict.fromkeys(crumb.project for crumb in batch)
        known = await self._known(connection, list(names))
        accepted = [crumb for crumb in batch if crumb.project in known]
        if accepted:
            await self.recorder.store(connection, accepted, self.now())
        return [known.get(crumb.project) for crumb in batch]

    async def _known(self, connection: AsyncConnection, names: list[str]) -> dict[str, Release]:
        """The registered ones among some projects, with what is known about their versions."""
        now = time.monotonic()
        if self._remembered_until <= now:
            self._remembered.clear()
            self._remembered_until = now + MEMORY_SECONDS
        found: dict[str, Release] = {}
        asked = [name for name in names if name not in self._remembered]
        if asked:
            registered = await _registered(connection, set(asked))
            newcomers: list[str] = []
            if self.open_registration:
                # In the order of arrival, which is the order of `projects()`.
                newcomers = [n for n in asked if n not in registered and is_project_name(n)]
                await self._register(connection, newcomers)
            found = await _releases(connection, {*registered, *newcomers})
            # What this transaction registers may still be rolled back with it.
            self._remembered.update((name, found[name]) for name in registered)
        return self._remembered | found

    async def _register(self, connection: AsyncConnection, names: list[str]) -> None:
        if names:
            now = self.now()
            rows = [{"project": name, "registered": now} for name in names]
            await connection.execute(self.recorder.insert_new(projects), rows)


async def _registered(connection: AsyncConnection, names: set[str]) -> set[str]:
    query = select(projects.c.project).where(projects.c.project.in_(names))
    return set(await connection.scalars(query))


async def _releases(connection: AsyncConnection, names: set[str]) -> dict[str, Release]:
    """What is known about the versions of each of these projects."""
    latest_query = select(releases.c.project, releases.c.latest).where(
        releases.c.project.in_(names)
    )
    flagged_query = select(flagged_versions.c.project, flagged_versions.c.version).where(
        flagged_versions.c.project.in_(names)
    )
    latest = {row.project: row.latest for row in await connection.execute(latest_query)}
    flagged: dict[str, set[str]] = {}
    for row in await connection.execute(flagged_query):
        flagged.setdefault(row.project, set()).add(row.version)
    return {
        name: Release(latest.get(name, UNKNOWN), in_order(flagged.get(name, set())))
        for name in names
    }
