"""What a session's open and close cost inside a program that is already running."""

from __future__ import annotations

import json
import os
import statistics
from typing import TYPE_CHECKING

from benchmarks.clients import RELEASED_TRACK_EXIT, SENTRY_MONITOR, SESSION, Client
from benchmarks.harness import Harness, Program
from benchmarks.report import Table, us, verdict
from migas.spool import MAX_FILES
from tests.support.fault_server import FaultServer

if TYPE_CHECKING:
    from benchmarks.__main__ import Options

TARGET = 300e-6

_FILE_ALONE = "its file alone"
# What of it is the file system's: a file of that size is made, renamed, written over, renamed.
_FILE_OPENING = """
state, number = os.environ["HOME"], 0
for folder in ("open", "ready"):
    os.mkdir(os.path.join(state, folder))
def write(path, flags):
    descriptor = os.open(path, flags, 0o600)
    os.write(descriptor, b"x" * 560)
    os.close(descriptor)
def move():
    global number
    number += 1
    draft, opened = f"{state}/ready/.{number}", f"{state}/open/{number}"
    write(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    os.rename(draft, opened)
    write(opened, os.O_RDWR)
    os.rename(opened, f"{state}/ready/{number}")
"""

_LOOP = """
import json, os, time
URL = os.environ["BENCHMARK_URL"]
{opening}
def once():
    {body}
for _ in range({before}):
    once()
cpu, walls = time.process_time(), []
for _ in range({count}):
    start = time.perf_counter()
    once()
    walls.append(time.perf_counter() - start)
cpu = time.process_time() - cpu
with open(os.path.join(os.environ["HOME"], "result.json"), "w") as file:
    json.dump([walls, cpu], file)
"""


def measure(options: Options) -> list[Table]:
    """Time loops of sessions, and what other clients do for one breadcrumb."""
    table = Table(
        "sessions",
        "A session's open and close",
        ("in a running program", "median µs", "best µs", "mean CPU µs", "arrived", "target", ""),
        "The spool lies on the disk of the temporary directory; its file alone is what the file"
        " system takes of that. One without a journal looks for long where a new file may lie when"
        " many were removed in the last minutes. Other clients send no such pair: the released"
        " migas waits for the server at each breadcrumb, sentry-sdk queues.",
    )
    session = "with migas.session('owner/repo', '1.0'): pass"
    opening = f"import migas\n{SESSION.opening}"
    spool = SESSION.with_settings("migas.session, spool", MIGAS_DELIVERY="spool")
    crowd = spool.with_settings(f"migas.session, spool, {MAX_FILES:,} files wait")
    detached = SESSION.with_settings("migas.session, detached", MIGAS_DELIVERY="detached")
    breadcrumb = "migas.add_breadcrumb('owner/repo', '1.0', status='C')"
    released = "import migas\nmigas.setup(endpoint=URL + '/graphql')"
    monitor = "with sentry_sdk.monitor(monitor_slug='main'): pass"
    with Harness() as harness, FaultServer() as server:
        for client, lines, body, before, count in (
            (_named(SESSION, _FILE_ALONE), _FILE_OPENING, "move()", 20, 1000),
            (spool, opening, session, 20, 1000),
            (crowd, opening, session, MAX_FILES, 1000),
            (detached, opening, session, 20, 1000),
            (_named(RELEASED_TRACK_EXIT, "migas 0.4.0 breadcrumb"), released, breadcrumb, 20, 200),
            (
                _named(SENTRY_MONITOR, "sentry-sdk monitor"),
                f"import sentry_sdk\n{SENTRY_MONITOR.opening}",
                monitor,
                20,
                200,
            ),
        ):
            is_ours = client.environment is SESSION.environment and client.name != _FILE_ALONE
            target = TARGET if is_ours else None
            source = _LOOP.format(opening=lines, body=body, before=before, count=count)
            settings = {"BENCHMARK_URL": server.url, **client.settings}
            program = Program(client.name, client.environment.python, source, settings)
            server.clear()
            table.add(client.name, *_times(harness, server, client, program, target))
    return [table]


def _times(
    harness: Harness, server: FaultServer, client: Client, program: Program, target: float | None
) -> tuple[str, ...]:
    if client.environment.problem:
        return (f"skipped: {client.environment.problem}",)
    home = harness.folder()
    sample = harness.run(program, state=home, timeout=120.0)
    if sample.status:
        return (f"exit {sample.status}",)
    with open(os.path.join(home, "result.json"), encoding="utf-8") as file:
        walls, cpu = json.load(file)
    median, best = statistics.median(walls), min(walls)
    ours = client.environment is SESSION.environment
    if ours:
        arguments = ("-m", "migas", "flush", "--timeout", "60")
        flush = Program("flush", client.environment.python, arguments, program.settings)
        harness.run(flush, state=home, timeout=120.0)
    # Only breadcrumbs are counted: sentry-sdk puts many things into one request.
    arrived = f"{len(server.breadcrumbs):,}" if ours or server.breadcrumbs else ""
    judged = ("", "") if target is None else (f"≤ {us(target)}", verdict(target, median, best))
    return (us(median), us(best), us(cpu / len(walls)), arrived, *judged)


def _named(client: Client, name: str) -> Client:
    return client.with_settings(name)
