"""Who is told of a project's news, how far they were told, and who may tell them now.

All of it is in the database: it survives a restart, and of several processes one at a time sends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import delete, exists, func, select, update

from migas.collector.database.claims import claim
from migas.collector.database.statements import insert_new
from migas.collector.database.tables import news, webhooks
from migas.collector.news.news import Item

if TYPE_CHECKING:
    from migas.collector.clock import Clock
    from migas.collector.database.connections import Connections

LEASE_SECONDS = 300
"""For so long nobody else sends what somebody has claimed; sending has to take less."""

FIRST_SECONDS = 60
MAX_SECONDS = 6 * 3600
"""After a first failure it is tried again in `FIRST_SECONDS`, after each more in twice as many."""

GIVE_UP = 13
"""After so many failures, about a day and a half, what could not be told is left out."""


class Letter(NamedTuple):
    """An item for one receiver; `number` is the item's, and `after` that of the one told before."""

    project: str
    url: str
    item: Item
    number: int
    after: int
    failures: int


class Webhooks:
    """The receivers in one database."""

    def __init__(self, connections: Connections, clock: Clock) -> None:
        self._connections = connections
        self._clock = clock

    async def add(self, project: str, url: str) -> bool:
        """Tell a receiver what is found from now on; return whether it is a new one."""
        newest = select(func.coalesce(func.max(news.c.idx), 0)).where(news.c.project == project)
        insert = insert_new(webhooks, self._connections.dialect)
        async with self._connections.writing() as connection:
            told = (await connection.execute(newest)).scalar_one()
            row = {"project": project, "url": url, "told": told, "failures": 0, "due": 0}
            return (await connection.execute(insert, row)).rowcount > 0

    async def remove(self, project: str, url: str) -> bool:
        """Tell a receiver nothing more; return whether there was one."""
        mine = (webhooks.c.project == project) & (webhooks.c.url == url)
        async with self._connections.writing() as connection:
            return (await connection.execute(delete(webhooks).where(mine))).rowcount > 0

    async def of(self, project: str) -> list[tuple[str, int]]:
        """The receivers of a project's news, and how often each has failed to take the next."""
        query = select(webhooks.c.url, webhooks.c.failures).where(webhooks.c.project == project)
        async with self._connections.reading() as connection:
            return sorted((row.url, row.failures) for row in await connection.execute(query))

    async def claim(self) -> list[Letter]:
        """What is to be sent now; nobody else gets it for `LEASE_SECONDS`."""
        now = self._clock.now()
        waiting = exists().where(news.c.project == webhooks.c.project, news.c.idx > webhooks.c.told)
        is_due = (webhooks.c.due <= now) & waiting
        claimed = await claim(self._connections, webhooks, is_due, due=now + LEASE_SECONDS)
        letters = []
        async with self._connections.reading() as connection:
            for row in claimed:
                following = (
                    select(news.c.idx, *(news.c[name] for name in Item._fields))
                    .where(news.c.project == row.project, news.c.idx > row.told)
                    .order_by(news.c.idx)
                    .limit(1)
                )
                found = (await connection.execute(following)).one_or_none()
                if found is not None:  # else its project was removed just now
                    number, *item = found
                    letter = (row.project, row.url, Item(*item), number, row.told, row.failures)
                    letters.append(Letter(*letter))
        return letters

    async def settle(self, letter: Letter, *, arrived: bool) -> None:
        """Go on to the next item, or try again later; after many times go on all the same."""
        now = self._clock.now()
        if arrived or letter.failures + 1 >= GIVE_UP:
            values = {"told": letter.number, "failures": 0, "due": now}
        else:
            pause = min(FIRST_SECONDS << letter.failures, MAX_SECONDS)
            values = {"failures": letter.failures + 1, "due": now + pause}
        mine = (webhooks.c.project == letter.project) & (webhooks.c.url == letter.url)
        settled = update(webhooks).where(mine, webhooks.c.told == letter.after).values(values)
        async with self._connections.writing() as connection:
            await connection.execute(settled)
