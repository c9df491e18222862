"""Many runs in a row on one CPU: couriers cannot hide on another one."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from benchmarks.clients import BARE, SESSION, Client, missing, usable
from benchmarks.harness import Harness
from benchmarks.report import Table, ms
from tests.support.fault_server import FaultServer

if TYPE_CHECKING:
    from benchmarks.__main__ import Options

RUNS = 50
CLIENTS = (
    BARE,
    *(
        SESSION.with_settings(f"session, {delivery}", MIGAS_DELIVERY=delivery)
        for delivery in ("spool", "detached", "inline")
    ),
)


def measure(options: Options) -> list[Table]:
    """Run each kind of program 50 times without a pause, in one home."""
    table = Table(
        "back-to-back",
        f"{RUNS} runs back to back on one CPU",
        (
            "a program of 50 ms",
            "wall ms a run",
            "CPU ms a run",
            "courier's CPU ms a run",
            "ms until all is sent",
            "stored",
        ),
        "One home, one CPU for the programs and their couriers alike, a good server. *Until all is"
        " sent* counts from the last program's end.",
    )
    for name, reason in missing(CLIENTS).items():
        table.add(name, reason)
    for client in usable(CLIENTS):
        table.add(client.name, *_row_of(client))
    return [table]


def _row_of(client: Client) -> tuple[str, ...]:
    cpu = min(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    with Harness(cpu=cpu) as harness, FaultServer() as server:
        program = client.program(server.url)
        home = harness.folder()
        harness.run(program, state=home)
        server.clear()
        start = time.perf_counter()
        # Whoever is left behind goes on running: that is what a row of runs is about.
        samples = [harness.run(program, state=home, grace=None) for _ in range(RUNS)]
        wall = time.perf_counter() - start
        left, *_ = harness.settle(30.0)
        settled = time.perf_counter() - start - wall
        left += sum(sample.left_cpu for sample in samples)
        own = sum(sample.cpu for sample in samples)
        stored = len(server.wait_for_breadcrumbs(0))
    if any(sample.status for sample in samples):
        return (f"exit {samples[0].status}",)
    return (ms(wall / RUNS), ms(own / RUNS), ms(left / RUNS), ms(settled), str(stored))
