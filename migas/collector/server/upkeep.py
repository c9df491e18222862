"""What a collector does by itself, beside answering: delete what is old, read newest versions."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

from migas.collector.database.outage import cause, is_outage
from migas.collector.days import SECONDS_A_DAY
from migas.collector.server import package_index

if TYPE_CHECKING:
    from migas.collector.collector import Collector

INTERVAL = 60.0
"""Seconds between looks at what is due."""

FRESH_SECONDS = 3600
"""A package index is asked for each package at most so often, however many collectors there are."""

_log = logging.getLogger("migas.collector")


async def keep_up(collector: Collector, retain_days: int | None, index: str | None) -> None:
    """Do what is due, again and again, until it is cancelled.

    Args:
        collector: What is kept up.
        retain_days: Sessions that began longer ago are deleted; None keeps all.
        index: The base URL of the package index; None asks none.
    """
    cleaned = -1
    while True:
        today = collector.clock.now() // SECONDS_A_DAY
        try:
            if retain_days is not None and cleaned != today:
                await collector.removal.forget_before(today - retain_days)
                cleaned = today
            if index is not None:
                await refresh_releases(collector, index)
        except (SQLAlchemyError, OSError) as error:
            trace = None if is_outage(error) else error
            _log.warning("upkeep failed and is tried again: %s", cause(error), exc_info=trace)
        await asyncio.sleep(INTERVAL)


async def refresh_releases(collector: Collector, index: str) -> None:
    """Read the newest versions of packages that were not asked for lately.

    Args:
        collector: Where projects name their packages, and where the answers go.
        index: The base URL of the package index.
    """
    for project, package in await collector.projects.claim_packages(FRESH_SECONDS):
        newest = await asyncio.to_thread(package_index.newest_version, index, package)
        if newest is not None and newest != (await collector.projects.release(project)).latest:
            await collector.projects.set_release(project, newest)
