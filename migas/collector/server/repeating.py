"""Work that is done again and again beside answering, whatever its database does meanwhile."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

from migas.collector.database.outage import cause, is_outage

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_log = logging.getLogger("migas.collector")


async def repeat(work: Callable[[], Awaitable[None]], pause: float, name: str) -> None:
    """Do work until it is cancelled; where its database fails, say so and go on later.

    Args:
        work: What to do.
        pause: Seconds between two times.
        name: What it is called in the log.
    """
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
