"""The end of a program beside other clients' ends, by the manner of the server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.clients import BARE, RIVALS, SESSION, bare_twin, missing, usable
from benchmarks.harness import ORDINARY, WORLDS, Harness, Series
from benchmarks.proof import reporting
from benchmarks.report import Table, ms
from tests.support.fault_server import FaultServer

if TYPE_CHECKING:
    from benchmarks.__main__ import Options
    from benchmarks.clients import Client

MANNERS = ("ok", "300ms", "2s", "refused", "dropped", "silent", "drip")
TIMEOUT = 10.0
"""Seconds after which a program that still hangs at its end is killed."""


def measure(options: Options) -> list[Table]:
    """Run a session in both worlds, and each of the others, which know no worlds, in one."""
    table = Table(
        "rivals",
        "The end of a program, side by side",
        (
            "wall ms added to a program of 50 ms",
            *(f"{SESSION.name}, {world}" for world in WORLDS),
            *(client.name for client in RIVALS),
        ),
        "Median over the bare program, by the manner of the server. "
        f"Programs are killed after {TIMEOUT:.0f} s (`>`).",
    )
    absent = missing((SESSION, *RIVALS))
    rows: dict[str, list[str]] = {manner: [] for manner in MANNERS}
    for world in WORLDS:
        clients = (SESSION, *(RIVALS if world != ORDINARY else ()))
        with Harness(world) as harness, reporting(harness, usable(clients)):
            for manner in MANNERS:
                for client in clients:
                    cell = "skipped"
                    if client.name not in absent:
                        cell = _added(harness, client, manner, options)
                    rows[manner].append(cell)
    for manner, cells in rows.items():
        table.add(manner, *cells)
    for name, reason in absent.items():
        table.note += f" {name} is {reason}."
    return [table]


def _added(harness: Harness, client: Client, manner: str, options: Options) -> str:
    bare = BARE if client is SESSION else bare_twin(client)
    with FaultServer(manner) as server:
        series: dict[str, Series] = harness.compare(
            [one.program(server.url) for one in (client, bare)],
            rounds=options.rounds,
            budget=options.budget / 6,
            timeout=TIMEOUT,
            grace=5.0 if manner == "ok" else 0.05,
        )
    of = series[client.name]
    if -9 in of.failures:
        return f"> {ms(TIMEOUT)}"
    return f"exit {of.failures[0]}" if of.failures else ms(of.added(series[bare.name]))
