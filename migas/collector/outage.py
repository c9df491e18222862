"""What it means when a database does not do what it is asked: that it is away, or our mistake."""

from __future__ import annotations

from sqlalchemy import exc
from sqlalchemy.exc import DBAPIError

_AWAY = ("08", "53", "55", "57", "58")
"""PostgreSQL's classes of errors: connection, resources, state, operator and system.

https://www.postgresql.org/docs/current/errcodes-appendix.html
"""


def is_outage(error: BaseException) -> bool:
    """Whether an error says that the database is away or busy, so that asking later may help."""
    if isinstance(error, DBAPIError):
        state = getattr(error.orig, "sqlstate", None) or ""
        if error.connection_invalidated or state.startswith(_AWAY):
            return True
    return isinstance(error, OSError | exc.OperationalError | exc.InterfaceError | exc.TimeoutError)


def cause(error: BaseException) -> str:
    """What the database or the system said, on one line, without the values that were sent."""
    origin = error
    if isinstance(error, DBAPIError) and error.orig is not None:
        origin = error.orig.__cause__ or error.orig  # what a driver said, or SQLAlchemy for it
    lines = str(origin).splitlines() or [""]
    return f"{type(origin).__name__}: {lines[0]}"  # what a row held comes in further lines
