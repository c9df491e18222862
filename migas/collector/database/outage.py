"""What it means when a database does not do what it is asked: that it is away, or our mistake."""

from __future__ import annotations

from socket import gaierror

from sqlalchemy import exc
from sqlalchemy.exc import DBAPIError

_AWAY = ("08", "25006", "40", "53", "55", "57", "58")
"""PostgreSQL's errors of connection, a read-only server, conflicts, resources, state and system.

https://www.postgresql.org/docs/current/errcodes-appendix.html
"""

_OURS = "SQLITE_ERROR"
"""SQLite's word for a statement that makes no sense, https://www.sqlite.org/rescode.html#error."""


def is_outage(error: BaseException) -> bool:
    """Whether an error says that the database is away or busy, so that asking later may help."""
    if isinstance(error, DBAPIError):
        state = getattr(error.orig, "sqlstate", None) or ""
        is_ours = getattr(error.orig, "sqlite_errorname", None) == _OURS
        is_of_connection = isinstance(error, exc.OperationalError | exc.InterfaceError)
        return (
            error.connection_invalidated
            or state.startswith(_AWAY)
            or (is_of_connection and not is_ours)
        )
    # A socket that is not there is a FileNotFoundError.
    ways = (ConnectionError, FileNotFoundError, TimeoutError, gaierror, exc.TimeoutError)
    return isinstance(error, ways)


def cause(error: BaseException) -> str:
    """What the database or the system said, on one line."""
    origin = error
    if isinstance(error, DBAPIError) and error.orig is not None:
        origin = error.orig.__cause__ or error.orig  # what a driver said, or SQLAlchemy for it
    lines = str(origin).splitlines() or [""]
    return f"{type(origin).__name__}: {lines[0]}"  # what a row held comes in further lines
