"""Bringing a database of any age to today's tables, before anything else happens to it.

All steps and the counting of older breadcrumbs are one transaction, which one process at a time
may be in: the others wait, and then find nothing left to do.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from sqlalchemy import inspect, text

from migas.collector.counts.rebuild import rebuild

if TYPE_CHECKING:
    from sqlalchemy import Connection

HEAD = "0002"
"""The newest step in `migrations/versions`."""

_LOCK = 0x6D69676173  # "migas": PostgreSQL's advisory locks are numbers


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
    if found:
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
