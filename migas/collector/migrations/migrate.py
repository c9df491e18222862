"""Bringing a database of any age to today's tables, before anything else happens to it.

All steps and the counting of older breadcrumbs are one transaction, which one process at a time
may be in: the others wait, and then find nothing left to do.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, cast

from sqlalchemy import inspect, text
from sqlalchemy.exc import DBAPIError

from migas.collector.counts.rebuild import rebuild
from migas.collector.database.engine import (
    create_engine,
    describe,
    engine_url,
    for_migrating,
    for_pooler,
    is_pooled,
    make_private_file,
    unusable,
)
from migas.collector.errors import CollectorError

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection
    from sqlalchemy.ext.asyncio import AsyncEngine

HEAD = "0017"
"""The newest step in `versions`."""

_COUNTED_ANEW = "0015"
"""The newest step after which everything has to be counted anew."""

_LOCK = 0x6D69676173  # "migas": PostgreSQL's advisory locks are numbers


async def open_engine(url: URL) -> tuple[AsyncEngine, str | None]:
    """Connect to a database, make it if there is none, and bring its tables up to date.

    Args:
        url: From `engine_url`.

    Returns:
        An engine whose plain transactions read (see `for_writing`), and what `upgrade` returned.

    Raises:
        CollectorError: The database cannot be opened, is no database or too new a one.
    """
    if url.get_backend_name() == "sqlite":
        make_private_file(cast("str", url.database))
    engine = create_engine(for_pooler(url))
    try:
        if not await _meets_pooler(engine, url) and engine.url != url:
            await engine.dispose()
            engine = create_engine(url)
        return engine, await _upgrade(engine)
    except (DBAPIError, OSError, UnknownStepError) as error:
        await engine.dispose()
        raise unusable(url, error.orig if isinstance(error, DBAPIError) else error) from error
    except CollectorError:
        await engine.dispose()
        raise


async def _meets_pooler(engine: AsyncEngine, url: URL) -> bool:
    """Connect once, which is when a driver says that it does not know an argument of the URL."""
    try:
        async with engine.connect() as connection:
            return await is_pooled(connection)
    except (TypeError, ValueError) as error:
        raise unusable(url, error) from error


async def upgrade_url(text: str) -> tuple[str, str, str]:
    """Bring a database up to date.

    Returns:
        The step it was at ("" for an empty one), the step it is at, and its name for people.

    Raises:
        CollectorError: As `open_engine` does.
    """
    url = engine_url(text)
    engine, was = await open_engine(url)
    await engine.dispose()
    return HEAD if was is None else was, HEAD, describe(url)


async def _upgrade(engine: AsyncEngine) -> str | None:
    """Bring a database's tables up to date, once however many processes try.

    Returns:
        The step it was at, "" for an empty one, or None when nothing was to be done.
    """
    async with engine.connect() as connection:
        if await connection.run_sync(current_step) == HEAD:
            return None
    async with for_migrating(engine).begin() as connection:
        return await connection.run_sync(upgrade)


def upgrade(connection: Connection) -> str | None:
    """Bring a database to the newest tables.

    Args:
        connection: In a transaction; on SQLite one that has taken the lock at its start.

    Returns:
        The step the database was at, "" for an empty one, or None when nothing was to be done.

    Raises:
        UnknownStepError: A newer migas has been here.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    found = current_step(connection)
    if found == HEAD:
        return None
    if found > HEAD:
        raise UnknownStepError(found)
    # Imported only where there is something to do: it takes as long as the rest of a command.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", os.path.dirname(__file__))
    config.attributes["connection"] = connection
    if found and not inspect(connection).has_table("alembic_version"):
        command.stamp(config, found)
    command.upgrade(config, HEAD)
    if found and found < _COUNTED_ANEW:
        rebuild(connection)
    return found


def current_step(connection: Connection) -> str:
    """The step that a database is at; "" for one without tables."""
    tables = inspect(connection)
    if tables.has_table("alembic_version"):
        step: str | None = connection.execute(
            text("SELECT version_num FROM alembic_version")
        ).scalar()
        return step or ""
    # The first collectors made these tables without noting a step.
    return "0001" if tables.has_table("crumbs") else ""


class UnknownStepError(Exception):
    """The database was made by a newer migas.

    Args:
        step: The step it is at.
    """

    def __init__(self, step: str) -> None:
        super().__init__(f"a newer migas made it (step {step}, this one knows {HEAD})")
