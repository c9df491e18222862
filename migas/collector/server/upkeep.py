"""What a collector does by itself, beside answering: delete what is old, read newest versions."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from migas.collector.days import SECONDS_A_DAY
from migas.collector.server import package_index
from migas.collector.server.repeating import repeat

if TYPE_CHECKING:
    from migas.collector.collector import Collector

INTERVAL = 60.0
"""Seconds between looks at what is due."""

FRESH_SECONDS = 3600
"""A package index is asked for each package at most so often, however many collectors there are."""


async def keep_up(collector: Collector, retain_days: int | None, index: str | None) -> None:
    """Do what is due, again and again, until it is cancelled.

    Args:
        collector: What is kept up.
        retain_days: Sessions that began longer ago are deleted; None keeps all.
        index: The base URL of the package index; None asks none.
    """
    cleaned = -1

    async def work() -> None:
        nonlocal cleaned
        today = collector.clock.now() // SECONDS_A_DAY
        if retain_days is not None and cleaned != today:
            await collector.removal.forget_before(today - retain_days)
            cleaned = today
        if index is not None:
            await refresh_releases(collector, index)

    await repeat(work, INTERVAL, "upkeep")


async def refresh_releases(collector: Collector, index: str) -> None:
    """Read the newest versions of packages that were not asked for lately."""
    for project, package in await collector.projects.claim_packages(FRESH_SECONDS):
        newest = await asyncio.to_thread(package_index.newest_version, index, package)
        if newest is not None and newest != (await collector.projects.release(project)).latest:
            await collector.projects.set_release(project, newest)
