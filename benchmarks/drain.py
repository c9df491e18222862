"""Sending what has piled up in the spool, next to a bare urllib3 loop posting the same bodies."""

from __future__ import annotations

import marshal
import os
from typing import TYPE_CHECKING

from benchmarks.clients import SESSION
from benchmarks.harness import Harness, Program
from benchmarks.report import Table, ms
from tests.support.fault_server import FaultServer, Request

if TYPE_CHECKING:
    from benchmarks.__main__ import Options

TARGET = 0.65
ROUNDS = 3

_FILL = """
import os, migas
migas.setup(endpoint=os.environ["BENCHMARK_URL"])
for _ in range({count}):
    with migas.session("owner/repo", "1.0"):
        pass
"""

_BARE_LOOP = """
import marshal, os, urllib3
with open(os.environ["BODIES"], "rb") as file:
    requests = marshal.load(file)
pool = urllib3.HTTPConnectionPool("127.0.0.1", int(os.environ["PORT"]), maxsize=1)
for path, body in requests:
    pool.request("POST", path, body=body, headers={"Content-Type": "application/json"})
"""


def measure(options: Options) -> list[Table]:
    """Fill a spool, flush it, and post what arrived again with urllib3 alone."""
    count = options.breadcrumbs
    table = Table(
        "drain",
        f"Draining {count:,} breadcrumbs",
        ("over keep-alive", "wall ms", "a second", "CPU ms", "stored", "target", ""),
        f"The best of {ROUNDS} turns each, whole processes, imports included. The target is the"
        " rate of the drain over that of the bare loop.",
    )
    environment = SESSION.environment
    if environment.problem:
        table.add("migas flush", f"skipped: {environment.problem}")
        return [table]
    with Harness() as harness, FaultServer() as server:
        settings = {"BENCHMARK_URL": server.url, "MIGAS_DELIVERY": "spool"}
        fill = Program("fill", environment.python, _FILL.format(count=count), settings)
        arguments = ("-m", "migas", "flush", "--timeout", "600")
        flush = Program("migas flush", environment.python, arguments, settings)
        drained, posted = [], []
        stored = 0
        for _ in range(ROUNDS):
            home = harness.folder()
            if status := harness.run(fill, state=home, timeout=600).status:
                table.add("filling the spool", f"exit {status}")
                return [table]
            server.clear()
            drained.append(harness.run(flush, state=home, timeout=900))
            stored = len(server.breadcrumbs)
            loop = _bare_loop(harness, server, environment.python)
            server.clear()
            posted.append(harness.run(loop, timeout=900))
        reposted = len(server.breadcrumbs)
    best, bare = (min(runs, key=lambda sample: sample.wall) for runs in (drained, posted))
    ratio = (stored / best.wall) / (reposted / bare.wall) if reposted else 0.0
    failed = next((f"exit {sample.status}" for sample in drained if sample.status), "")
    verdict = failed or ("ok" if ratio >= TARGET and stored == count else "over")
    table.add(
        "urllib3 loop", ms(bare.wall), _rate(reposted, bare.wall), ms(bare.cpu), f"{reposted}"
    )
    table.add(
        flush.name,
        ms(best.wall),
        _rate(stored, best.wall),
        ms(best.cpu),
        f"{stored}",
        f"≥ {TARGET}",
        f"{ratio:.2f} {verdict}",
    )
    return [table]


def _bare_loop(harness: Harness, server: FaultServer, python: str) -> Program:
    path = os.path.join(harness.folder(), "bodies")
    with open(path, "wb") as file:
        marshal.dump([_reposted(request) for request in server.requests], file)
    return Program("urllib3 loop", python, _BARE_LOOP, {"BODIES": path, "PORT": str(server.port)})


def _reposted(request: Request) -> tuple[str, bytes]:
    return request.path, request.body


def _rate(count: int, seconds: float) -> str:
    return f"{count / seconds:,.0f}"
