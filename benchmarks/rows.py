"""A collector over many breadcrumbs: ingestion beside an empty one's, and a project's page."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
import urllib.request
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from benchmarks.collector import SECONDS, versions
from benchmarks.load import PROJECT, REST, load
from benchmarks.report import Table, ms
from benchmarks.serving import serving

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.__main__ import Options

__all__ = ["measure", "versions"]

SLOWER_TARGET = 0.20
PAGE_TARGET = 0.150
FILTERED_TARGET = 0.400
FILTERS = ("container=docker", "version=1.100.0", "user=dev", "language=python 3.11&ci=no")
STEP = 500_000


def measure(options: Options) -> list[Table]:
    """Fill a database of each kind, load it beside an empty one, and ask its page."""
    from tests.support.postgres import running_postgres

    with running_postgres() as postgres, tempfile.TemporaryDirectory() as folder:
        return [_many(options, folder, postgres.new_database)]


def _many(options: Options, folder: str, new_database: Callable[[], str]) -> Table:
    rows = options.rows
    table = Table(
        "rows",
        f"A collector over {rows:,} breadcrumbs",
        (
            "database",
            "empty, a second",
            "filled, a second",
            "target",
            "",
            "slowest query of a page ms",
            "a page ms",
            "target",
            "",
            "a filtered page ms",
            "target",
            "",
        ),
        f"{REST}, the best of {options.turns} turns that an empty and a filled database took in"
        " turn. The page is that of a year of one project with all of the breadcrumbs, asked for by"
        " HTTP; the median of five, and with a filter the slowest of"
        f" {len(FILTERS)} filters' medians.",
    )
    for name in ("SQLite", "PostgreSQL"):
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
            page = _page(other.port)
            filtered = max(_page(other.port, of) for of in FILTERS)
        rates = [max(of) for of in zip(*turns, strict=True)]
        slower = 1 - rates[1] / rates[0]
        table.add(
            name,
            f"{rates[0]:,.0f}",
            f"{rates[1]:,.0f}",
            f"{-SLOWER_TARGET:.0%}",
            "over" if slower > SLOWER_TARGET else "ok",
            ms(asyncio.run(_slowest_query(filled))),
            ms(page),
            f"≤ {ms(PAGE_TARGET)}",
            "over" if page > PAGE_TARGET else "ok",
            ms(filtered),
            f"≤ {ms(FILTERED_TARGET)}",
            "over" if filtered > FILTERED_TARGET else "ok",
        )
    return table


def _page(port: int, only: str = "") -> float:
    """Seconds from the request for a project's page, with a filter, to its last byte."""
    took = []
    for _ in range(6):
        began = time.perf_counter()
        address = f"http://127.0.0.1:{port}/p/{PROJECT}?period=1y&{quote(only, safe='=&')}"
        with urllib.request.urlopen(address) as answer:
            text = answer.read()
        took.append(time.perf_counter() - began)
        assert PROJECT.encode() in text
    return statistics.median(took[1:])  # the first one compiled the statements


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

    A hundred breadcrumbs a user, 200 versions, of which each is used for some time beside newer
    ones, and 5,000 errors.
    """
    users = max(1, rows // 100)
    if sqlite:
        series = (
            "(WITH RECURSIVE t(n) AS (SELECT {0} UNION ALL SELECT n + 1 FROM t WHERE n < {1})"
            " SELECT n FROM t)"
        )
        session = "printf('%08x-0000-4000-8000-%012x', abs(random()) % 4294967296, n)"
        user = "printf('00000000-0000-4000-8000-%012x', u)"
        letter = "char"
    else:
        series = "(SELECT n FROM generate_series({0}::bigint, {1}::bigint) AS t(n))"
        session = "gen_random_uuid()"
        user = "('00000000-0000-4000-8000-' || lpad(to_hex(u), 12, '0'))::uuid"
        letter = "chr"
    # Some users are on rarer platforms, in containers, in CI; their Pythons differ.
    platform = "CASE WHEN u % 10 < 7 THEN 'linux' WHEN u % 10 < 9 THEN 'darwin' ELSE 'win32' END"
    container = "CASE u / 10 % 3 WHEN 0 THEN 'docker' WHEN 1 THEN 'apptainer' ELSE 'unknown' END"
    kind = "CASE WHEN u % 17 = 0 THEN 'ci' WHEN u % 23 = 0 THEN 'dev' ELSE 'general' END"
    age = "((n * 7919 % 100) * (n * 7919 % 100) / 1000)"
    version = f"CASE WHEN n * 200 / {rows} > {age} THEN n * 200 / {rows} - {age} ELSE 0 END"
    error, failed = "(n / 10 % 5000)", "n % 10 = 0"
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
        f" ELSE 'C' END, CASE WHEN {failed} THEN 'Error' || ({error} % 50) END,"
        f" CASE WHEN {failed} THEN 'no <path> for ' || {letter}(97 + ({error} / 500)::int)"
        f" || {letter}(97 + ({error} / 50 % 10)::int) END, u % 17 = 0, {platform}, {container}, n,"
        " CASE WHEN n % 50 <> 1 THEN 2 + 0.0000006 * (n * 104729 % 1000) * (n * 104729 % 1000)"
        f" * (n * 104729 % 1000) END FROM (SELECT n, n * 7919 % {users} AS u"
        f" FROM {series} AS numbers) AS numbered"
    ).format(start, end)
    return people if not start else "", told.replace("::int", "") if sqlite else told


async def _slowest_query(url: str) -> float:
    """Seconds that the slowest of a page's questions takes."""
    from migas.collector.collector import Collector
    from migas.collector.counts.filters import Filter
    from migas.collector.days import Period

    period = Period.weeks(52)
    async with Collector.open(url) as collector:
        reports = collector.reports
        questions: list[Callable[[], Any]] = [
            lambda: reports.sessions(PROJECT, replace(period, by="week")),
            lambda: reports.usage(PROJECT, period),
            lambda: reports.errors(PROJECT, period),
            lambda: reports.users(PROJECT, period),
            lambda: reports.lost_runs(PROJECT, period),
            lambda: reports.breakdown(PROJECT, period),
            lambda: reports.breakdown(PROJECT, period, Filter(container="docker")),
        ]
        medians = []
        for question in questions:
            took = []
            for _ in range(6):
                began = time.perf_counter()
                await question()
                took.append(time.perf_counter() - began)
            medians.append(statistics.median(took[1:]))  # the first one compiled the statement
    return max(medians)
