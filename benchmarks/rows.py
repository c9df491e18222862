"""A collector over many breadcrumbs: ingestion beside an empty one's, and a project's page."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
import urllib.request
from dataclasses import replace
from typing import TYPE_CHECKING, Any

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
        ),
        f"{REST}, the best of {options.turns} turns that an empty and a filled database took in"
        " turn. The page is that of a year of one project with all of the breadcrumbs, asked for by"
        " HTTP; the median of five.",
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
        )
    return table


def _page(port: int) -> float:
    """Seconds from the request for a project's page to its last byte."""
    took = []
    for _ in range(6):
        began = time.perf_counter()
        address = f"http://127.0.0.1:{port}/p/{PROJECT}?period=1y"
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
            sql = _insert(sqlite, start, min(start + STEP, rows) - 1, rows, first)
            async with collector.connections.writing() as connection:
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


def _insert(sqlite: bool, start: int, end: int, rows: int, first: int) -> str:
    """Breadcrumbs number `start` to `end` of so many, spread over a year from `first` on."""
    users = max(1, rows // 100)
    if sqlite:
        numbers = (
            f"(WITH RECURSIVE t(n) AS (SELECT {start} UNION ALL SELECT n + 1 FROM t"
            f" WHERE n < {end}) SELECT n FROM t) AS numbers"
        )
        session = "printf('%08x-0000-4000-8000-%012x', abs(random()) % 4294967296, n)"
        user = f"printf('00000000-0000-4000-8000-%012x', n % {users})"
    else:
        numbers = f"generate_series({start}::bigint, {end}::bigint) AS numbers(n)"
        session = "gen_random_uuid()"
        user = f"('00000000-0000-4000-8000-' || lpad(to_hex(n % {users}), 12, '0'))::uuid"
    return (
        "INSERT INTO crumbs (project, version, language, language_version, timestamp, session_id,"
        " user_id, status, error_type, error_desc, is_ci, platform, container, digest)"
        f" SELECT '{PROJECT}', '1.' || (n * 20 / {rows}) || '.0', 'python',"
        f" '3.1' || (n % 4) || '.7', {first} + n * 31536000 / {rows}, {session}, {user},"
        " CASE WHEN n % 10 = 0 THEN 'F' WHEN n % 50 = 1 THEN 'R' ELSE 'C' END,"
        " CASE WHEN n % 10 = 0 THEN 'Error' || (n % 7) END,"
        " CASE WHEN n % 10 = 0 THEN 'no such <path>' END, n % 3 = 0,"
        f" 'Linux-' || (n % 5), 'docker', n FROM {numbers}"
    )


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
