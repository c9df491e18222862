"""Which database a URL means, and an engine for it."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, cast

import platformdirs
from sqlalchemy import URL, Connection, Engine, event, func, make_url, select
from sqlalchemy import create_engine as create_synchronous_engine
from sqlalchemy.exc import ArgumentError, NoSuchModuleError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

from migas.collector.database.idle import replace_closed
from migas.collector.errors import CollectorError

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

_DRIVERS = {
    "sqlite": "sqlite+aiosqlite",
    "postgresql": "postgresql+asyncpg",
    "postgres": "postgresql+asyncpg",
}
_PREPARED = "prepared_statement_cache_size"  # SQLAlchemy's word for it in a URL
_WRITES = "migas_writes"
_PATIENT = "migas_patient"
POOL_SIZE = 8
"""A process has two pools, so it connects sixteen times at most. Those that it has made stay: a new
one prepares all its questions again, and to make it took as long as to ask ten of them."""

_TO_READ = {
    # The sixth time PostgreSQL might plan a question without a look at its values, and read all
    # users where a hundredth of them is meant.
    "plan_cache_mode": "force_custom_plan",
    # A page asks several questions at once. Were each of them divided among processes, these would
    # do what all of them need several times, and fight for processors.
    "max_parallel_workers_per_gather": "0",
}
"""How PostgreSQL is to answer questions."""

_CACHE_KIB = 16 * 1024
"""The most memory that a connection uses for pages of SQLite's file."""

_LOG_PAGES = 4000
"""How many pages, of four kilobytes each, SQLite's log may have before they go into the file."""

_BUSY_MS = 5000
_PATIENT_MS = 3_600_000
"""How long SQLite waits for another's transaction; for one that changes all tables, an hour."""


def default_url() -> str:
    """The URL of the SQLite file that is used when nobody names a database."""
    folder = platformdirs.user_data_dir("migas", appauthor=False)
    return f"sqlite:///{os.path.join(folder, 'collector.sqlite')}"


def engine_url(text: str) -> URL:
    """Map a database URL as a person writes it to the asynchronous driver that serves it.

    Args:
        text: `sqlite:///relative/path`, `sqlite:////absolute/path` or `postgresql://…`, also as
            providers of PostgreSQL write it: with `postgres://`, and with `sslmode=…`.

    Raises:
        CollectorError: It is no URL, or one of a database that the collector cannot use.
    """
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        url = None
    if url is None or url.drivername not in {*_DRIVERS, *_DRIVERS.values()}:
        raise CollectorError(
            f"{_without_password(text)!r} names no database for the collector: write"
            " sqlite:///path/to/file or postgresql://user@host/database"
        )
    if url.get_backend_name() == "sqlite" and url.database in (None, "", ":memory:"):
        raise CollectorError(f"{text!r} names no file: write sqlite:///path/to/file")
    if url.get_backend_name() != "sqlite" and "sslmode" in url.query:
        # The driver takes the same words under another name.
        words = url.query["sslmode"]
        url = url.difference_update_query(["sslmode"]).update_query_dict({"ssl": words})
    return url.set(drivername=_DRIVERS.get(url.drivername, url.drivername))


def describe(url: URL) -> str:
    """A database as one names it to a person: a file's path, or a URL without its password."""
    if url.get_backend_name() == "sqlite":
        return os.path.abspath(cast("str", url.database))
    return _without_password(url.render_as_string(hide_password=True))


def _without_password(text: str) -> str:
    """A text that may have a password in it, as a URL or part of one, for people to see."""
    text = re.sub(r":(?!//).*@", ":***@", text, flags=re.DOTALL)
    return re.sub(r"(password=)[^&]*", r"\1***", text)


def for_pooler(url: URL) -> URL:
    """The URL of the same database for an engine that prepares no statement.

    PgBouncer in transaction mode, as managed databases have it, may run each transaction on
    another connection. What was prepared on one is not on the next, or is somebody else's.
    """
    if url.get_backend_name() == "sqlite":
        return url
    return url.update_query_dict({_PREPARED: "0"})


async def is_pooled(connection: AsyncConnection) -> bool:
    """Whether between us and PostgreSQL stands a pooler, which names no process of the server.

    Args:
        connection: One of an engine that is made `for_pooler`, whoever it reaches.
    """
    if connection.dialect.name == "sqlite":
        return False
    serving = (await connection.execute(select(func.pg_backend_pid()))).scalar_one()
    driver: Any = (await connection.get_raw_connection()).driver_connection
    return bool(driver.get_server_pid() != serving)


def create_engine(url: URL, *, writes: bool = False) -> AsyncEngine:
    """An engine for a database that need not be there yet; see `for_writing`.

    Args:
        url: From `engine_url` or `for_pooler`.
        writes: Whether it is for nothing but writing.

    Raises:
        CollectorError: The driver for it is missing, or cannot read the URL.
    """
    is_sqlite = url.get_backend_name() == "sqlite"
    try:
        engine = create_async_engine(
            url,
            connect_args={} if is_sqlite else _for_connecting(url, writes),
            poolclass=AsyncAdaptedQueuePool,
            pool_size=POOL_SIZE,
            max_overflow=0,
            # The log is no place for people's ids and texts.
            hide_parameters=True,
        )
    except (ModuleNotFoundError, NoSuchModuleError) as error:
        raise CollectorError(f"{url.drivername} needs a driver that is missing: {error}") from error
    except (ArgumentError, TypeError, ValueError) as error:
        raise unusable(url, error) from error
    if is_sqlite:
        _configure_all(engine.sync_engine)
    else:
        replace_closed(engine)
    return engine


def _for_connecting(url: URL, writes: bool) -> dict[str, Any]:
    """What a driver is to know of each of its connections to PostgreSQL."""
    if url.query.get(_PREPARED) == "0":
        # Unnamed statements are parsed anew in the transaction that runs them. A pooler, which
        # shares its connections with others, is told nothing more.
        return {"statement_cache_size": 0, "prepared_statement_name_func": str}
    # What is written is the same again and again, and planned once.
    return {} if writes else {"server_settings": _TO_READ}


def create_sqlite_writer(url: URL) -> Engine:
    """An engine without an event loop, for transactions that write into SQLite's file.

    Args:
        url: From `engine_url`.
    """
    engine = create_synchronous_engine(url.set(drivername="sqlite"), hide_parameters=True)
    _configure_all(engine)
    event.listen(engine, "connect", _remember_more)
    event.listen(engine, "connect", _keep_a_longer_log)
    return engine.execution_options(**{_WRITES: True})


def create_sqlite_reader(url: URL) -> Engine:
    """An engine without an event loop, for single questions to SQLite's file.

    Each of them sees the file as one commit left it, without a transaction around it.

    Args:
        url: From `engine_url`.
    """
    engine = create_synchronous_engine(
        url.set(drivername="sqlite"),
        pool_size=POOL_SIZE,
        max_overflow=0,
        pool_use_lifo=True,
        hide_parameters=True,
    )
    event.listen(engine, "connect", _configure_sqlite)
    event.listen(engine, "connect", _remember_more)
    return engine


def for_asking(engine: AsyncEngine) -> AsyncEngine:
    """The same engine, for single questions, each of which PostgreSQL answers by itself."""
    return engine.execution_options(isolation_level="AUTOCOMMIT")


def for_writing(engine: AsyncEngine) -> AsyncEngine:
    """The same engine, for transactions that write.

    SQLite lets one transaction write at a time. One that reads first and writes later fails when
    another has written in between, and no waiting helps; so these take the lock at their start.
    """
    return engine.execution_options(**{_WRITES: True})


def for_migrating(engine: AsyncEngine) -> AsyncEngine:
    """The same engine, for a transaction that changes all tables and waits an hour for its turn."""
    return for_writing(engine).execution_options(**{_PATIENT: True})


def unusable(url: URL, reason: object) -> CollectorError:
    """What to tell of a database that cannot be used."""
    return CollectorError(f"cannot use the database {describe(url)}: {reason}")


def make_private_file(path: str) -> None:
    """Make the file that holds other people's data readable for its owner alone.

    Raises:
        CollectorError: It cannot be made, or not be written.
    """
    try:
        if path == engine_url(default_url()).database:
            os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise CollectorError(f"cannot write the database {path}: {error.strerror}") from error


def _configure_all(engine: Engine) -> None:
    event.listen(engine, "connect", _configure_sqlite)
    event.listen(engine, "begin", _begin_sqlite)


def _configure_sqlite(connection: Any, _record: object) -> None:
    # The driver would begin transactions by itself, late and only for some statements.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
    cursor.execute("PRAGMA journal_mode = WAL")
    # NORMAL would lose the newest commits when the power fails, after success was answered.
    cursor.execute("PRAGMA synchronous = FULL")
    # What people had deleted is overwritten, not only forgotten.
    cursor.execute("PRAGMA secure_delete = ON")
    cursor.close()


def _remember_more(connection: Any, _record: object) -> None:
    # A page of a year reads the same few thousand pages of the file for several of its figures. Ids
    # are random, so that each breadcrumb changes pages all over the file.
    connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")


def _keep_a_longer_log(connection: Any, _record: object) -> None:
    # Those go from the log into the file when many of them have been changed more than once.
    connection.execute(f"PRAGMA wal_autocheckpoint = {_LOG_PAGES}")


def _begin_sqlite(connection: Connection) -> None:
    options = connection.get_execution_options()
    if options.get(_PATIENT, False):
        connection.exec_driver_sql(f"PRAGMA busy_timeout = {_PATIENT_MS}")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get(_WRITES, False) else "BEGIN")
    if options.get(_PATIENT, False):
        connection.exec_driver_sql(f"PRAGMA busy_timeout = {_BUSY_MS}")
