"""Programs and their couriers on one CPU, where a courier that warms up cannot hide on another."""

from __future__ import annotations

import json
import os
import statistics
import time
from typing import TYPE_CHECKING

from benchmarks.clients import BARE, SESSION, missing
from benchmarks.harness import CONTAINER, Harness, Program
from benchmarks.ratios import LONG, SHORT, compared
from benchmarks.report import Table, ms, verdict
from tests.support.fault_server import FaultServer

if TYPE_CHECKING:
    from benchmarks.__main__ import Options

PRICE_TARGET = 0.02

_BUSY = """
import json, os, time
URL = os.environ["BENCHMARK_URL"]
{opening}
def main():
    {block}
        start = time.perf_counter()
        for _ in range({turns}):
            sum(range(10_000))
        took = time.perf_counter() - start
    with open(os.path.join(os.environ["HOME"], "took"), "w") as file:
        json.dump(took, file)
main()
"""


def measure(options: Options) -> list[Table]:
    """Compare both forms with the released migas, then price the courier that warms up."""
    cpu = min(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    tables = compared("one-cpu", "On one CPU", (SHORT, LONG), options, cpu)
    return [*tables, _price(options, cpu)]


def _price(options: Options, cpu: int | None) -> Table:
    table = Table(
        "one-cpu",
        "A warm courier beside a program that computes for 1 s",
        ("container, one CPU", "work ms", "price", "target", "", "whole program ms"),
        "The price is what the work itself takes more than in a session that sends nothing.",
    )
    for name, reason in missing((BARE,)).items():
        table.add(name, reason)
        return table
    idle = SESSION.with_settings("session, spool", MIGAS_DELIVERY="spool")
    opening = f"import migas\n{SESSION.opening}"
    turns = _turns_a_second()
    with Harness(CONTAINER, cpu=cpu) as harness, FaultServer() as server:
        programs = [
            Program(
                client.name,
                client.environment.python,
                _BUSY.format(
                    opening=opening if client.block else "",
                    block=client.block or "if True:",
                    turns=turns,
                ),
                {"BENCHMARK_URL": server.url, **client.settings},
            )
            for client in (BARE, idle, SESSION)
        ]
        worked: dict[str, list[float]] = {program.name: [] for program in programs}
        walls: dict[str, list[float]] = {program.name: [] for program in programs}
        for _ in range(options.rounds):
            for program in programs:
                home = harness.folder()
                walls[program.name].append(harness.run(program, state=home).wall)
                with open(os.path.join(home, "took"), encoding="utf-8") as file:
                    worked[program.name].append(json.load(file))
    pairs = zip(worked[SESSION.name], worked[idle.name], strict=True)
    price = statistics.median(mine / its - 1 for mine, its in pairs)
    judged = (f"{price:.1%}", f"≤ {PRICE_TARGET:.0%}", verdict(PRICE_TARGET, price))
    for name, took in worked.items():
        cells = judged if name == SESSION.name else ("", "", "")
        table.add(name, ms(statistics.median(took)), *cells, ms(statistics.median(walls[name])))
    return table


def _turns_a_second() -> int:
    took = []
    for _ in range(5):
        start = time.perf_counter()
        for _ in range(200):
            sum(range(10_000))
        took.append(time.perf_counter() - start)
    return round(200 / min(took))
