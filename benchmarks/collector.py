"""A collector under load: throughput, latency, memory, and what ten million breadcrumbs change.

The load comes from a process of its own on the same machine, over kept connections. Every answer
counted is a success, given after the commit. Latencies at a given rate are counted from the moment
at which a request was due, so that a server that stalls does not hide behind a client that waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import statistics
import sys
import tempfile
import time
import uuid
from collections import deque
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from subprocess import PIPE, Popen
from typing import TYPE_CHECKING, Any

from benchmarks.report import Table, mib, ms

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.__main__ import Options

CONNECTIONS = 64
SECONDS = 6.0
TURNS = 3
GRAPHQL, REST = "add_project", "REST wait=true"
TARGETS = {GRAPHQL: 700, REST: 1500}
P99_TARGET = 0.060
SLOWER_TARGET = 0.20
PAGE_TARGET = 0.150
MEMORY_TARGET = 150 * 2**20
PROJECT = "owner/repo"
STEP = 500_000
_QUERY = "mutation($p: ProjectInput!){add_project(p:$p)}"


@dataclass(frozen=True)
class Measured:
    """What a load generator found.

    Args:
        rate: Successes a second.
        failures: Answers that were none, or did not come.
        p50: Seconds within which half of the answers came.
        p99: Seconds within which 99 of a hundred came.
    """

    rate: float
    failures: int
    p50: float
    p99: float


def versions() -> str:
    """The versions of what the collector is made of."""
    names = ("migas", "fastapi", "uvicorn", "strawberry-graphql", "sqlalchemy", "asyncpg")
    return ", ".join(f"{name} {metadata.version(name)}" for name in names)


def measure(options: Options) -> Iterator[Table]:
    """Load collectors on both kinds of databases, then fill one and ask its page."""
    from tests.support.postgres import running_postgres

    speed = Table(
        "collector",
        "A collector's throughput",
        ("one worker", "a second", "target", "", "p50 ms", "p99 ms at half the target", "", "MiB"),
        f"{CONNECTIONS} connections for {SECONDS:.0f} s from one process on the same machine, the"
        f" best of {TURNS} turns; every answer comes after its commit.",
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
            _speed(speed, name, url)
        yield speed
        for workers in (1, 2):
            with _collector(postgres.new_database(), "--workers", str(workers)) as collector:
                rates = [_best_rate(collector, kind) for kind in (GRAPHQL, REST)]
            growth.add(str(workers), *(f"{rate:,.0f}" for rate in rates))
        yield growth
        yield _many(options.rows, folder, postgres.new_database)


def _speed(table: Table, name: str, url: str) -> None:
    for kind, target in TARGETS.items():
        with _collector(url) as collector:
            _load(collector, kind, 1.0)
            full = max(
                (_load(collector, kind, SECONDS) for _ in range(TURNS)), key=lambda load: load.rate
            )
            half = min(
                (_load(collector, kind, SECONDS, rate=target / 2) for _ in range(TURNS)),
                key=lambda load: load.p99,
            )
            memory = collector.memory()
        table.add(
            f"{kind}, {name}",
            f"{full.rate:,.0f}",
            f"≥ {target:,}",
            "over" if full.rate < target or full.failures else "ok",
            ms(full.p50),
            ms(half.p99),
            "over" if half.p99 > P99_TARGET or half.failures else "ok",
            mib(memory) + (" over" if memory > MEMORY_TARGET else ""),
        )


def _best_rate(collector: _Collector, kind: str) -> float:
    return max(_load(collector, kind, SECONDS).rate for _ in range(TURNS))


def _many(rows: int, folder: str, new_database: Callable[[], str]) -> Table:
    table = Table(
        "collector",
        f"A collector over {rows:,} breadcrumbs",
        (
            "database",
            "empty, a second",
            "filled, a second",
            "target",
            "",
            "slowest page query ms",
            "all of a page ms",
            "target",
            "",
        ),
        f"{REST}. The page's queries are those of `reports`, over a year of one project with all"
        " of the breadcrumbs; the median of five.",
    )
    for name in ("SQLite", "PostgreSQL"):
        urls = [
            f"sqlite:///{folder}/{state}.sqlite" if name == "SQLite" else new_database()
            for state in ("empty", "filled")
        ]
        asyncio.run(_fill(urls[1], rows))
        rates = []
        for url in urls:
            with _collector(url) as collector:
                _load(collector, REST, 2.0)
                rates.append(_best_rate(collector, REST))
        slowest, whole = asyncio.run(_ask(urls[1]))
        slower = 1 - rates[1] / rates[0]
        table.add(
            name,
            f"{rates[0]:,.0f}",
            f"{rates[1]:,.0f}",
            f"{-SLOWER_TARGET:.0%}",
            "over" if slower > SLOWER_TARGET else "ok",
            ms(slowest),
            ms(whole),
            f"≤ {ms(PAGE_TARGET)}",
            "over" if whole > PAGE_TARGET else "ok",
        )
    return table


async def _fill(url: str, rows: int) -> None:
    """Put breadcrumbs of a year into a database, by its own SQL, and count them."""
    from sqlalchemy import text

    from migas.collector.rebuild import rebuild
    from migas.collector.storage import Storage

    first = int(time.time()) - 365 * 86400
    async with Storage.open(url) as storage:
        await storage.register([PROJECT])
        sqlite = url.startswith("sqlite")
        for start in range(0, rows, STEP):
            sql = _insert(sqlite, start, min(start + STEP, rows) - 1, rows, first)
            async with storage.writing() as connection:
                await connection.exec_driver_sql(sql)
        async with storage.writing() as connection:
            await connection.run_sync(rebuild)
        async with storage.reading() as connection:
            await connection.execute(text("ANALYZE"))


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


async def _ask(url: str) -> tuple[float, float]:
    """The slowest of a page's queries and all of them together, in seconds."""
    from migas.collector.reports import Period
    from migas.collector.storage import Storage

    period = Period.weeks(52)
    async with Storage.open(url) as storage:
        reports = storage.reports
        questions: list[Callable[[], Any]] = [
            lambda: reports.sessions(PROJECT, period, "week"),
            lambda: reports.usage(PROJECT, period),
            lambda: reports.errors(PROJECT, period),
            lambda: reports.users(PROJECT, period),
            lambda: reports.lost_runs(PROJECT, period),
            *(
                lambda facet=facet: reports.shares(PROJECT, period, facet)
                for facet in ("platform", "container", "language", "ci")
            ),
        ]
        rounds = []
        for _ in range(6):
            took = []
            for question in questions:
                began = time.perf_counter()
                await question()
                took.append(time.perf_counter() - began)
            rounds.append(took)
    # The first round compiled the statements.
    medians = [statistics.median(times) for times in zip(*rounds[1:], strict=True)]
    return max(medians), sum(medians)


class _Collector:
    """A running `migas serve` process and where it listens."""

    def __init__(self, process: Popen[str], port: int) -> None:
        self.process = process
        self.port = port

    def memory(self) -> int:
        """The most memory that one process of it has held, in bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8")
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024


@contextlib.contextmanager
def _collector(url: str, *arguments: str) -> Iterator[_Collector]:
    command = [sys.executable, "-m", "migas", "serve", "--db", url, "--port", "0", "--open"]
    process = Popen([*command, "--rate-limit", "0", *arguments], stdout=PIPE, text=True)
    try:
        assert process.stdout is not None
        address = process.stdout.readline().split()[3]
        yield _Collector(process, int(address.rpartition(":")[2]))
    finally:
        process.terminate()
        process.wait(30)


def _load(collector: _Collector, kind: str, seconds: float, rate: float | None = None) -> Measured:
    """Load a collector from another process: as fast as it answers, or at a rate."""
    task = {"port": collector.port, "kind": kind, "seconds": seconds, "rate": rate}
    command = [sys.executable, "-m", "benchmarks.collector", json.dumps(task)]
    with Popen(command, stdout=PIPE, text=True) as process:
        said, _ = process.communicate(timeout=seconds + 60)
    return Measured(**json.loads(said))


class _Connection(asyncio.Protocol):
    """A kept connection: one request after the other, each after the answer to the last one.

    Args:
        generator: What it belongs to.
    """

    def __init__(self, generator: _Generator) -> None:
        self._generator = generator
        self._began = 0.0
        self._answer = b""
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        """Ask for something to send."""
        self.transport = transport
        self._generator.idle(self)

    def send(self, due: float) -> None:
        """Send a request that was due at a moment."""
        self._began = due
        self.transport.write(self._generator.request())

    def data_received(self, data: bytes) -> None:
        """Count an answer when all of it is here."""
        self._answer += data
        head, found, body = self._answer.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        if len(body) < length:
            return
        self._answer = b""
        is_success = b" 200 " in head[:16] and b'"success":true' in body.replace(b" ", b"")
        self._generator.answered(time.perf_counter() - self._began, is_success)
        self._generator.idle(self)


class _Generator:
    """Keeps connections busy for some time.

    Args:
        port: Where the collector listens.
        kind: Which way in to take.
        seconds: For how long.
        rate: Requests a second; as many as are answered without it.
    """

    def __init__(self, port: int, kind: str, seconds: float, rate: float | None) -> None:
        self._port, self._kind, self._seconds, self._rate = port, kind, seconds, rate
        self._latencies: list[float] = []
        self._failures = 0
        self._end = 0.0
        self._idle: deque[_Connection] = deque()
        self._due: deque[float] = deque()
        self._users = [str(uuid.uuid4()) for _ in range(5000)]
        self._number = 0

    async def run(self) -> Measured:
        """Load the collector, and say what came back."""
        loop = asyncio.get_running_loop()
        began = time.perf_counter()
        self._end = began + self._seconds
        for _ in range(CONNECTIONS):
            await loop.create_connection(lambda: _Connection(self), "127.0.0.1", self._port)
        if self._rate:
            sent = 0
            while time.perf_counter() < self._end:
                await asyncio.sleep(0.002)
                while sent < (time.perf_counter() - began) * self._rate:
                    self._due.append(began + sent / self._rate)
                    sent += 1
                self._dispatch()
        else:
            await asyncio.sleep(self._seconds)
        answered, elapsed = len(self._latencies), time.perf_counter() - began
        await asyncio.sleep(1.0)  # for the answers that are under way
        self._failures += len(self._due)
        self._latencies.sort()
        cuts = statistics.quantiles(self._latencies, n=100)
        return Measured(answered / elapsed, self._failures, cuts[49], cuts[98])

    def idle(self, connection: _Connection) -> None:
        """Take back a connection, and use it again when there is something to send."""
        self._idle.append(connection)
        if self._rate:
            self._dispatch()
        elif time.perf_counter() < self._end:
            self._idle.pop().send(time.perf_counter())

    def _dispatch(self) -> None:
        while self._idle and self._due:
            self._idle.popleft().send(self._due.popleft())

    def answered(self, seconds: float, is_success: bool) -> None:
        """Count an answer."""
        if is_success:
            self._latencies.append(seconds)
        else:
            self._failures += 1

    def request(self) -> bytes:
        """A breadcrumb like those of real runs, of a session of its own."""
        self._number += 1
        who = {
            "session_id": str(uuid.uuid4()),
            "user_id": self._users[self._number % len(self._users)],
            "platform": "Linux-6.1.0-13-amd64-x86_64",
            "container": "docker",
            "is_ci": False,
        }
        how = {"status": "C"}
        if self._number % 10 == 0:
            how = {"status": "F", "error_type": "ValueError", "error_desc": "no such <path>"}
        base = {
            "project": PROJECT,
            "project_version": f"1.{self._number % 5}.0",
            "language": "python",
            "language_version": "3.11.7",
        }
        message: dict[str, Any] = {**base, "ctx": who, "proc": how}
        path = "/api/breadcrumb?wait=true"
        if self._kind == GRAPHQL:
            message = {"query": _QUERY, "variables": {"p": {**base, **who, **how}}}
            path = "/graphql"
        body = json.dumps(message).encode()
        return (
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        ).encode() + body


if __name__ == "__main__":
    import uvloop

    # The load shares the machine with what it measures.
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        found = runner.run(_Generator(**json.loads(sys.argv[1])).run())
    print(json.dumps(found.__dict__))
