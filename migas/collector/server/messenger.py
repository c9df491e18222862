"""What a collector does so that people hear of news: look for them, and tell who is to be told."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

from migas.collector.database.outage import cause
from migas.collector.server.repeating import repeat
from migas.collector.server.webhook_delivery import Delivery

if TYPE_CHECKING:
    from migas.collector.collector import Collector
    from migas.collector.news.webhooks import Letter

INTERVAL = 10.0
"""Seconds between looks at what is due."""

LOOK_SECONDS = 600
"""A project's counts are looked at for news no more often, however many collectors there are."""

_log = logging.getLogger("migas.collector")


async def keep_telling(collector: Collector, root: str) -> None:
    """Look for news and send them, until it is cancelled; receivers do not wait for each other."""
    delivery = Delivery()
    under_way: set[asyncio.Task[None]] = set()

    async def work() -> None:
        for project in await collector.news.claim(LOOK_SECONDS):
            await collector.news.look(project)
        for letter in await collector.webhooks.claim():
            sending = asyncio.create_task(_send(collector, delivery, letter, root))
            under_way.add(sending)
            sending.add_done_callback(under_way.discard)

    try:
        await repeat(work, INTERVAL, "telling news")
    finally:
        for sending in under_way:
            sending.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)


async def _send(collector: Collector, delivery: Delivery, letter: Letter, root: str) -> None:
    arrived = await delivery.send(letter, root)
    if not arrived:
        _log.warning("a webhook of %s did not take what it was told", letter.project)
    try:
        await collector.webhooks.settle(letter, arrived=arrived)
    except (SQLAlchemyError, OSError) as error:
        _log.warning("a webhook of %s is told once more: %s", letter.project, cause(error))
