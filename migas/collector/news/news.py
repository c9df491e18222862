"""A project's news: looked for now and then by one process, each kept and told once."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from uuid import uuid4

from sqlalchemy import or_, select

from migas.collector.database.claims import claim
from migas.collector.database.statements import insert_new
from migas.collector.database.tables import MAX_KEY_CHARS, news, projects
from migas.collector.days import Period, moment
from migas.collector.news import rules

if TYPE_CHECKING:
    from migas.collector.clock import Clock
    from migas.collector.counts.reports import Reports
    from migas.collector.database.connections import Connections
    from migas.collector.projects.projects import Projects

MAX_ERRORS = 100
"""So many errors, those that hit most users, are looked at for news."""

MAX_SHOWN = 50


class Item(NamedTuple):
    """Something that was found; `id` is a UUID, and `found` the second since 1970 in UTC."""

    id: str
    kind: str
    text: str
    page: str
    found: int


class News:
    """The news in one database."""

    def __init__(
        self, connections: Connections, clock: Clock, projects: Projects, reports: Reports
    ) -> None:
        self._connections = connections
        self._clock = clock
        self._projects = projects
        self._reports = reports

    async def claim(self, seconds: int) -> list[str]:
        """Projects at which nobody has looked for so many seconds; each goes to one process."""
        now = self._clock.now()
        due = or_(projects.c.looked.is_(None), projects.c.looked <= now - seconds)
        claimed = await claim(self._connections, projects, due, looked=now)
        return [row.project for row in claimed]

    async def look(self, project: str) -> None:
        """Find a project's news, and keep those that were not told before."""
        today = self._clock.today()
        usage = await self._reports.usage(project, Period.ending(today, rules.SILENCE_DAYS))
        recent = Period.ending(today, rules.RECENT_DAYS)
        failures = await self._reports.errors(project, recent, limit=MAX_ERRORS)
        named = (await self._projects.release(project)).named
        query = select(news.c.key, news.c.found).where(news.c.project == project)
        async with self._connections.reading() as connection:
            rows = await connection.execute(query)
            told = [rules.Told(key, moment(found).date()) for key, found in rows]
        found = [
            *rules.errors(failures, told, today),
            *rules.release(usage, named, today),
            *rules.silence(usage, told, today),
        ]
        known = {before.key for before in told}
        fresh = [item for item in found if item.key[:MAX_KEY_CHARS] not in known]
        if fresh:
            new = [
                item._asdict()
                | {"key": item.key[:MAX_KEY_CHARS], "id": str(uuid4()), "found": self._clock.now()}
                | {"project": project}
                for item in fresh
            ]
            insert = insert_new(news, self._connections.dialect)
            await self._connections.transact(lambda connection: connection.execute(insert, new))

    async def latest(self, project: str) -> list[Item]:
        """What was found of a project, the newest first."""
        columns = [news.c[name] for name in Item._fields]
        query = select(*columns).where(news.c.project == project)
        async with self._connections.reading() as connection:
            rows = await connection.execute(query.order_by(news.c.idx.desc()).limit(MAX_SHOWN))
            return [Item(*row) for row in rows]
