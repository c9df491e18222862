"""Connections that lay idle: one that the server has closed since is replaced before it is used.

SQLAlchemy's own way, `pool_pre_ping`, has PostgreSQL answer thrice before each question. A page
asks thirty within a fifth of a second, and took a fourth of its time for that.
"""

from __future__ import annotations

from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any

from sqlalchemy import event
from sqlalchemy.exc import InvalidatePoolError

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

TRUSTED_SECONDS = 1.0
"""A connection that was used so little a while ago is there, as far as its socket says so."""

_RETURNED = "migas_returned"


def replace_closed(engine: AsyncEngine) -> None:
    """Have each of an engine's connections tried before it is used, where it may have been closed.

    Args:
        engine: One of PostgreSQL, which has not connected yet.
    """
    pool = engine.sync_engine
    event.listen(pool, "checkin", _note_time)
    event.listen(pool, "checkout", partial(_try, engine.dialect))


def _note_time(_connection: object, record: Any) -> None:
    record.info[_RETURNED] = monotonic()


def _try(dialect: Any, connection: Any, record: Any, _fairy: object) -> None:
    returned = record.info.pop(_RETURNED, None)
    if returned is None:  # it has just been made
        return
    # A restart closes the sockets, and the driver knows; a network that is gone closes none.
    if connection.driver_connection.is_closed():
        raise InvalidatePoolError
    if monotonic() - returned < TRUSTED_SECONDS:
        return
    try:
        dialect.do_ping(connection)
    except dialect.loaded_dbapi.Error as error:
        if not dialect.is_disconnect(error, connection, None):
            raise
        raise InvalidatePoolError from error
