"""A collector over many breadcrumbs: ingestion beside an empty one's, and a project's pages."""

from __future__ import annotations

import asyncio
import datetime as dt
import statistics
import tempfile
import time
import urllib.request
from itertools import pairwise
from typing import TYPE_CHECKING
from urllib.parse import quote

from benchmarks.collector import SECONDS, versions
from benchmarks.load import PROJECT, REST, load
from benchmarks.report import Table, ms
from benchmarks.serving import serving

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.__main__ import Options

__all__ = ["measure", "versions"]

SLOWER_TARGET = 0.20
PAGE_TARGET = 0.150
FILTERED_TARGET = 0.400
STEP = 500_000
YEAR = "period=1y"
_TODAY = dt.datetime.now(dt.UTC).date()
LONG_AGO = f"from={_TODAY - dt.timedelta(300)}&to={_TODAY - dt.timedelta(273)}"
"""Four weeks after which as much has happened as in all: newest values are of no help."""

ASKED, MEASURED = 48, 5
"""How often a page is asked for, and how many of these, the last ones, are measured: a server that
runs has answered before, and what a connection asks the sixth time PostgreSQL plans otherwise."""
FLUSH_SECONDS = 11.0
"""So long may an idle connection of PostgreSQL keep to itself what it has read."""

PAGES = (
    ("unfiltered", "", "", PAGE_TARGET, 200_000),
    ("30 days", "", "period=30d", PAGE_TARGET, 200_000),
    ("four weeks long ago", "", LONG_AGO, PAGE_TARGET, 1_000_000),
    ("container=docker", "", "container=docker", FILTERED_TARGET, 500_000),
    ("platform=linux", "", "platform=linux", FILTERED_TARGET, 500_000),
    ("ci=no", "", "ci=no", FILTERED_TARGET, 500_000),
    ("language=python", "", "language=python", FILTERED_TARGET, 200_000),
    ("version=1.190.0", "", "version=1.190.0", FILTERED_TARGET, 200_000),
    ("user=dev", "", "user=dev", FILTERED_TARGET, 500_000),
    ("outcome=completed", "", "outcome=completed", FILTERED_TARGET, 500_000),
    ("outcome=running", "", "outcome=running", FILTERED_TARGET, 500_000),
    ("a version's failures", "", "version=1.190.0&outcome=failed", FILTERED_TARGET, 500_000),
    (
        "three filters",
        "",
        "container=docker&platform=linux&language=python 3.12",
        FILTERED_TARGET,
        500_000,
    ),
    ("the most frequent error", "errors/{error}", "", PAGE_TARGET, 500_000),
    ("the same in docker", "errors/{error}", "container=docker", FILTERED_TARGET, 500_000),
    ("two versions", "compare", "", PAGE_TARGET, 200_000),
    ("the same in docker", "compare", "container=docker", FILTERED_TARGET, 500_000),
    ("two versions' failures", "compare", "outcome=failed", FILTERED_TARGET, 500_000),
    ("periods", "periods", "", PAGE_TARGET, 200_000),
    ("the same in docker", "periods", "container=docker", FILTERED_TARGET, 500_000),
    ("users", "users", "", PAGE_TARGET, 1_000_000),
    ("the same in docker", "users", "container=docker", FILTERED_TARGET, 500_000),
    ("the users of an error", "users", "error={error}", FILTERED_TARGET, 500_000),
    ("the users of running sessions", "users", "outcome=running", FILTERED_TARGET, 500_000),
)
"""What is asked for: a name, the page below the project's own, its query, the most seconds and the
most rows that the database may read for it."""


def measure(options: Options) -> list[Table]:
    """Fill a database of each kind, load it beside an empty one, and ask its pages."""
    from tests.support.postgres import running_postgres

    with running_postgres() as postgres, tempfile.TemporaryDirectory() as folder:
        return _many(options, folder, postgres.new_database)


def _many(options: Options, folder: str, new_database: Callable[[], str]) -> list[Table]:
    rows = options.rows
    ingestion = Table(
        "rows",
        f"A collector over {rows:,} breadcrumbs",
        ("database", "empty, a second", "filled, a second", "target", "", "MiB"),
        f"{REST}, the best of {options.turns} turns that an empty and a filled database took in"
        " turn.",
    )
    pages = Table(
        "pages",
        f"Pages over {rows:,} breadcrumbs of one project",
        ("page", "SQLite ms", "target", "", "PostgreSQL ms", "target", "", "rows read", "most", ""),
        "By HTTP, the median of five; all but one are of a year. Rows are those that PostgreSQL"
        " says it has read from tables and indexes.",
    )
    found: dict[str, list[float]] = {name: [] for name in ("SQLite", "PostgreSQL")}
    read: list[int] = []
    for name, medians in found.items():
        empty, filled = (
            f"sqlite:///{folder}/{state}.sqlite" if name == "SQLite" else new_database()
            for state in ("empty", "filled")
        )
        asyncio.run(_fill(filled, rows))
        with serving(empty) as one, serving(filled) as other:
            for collector in (one, other):
                load(collector.port, REST, 2.0)
            turns = [
                [load(collector.port, REST, SECONDS).rate for collector in (one, other)]
                for _ in range(options.turns)
            ]
            error, paths = _most_frequent_error(other.port), []
            for _, page, query, *_ in PAGES:
                path = f"{page}?{YEAR}&{query}".format(error=error)
                paths.append(path)
                medians.append(_page(other.port, path))
            if name == "PostgreSQL":
                read = asyncio.run(_rows_read(filled, other.port, paths))
        rates = [max(of) for of in zip(*turns, strict=True)]
        slower = 1 - rates[1] / rates[0]
        ingestion.add(
            name,
            f"{rates[0]:,.0f}",
            f"{rates[1]:,.0f}",
            f"{-SLOWER_TARGET:.0%}",
            "over" if slower > SLOWER_TARGET else "ok",
            f"{asyncio.run(_bytes(filled)) / 2**20:,.0f}",
        )
    for page, lite, postgres, number in zip(PAGES, *found.values(), read, strict=True):
        name, _, _, target, most = page
        pages.add(
            f"{'' if page[1] else 'project: '}{name}",
            *(
                cell
                for took in (lite, postgres)
                for cell in (ms(took), f"≤ {ms(target)}", "over" if took > target else "ok")
            ),
            f"{number:,}",
            f"≤ {most:,}",
            "over" if number > most else "ok",
        )
    return [ingestion, pages]


def _page(port: int, path: str) -> float:
    """Seconds from the request for a page of the project to its last byte."""
    took = []
    for _ in range(ASKED):
        began = time.perf_counter()
        assert PROJECT in _answer(port, path)
        took.append(time.perf_counter() - began)
    return statistics.median(took[-MEASURED:])


def _answer(port: int, path: str) -> str:
    below, _, query = path.partition("?")
    address = f"http://127.0.0.1:{port}/p/{PROJECT}{below and '/'}{below}"
    with urllib.request.urlopen(f"{address}?{quote(query, safe='=&')}") as answer:
        text: str = answer.read().decode()
    return text


def _most_frequent_error(port: int) -> str:
    return _answer(port, f"?{YEAR}").partition("/errors/")[2][:16]


async def _rows_read(url: str, port: int, paths: Sequence[str]) -> list[int]:
    """How many rows of tables and indexes PostgreSQL reads for each of some pages."""
    import asyncpg

    query = (
        "SELECT (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes)"
        " + (SELECT sum(seq_tup_read) FROM pg_stat_user_tables)"
    )
    connection = await asyncpg.connect(url)

    async def so_far() -> int:
        await asyncio.sleep(FLUSH_SECONDS)
        return int(await connection.fetchval(query))

    try:
        numbers = [await so_far()]
        for path in paths:
            await asyncio.to_thread(_answer, port, path)
            numbers.append(await so_far())
    finally:
        await connection.close()
    return [after - before for before, after in pairwise(numbers)]


async def _bytes(url: str) -> int:
    """How large a database is."""
    from migas.collector.collector import Collector
    from migas.collector.database.size import size_of

    async with Collector.open(url) as collector, collector.connections.reading() as connection:
        return (await size_of(connection)).bytes


async def _fill(url: str, rows: int) -> None:
    """Put breadcrumbs of a year into a database, by its own SQL, and count them."""
    from sqlalchemy import text

    from migas.collector.collector import Collector
    from migas.collector.counts.rebuild import rebuild

    first = int(time.time()) - 365 * 86400
    async with Collector.open(url) as collector:
        await collector.projects.register([PROJECT])
        sqlite = url.startswith("sqlite")
        for start in range(0, rows, STEP):
            for sql in _insert(sqlite, start, min(start + STEP, rows) - 1, rows, first):
                async with collector.connections.writing() as connection:
                    if sql:
                        await connection.exec_driver_sql(sql)
        async with collector.connections.writing() as connection:
            await connection.run_sync(rebuild)
        async with collector.connections.reading() as connection:
            await connection.execute(text("ANALYZE"))
    if not sqlite:
        await _rest(url)


async def _rest(url: str) -> None:
    """Have PostgreSQL do at once what it does for some time after so much was written."""
    import asyncpg

    connection = await asyncpg.connect(url)
    try:
        await connection.execute("VACUUM (ANALYZE)")
        await connection.execute("CHECKPOINT")
    finally:
        await connection.close()


def _insert(sqlite: bool, start: int, end: int, rows: int, first: int) -> tuple[str, str]:
    """Users and breadcrumbs number `start` to `end` of so many, of a year from `first` on.

    Eighty breadcrumbs a user, 200 versions, of which the newest few have most sessions, and 5,000
    errors, of which the most frequent one is a tenth of the failures: the frequency of the others
    falls as in Zipf's law. What is random is a hash of the number, the same in both engines.
    """
    users = max(1, rows // 80)
    if sqlite:
        series = (
            "(WITH RECURSIVE t(n) AS (SELECT {0} UNION ALL SELECT n + 1 FROM t WHERE n < {1})"
            " SELECT n FROM t)"
        )
        session = "printf('%08x-0000-4000-8000-%012x', abs(random()) % 4294967296, n)"
        user = "printf('00000000-0000-4000-8000-%012x', u)"
        letter, whole = "char", "CAST({} AS INTEGER)"
    else:
        series = "(SELECT n FROM generate_series({0}::bigint, {1}::bigint) AS t(n))"
        session = "gen_random_uuid()"
        user = "('00000000-0000-4000-8000-' || lpad(to_hex(u), 12, '0'))::uuid"
        letter, whole = "chr", "floor({})::int"
    # Some users are on rarer platforms, in containers, in CI; their Pythons differ.
    platform = "CASE WHEN u % 10 < 7 THEN 'linux' WHEN u % 10 < 9 THEN 'darwin' ELSE 'win32' END"
    container = "CASE u / 10 % 3 WHEN 0 THEN 'docker' WHEN 1 THEN 'apptainer' ELSE 'unknown' END"
    kind = "CASE WHEN u % 17 = 0 THEN 'ci' WHEN u % 23 = 0 THEN 'dev' ELSE 'general' END"
    # Half of the users have the newest version or one of the three before; few wait for long.
    power = "pow(CAST({} AS DOUBLE PRECISION), CAST({} AS DOUBLE PRECISION))"
    lag = power.format(200, "(u * 7919 % 1000 / 1000.0) * (n * 104729 % 997 / 997.0)")
    age = f"({whole.format(lag)} - 1)"
    version = f"CASE WHEN n * 200 / {rows} > {age} THEN n * 200 / {rows} - ({age}) ELSE 0 END"
    error = whole.format(power.format(5000, "n / 10 * 7907 % 99991 / 99991.0"))
    failed = "n % 10 = 0"
    people = (
        "INSERT INTO users (user_id, user_type, platform, container)"
        f" SELECT {user}, {kind}, {platform}, {container} FROM"
        f" (SELECT n AS u FROM {series} AS numbers) AS numbered"
    ).format(0, users - 1)
    told = (
        "INSERT INTO crumbs (project, version, language, language_version, timestamp, session_id,"
        " user_id, status, error_type, error_desc, is_ci, platform, container, digest, duration)"
        f" SELECT '{PROJECT}', '1.' || ({version}) || '.0', 'python',"
        f" '3.1' || (u / 30 % 5) || '.7', {first} + n * 31536000 / {rows}, {session}, {user},"
        f" CASE WHEN {failed} THEN 'F' WHEN n % 50 = 1 THEN 'R' WHEN n % 40 = 2 THEN 'S'"
        f" ELSE 'C' END, CASE WHEN {failed} THEN 'Error' || (e % 50) END,"
        f" CASE WHEN {failed} THEN 'no <path> for ' || {letter}(97 + e / 500)"
        f" || {letter}(97 + e / 50 % 10) END, u % 17 = 0, {platform}, {container}, n,"
        " CASE WHEN n % 50 <> 1 THEN 2 + 0.0000006 * (n * 104729 % 1000) * (n * 104729 % 1000)"
        f" * (n * 104729 % 1000) END FROM (SELECT n, n * 7919 % {users} AS u, {error} AS e"
        f" FROM {series} AS numbers) AS numbered"
    ).format(start, end)
    return people if not start else "", told
