"""Connections that the server has closed since they were used: replaced before they are used again.

SQLAlchemy's own way, `pool_pre_ping`, has PostgreSQL answer thrice before each question. A page
asks thirty within a fifth of a second, and took a fourth of its time for that. So whoever can ask
again trusts a connection that was used a moment ago; for all others each one is tried.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any

from sqlalchemy import event
from sqlalchemy.exc import InvalidatePoolError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.exc import DBAPIError
    from sqlalchemy.ext.asyncio import AsyncEngine

TRUSTED_SECONDS = 1.0
"""A connection that was used so little a while ago is probably there."""

_OF_CONNECTIONS = ("08", "57P")
"""PostgreSQL's errors of connections, and those of an operator who ends them."""

_RETURNED = "migas_returned"
_trusts: ContextVar[bool] = ContextVar("trusts", default=False)


@contextmanager
def trusting_connections() -> Iterator[None]:
    """A block in which a connection is not tried that was used just now: who asks does so again."""
    token = _trusts.set(True)
    try:
        yield
    finally:
        _trusts.reset(token)


def is_lost(error: DBAPIError) -> bool:
    """Whether an error tells of a connection rather than of what was asked on it."""
    # What the driver itself complains of, in the middle of a connection's end say, has no state.
    state = getattr(error.orig, "sqlstate", None)
    return error.connection_invalidated or state is None or state.startswith(_OF_CONNECTIONS)


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
    if connection.driver_connection.is_closed():
        raise InvalidatePoolError
    if _trusts.get() and monotonic() - returned < TRUSTED_SECONDS:
        return
    try:
        dialect.do_ping(connection)
    except dialect.loaded_dbapi.Error as error:
        raise InvalidatePoolError from error
