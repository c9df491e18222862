"""The registered projects: which there are, and what is known about their versions."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import and_, delete, or_, select, update

from migas.collector.database.claims import claim
from migas.collector.database.statements import insert_new
from migas.collector.database.tables import aliases, flagged_versions, projects, releases
from migas.collector.projects.names import is_project_name
from migas.collector.projects.versions import UNKNOWN, Release, in_order

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from sqlalchemy.ext.asyncio import AsyncConnection

    from migas.collector.clock import Clock
    from migas.collector.database.connections import Connections

    Ask = Callable[[Any], Awaitable[Iterable[Any]]]
    """Answers a question with rows."""

MEMORY_SECONDS = 1.0
"""For so long a process may not know what another one has changed about a project."""


class Known(NamedTuple):
    """What a project is called today, and what is known about its versions."""

    project: str
    release: Release


class Projects:
    """The projects of one database.

    Attributes:
        open_registration: Whether an unknown project is registered at its first breadcrumb.
    """

    def __init__(
        self, connections: Connections, clock: Clock, *, open_registration: bool = False
    ) -> None:
        self.open_registration = open_registration
        self._connections = connections
        self._clock = clock
        self._remembered: dict[str, Known] = {}
        self._remembered_until = 0.0

    async def register(self, names: Iterable[str]) -> None:
        """Take breadcrumbs of these projects from now on; known ones stay as they are."""
        wanted = list(names)
        await self._connections.transact(lambda connection: self._register(connection, wanted))

    async def names(self) -> list[str]:
        """The registered projects, in the order in which they were registered."""
        async with self._connections.reading() as connection:
            found = await connection.scalars(select(projects.c.project).order_by(projects.c.idx))
            return list(found)

    async def is_registered(self, project: str) -> bool:
        """Whether breadcrumbs of this project are taken."""
        if not is_project_name(project):
            return False
        return project in await _registered(self._connections.rows, {project})

    async def release(self, project: str) -> Release:
        """What is known about a project's versions; the project need not be registered."""
        if not is_project_name(project):
            return Release()
        return (await self.releases([project]))[project]

    async def releases(self, names: Iterable[str]) -> dict[str, Release]:
        """What is known about the versions of each of these projects."""
        wanted = set(names)
        ask = self._connections.rows
        today = {name: name for name in wanted} | await _named(ask, wanted)
        found = await _releases(ask, set(today.values()))
        return {name: found[project] for name, project in today.items()}

    async def set_release(self, project: str, latest: str, flagged: Iterable[str] = ()) -> None:
        """Name a project's newest version, and versions to flag beside those flagged before.

        All are versions as PEP 440 writes them.
        """
        row = {"project": project, "latest": latest, "recorded": self._clock.now()}
        flags = [{"project": project, "version": version} for version in flagged]
        async with self._connections.writing() as connection:
            await connection.execute(delete(releases).where(releases.c.project == project))
            await connection.execute(releases.insert(), row)
            if flags:
                insert = insert_new(flagged_versions, self._connections.dialect)
                await connection.execute(insert, flags)
        self._remembered = {}

    async def set_package(self, project: str, package: str | None) -> None:
        """Say under which name a package index knows a project; None for none."""
        named = update(projects).where(projects.c.project == project)
        async with self._connections.writing() as connection:
            await connection.execute(named.values(package=package, asked=None))

    async def claim_packages(self, seconds: int) -> list[tuple[str, str]]:
        """Projects and their packages that no index was asked for in so many seconds.

        Each is handed out once, to the process that is to ask.
        """
        now = self._clock.now()
        due = or_(projects.c.asked.is_(None), projects.c.asked <= now - seconds)
        due = and_(projects.c.package.isnot(None), due)
        claimed = await claim(self._connections, projects, due, asked=now)
        return [(row.project, row.package) for row in claimed]

    async def known(self, connection: AsyncConnection, names: list[str]) -> dict[str, Known]:
        """The registered ones among some projects, also by names that they had before.

        With open registration those that are `owner/repo` are registered here.

        Args:
            connection: In a transaction that may write.
            names: The projects, in the order in which their breadcrumbs came.
        """
        now = time.monotonic()
        if self._remembered_until <= now:
            self._remembered = {}
            self._remembered_until = now + MEMORY_SECONDS
        remembered = self._remembered  # another thread may forget it at any moment
        found: dict[str, Known] = {}
        asked = [name for name in names if name not in remembered]
        if asked:
            named = await _named(connection.execute, set(asked))
            newcomers: list[str] = []
            if self.open_registration:
                # In the order of arrival, which is the order of `names()`.
                newcomers = [n for n in asked if n not in named and is_project_name(n)]
                await self._register(connection, newcomers)
            today = named | {name: name for name in newcomers}
            releases = await _releases(connection.execute, set(today.values()))
            found = {name: Known(project, releases[project]) for name, project in today.items()}
            # What this transaction registers may still be rolled back with it.
            remembered.update((name, found[name]) for name in named)
        return remembered | found

    async def _register(self, connection: AsyncConnection, names: list[str]) -> None:
        if names:
            now = self._clock.now()
            rows = [{"project": name, "registered": now} for name in names]
            await connection.execute(insert_new(projects, self._connections.dialect), rows)
            await connection.execute(delete(aliases).where(aliases.c.alias.in_(names)))


async def _registered(ask: Ask, names: set[str]) -> set[str]:
    query = select(projects.c.project).where(projects.c.project.in_(names))
    return {row.project for row in await ask(query)}


async def _named(ask: Ask, names: set[str]) -> dict[str, str]:
    """What registered projects are called that have, or had, some names."""
    found = {name: name for name in await _registered(ask, names)}
    if len(found) < len(names):
        had = (
            select(aliases.c.alias, projects.c.project)
            .join(projects, projects.c.project == aliases.c.project)
            .where(aliases.c.alias.in_(names - found.keys()))
        )
        found.update((row.alias, row.project) for row in await ask(had))
    return found


async def _releases(ask: Ask, names: set[str]) -> dict[str, Release]:
    """What is known about the versions of each of these projects."""
    latest_query = select(releases.c.project, releases.c.latest).where(
        releases.c.project.in_(names)
    )
    flagged_query = select(flagged_versions.c.project, flagged_versions.c.version).where(
        flagged_versions.c.project.in_(names)
    )
    latest = {row.project: row.latest for row in await ask(latest_query)}
    flagged: dict[str, set[str]] = {}
    for row in await ask(flagged_query):
        flagged.setdefault(row.project, set()).add(row.version)
    return {
        name: Release(latest.get(name, UNKNOWN), in_order(flagged.get(name, set())))
        for name in names
    }
