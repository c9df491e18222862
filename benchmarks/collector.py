"""A collector under load: throughput, latency, memory, by its database and its workers.

Collectors, databases and the load share one machine, as processes of their own.
"""

from __future__ import annotations

import os
import tempfile
from importlib import metadata
from typing import TYPE_CHECKING

from benchmarks.load import CONNECTIONS, GRAPHQL, REST, load
from benchmarks.report import Table, mib, ms, us
from benchmarks.serving import Collector, cpu_of_tree, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.__main__ import Options
    from tests.support.postgres import Postgres

SECONDS = 6.0
FEW = 16
LOADS = ((GRAPHQL, CONNECTIONS, 700), (REST, CONNECTIONS, 1500), (REST, FEW, 1500))
"""Ways in, how many connections ask at the same time, and the least that is answered a second."""
P99_TARGET = 0.060
MEMORY_TARGET = 150 * 2**20


def versions() -> str:
    """The versions of what the collector is made of."""
    names = ("migas", "fastapi", "uvicorn", "graphql-core", "sqlalchemy", "asyncpg")
    return ", ".join(f"{name} {metadata.version(name)}" for name in names)


def measure(options: Options) -> Iterator[Table]:
    """Load collectors on both kinds of databases, then fill one and ask its page."""
    from tests.support.postgres import running_postgres

    speed = Table(
        "collector",
        "A collector's throughput",
        ("one worker", "a second", "target", "", "p50 ms", "p99 ms at half the target", "", "MiB"),
        f"Kept connections for {SECONDS:.0f} s from one process on the same machine, the best of"
        f" {options.turns} turns; every answer comes after its commit.",
    )
    growth = Table(
        "collector",
        "A collector on PostgreSQL, by its workers",
        ("workers", f"{GRAPHQL} a second", f"{REST} a second"),
        f"On {os.cpu_count()} CPUs, which they share with PostgreSQL and with the load.",
    )
    with running_postgres() as postgres, tempfile.TemporaryDirectory() as folder:
        databases = {
            "SQLite": f"sqlite:///{folder}/load.sqlite",
            "PostgreSQL": postgres.new_database(),
        }
        for name, url in databases.items():
            _speed(speed, name, url, options.turns)
        yield speed
        for workers in (1, 2):
            with serving(postgres.new_database(), "--workers", str(workers)) as collector:
                rates = [_best_rate(collector, kind, options.turns) for kind in (GRAPHQL, REST)]
            growth.add(str(workers), *(f"{rate:,.0f}" for rate in rates))
        yield growth
        yield _on_paper(postgres)


def _on_paper(postgres: Postgres) -> Table:
    """What a breadcrumb costs one worker and its database, and what that makes of many."""
    with serving(postgres.new_database()) as collector:
        load(collector.port, REST, 2.0)
        before = collector.cpu(), cpu_of_tree(postgres.pid), _wal_bytes(postgres)
        number = load(collector.port, REST, SECONDS).successes
        after = collector.cpu(), cpu_of_tree(postgres.pid), _wal_bytes(postgres)
    used = zip(before, after, strict=True)
    worker, database, log = ((end - start) / number for start, end in used)
    table = Table(
        "collector",
        "More workers, on paper",
        ("workers", f"{REST} a second", "CPUs of PostgreSQL", "its log, MB a second"),
        "Computed, not measured: if each worker has a CPU of its own, and uses all of it. A"
        f" breadcrumb took {us(worker)} µs of a worker's CPU, {us(database)} µs of PostgreSQL's"
        f" and {log:,.0f} bytes of its log. One PostgreSQL grows as far as its CPUs and its disk"
        " do; farther, one that is sharded.",
    )
    for workers in (1, 2, 10, 100):
        rate = workers / worker
        table.add(
            str(workers), f"{rate:,.0f}", f"{rate * database:.1f}", f"{rate * log / 1e6:,.1f}"
        )
    return table


def _wal_bytes(postgres: Postgres) -> int:
    (row,) = postgres.execute("SELECT pg_current_wal_lsn() - '0/0'::pg_lsn AS bytes")
    return int(row["bytes"])


def _speed(table: Table, name: str, url: str, turns: int) -> None:
    for kind, connections, target in LOADS:
        with serving(url) as collector:
            load(collector.port, kind, 1.0)
            full, half = (
                [load(collector.port, kind, SECONDS, rate, connections) for _ in range(turns)]
                for rate in (None, target / 2)
            )
            best = max(full, key=lambda turn: turn.rate)
            p99 = min(turn.p99 for turn in half)
            memory = collector.memory()
        table.add(
            f"{kind}, {connections} connections, {name}",
            f"{best.rate:,.0f}",
            f"≥ {target:,}",
            "over" if best.rate < target or any(turn.failures for turn in full) else "ok",
            ms(best.p50),
            ms(p99),
            "over" if p99 > P99_TARGET or any(turn.failures for turn in half) else "ok",
            mib(memory) + (" over" if memory > MEMORY_TARGET else ""),
        )


def _best_rate(collector: Collector, kind: str, turns: int) -> float:
    return max(load(collector.port, kind, SECONDS).rate for _ in range(turns))
