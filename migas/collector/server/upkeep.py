"""What a collector does by itself, beside answering: tidy up, read newest versions, tell news.

It goes on whatever the database does meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

from migas.collector.database.outage import cause, is_outage
from migas.collector.days import SECONDS_A_DAY
from migas.collector.server import package_index
from migas.collector.server.webhook_delivery import Delivery

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from migas.collector.collector import Collector
    from migas.collector.news.webhooks import Letter

UPKEEP_INTERVAL = 60.0
NEWS_INTERVAL = 10.0
"""Seconds between looks at what is due."""

FRESH_SECONDS = 3600
"""A package index is asked for each package at most so often, however many collectors there are."""

PACKING_SECONDS = 3600
"""Visits and durations are packed no more often, for each time many are written anew."""

LOOK_SECONDS = 600
"""A project's counts are looked at for news no more often, however many collectors there are."""

_log = logging.getLogger("migas.collector")


async def keep_up(collector: Collector, retain_days: int | None, index: str | None) -> None:
    """Do what is due, again and again, until it is cancelled.

    Sessions that began more than `retain_days` ago are deleted; None keeps all. `index` is the base
    URL of the package index; None asks none.
    """
    cleaned = -1
    packed = 0

    async def work() -> None:
        nonlocal cleaned, packed
        now = collector.clock.now()
        today = now // SECONDS_A_DAY
        if retain_days is not None and cleaned != today:
            await collector.removal.forget_before(today - retain_days)
            cleaned = today
        if now - packed >= PACKING_SECONDS:
            await collector.visit_packing.pack()
            await collector.duration_packing.pack()
            packed = now
        if index is not None:
            await refresh_releases(collector, index)

    await repeat(work, UPKEEP_INTERVAL, "upkeep")


async def refresh_releases(collector: Collector, index: str) -> None:
    """Read the newest versions of packages that were not asked for lately."""
    for project, package in await collector.projects.claim_packages(FRESH_SECONDS):
        newest = await asyncio.to_thread(package_index.newest_version, index, package)
        if newest is not None and newest != (await collector.projects.release(project)).latest:
            await collector.projects.set_release(project, newest)


async def keep_telling(collector: Collector, pages: str) -> None:
    """Look for news and send them, until it is cancelled; receivers do not wait for each other.

    Args:
        collector: Whose news these are.
        pages: Below which address, or path if only that is known, pages are.
    """
    delivery = Delivery()
    under_way: set[asyncio.Task[None]] = set()

    async def work() -> None:
        for project in await collector.news.claim(LOOK_SECONDS):
            await collector.news.look(project)
        for letter in await collector.webhooks.claim():
            sending = asyncio.create_task(_send(collector, delivery, letter, pages))
            under_way.add(sending)
            sending.add_done_callback(under_way.discard)

    try:
        await repeat(work, NEWS_INTERVAL, "telling news")
    finally:
        for sending in under_way:
            sending.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)


async def _send(collector: Collector, delivery: Delivery, letter: Letter, pages: str) -> None:
    arrived = await delivery.send(letter, pages)
    if not arrived:
        _log.warning("a webhook of %s did not take what it was told", letter.project)
    try:
        await collector.webhooks.settle(letter, arrived=arrived)
    except (SQLAlchemyError, OSError) as error:
        _log.warning("a webhook of %s is told once more: %s", letter.project, cause(error))


async def repeat(work: Callable[[], Awaitable[None]], pause: float, name: str) -> None:
    """Do work every `pause` seconds until it is cancelled; where its database fails, say so."""
    task = asyncio.current_task()
    while True:
        try:
            await work()
        except (SQLAlchemyError, OSError) as error:
            # A driver that is cancelled may say so in an error of its own, and then nobody else
            # will.
            if task is not None and task.cancelling():
                raise asyncio.CancelledError from error
            trace = None if is_outage(error) else error
            _log.warning("%s failed and is tried again: %s", name, cause(error), exc_info=trace)
        await asyncio.sleep(pause)
