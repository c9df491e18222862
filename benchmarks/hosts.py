"""What tracking adds to programs that have loaded much already: click, numpy and asyncio."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.clients import (
    BARE,
    HOSTS,
    SESSION_DETACHED,
    TRACK_DETACHED,
    WRAPT,
    Client,
    missing,
    usable,
)
from benchmarks.harness import Harness
from benchmarks.proof import reporting
from benchmarks.report import COSTS, Table, costs
from tests.support.fault_server import FaultServer

if TYPE_CHECKING:
    from benchmarks.__main__ import Options

TARGET = 0.020
CLIENTS = (TRACK_DETACHED, SESSION_DETACHED)
IMPORTING = Client("import wrapt", WRAPT.environment, "wrapt")


def measure(options: Options) -> list[Table]:
    """Run each program bare, with wrapt imported, and tracked, against a good server."""
    table = Table(
        "hosts",
        "In larger programs",
        ("added to a program of 50 ms", *COSTS),
        "The target holds over what importing wrapt adds there.",
    )
    for name, reason in missing((BARE,)).items():
        table.add(name, reason)
    if not usable((BARE,)):
        return [table]
    with Harness() as harness, FaultServer() as server:
        for host in HOSTS:
            if host == "plain":
                continue
            programs = [
                client.program(server.url, host=host) for client in (BARE, IMPORTING, *CLIENTS)
            ]
            with reporting(harness, CLIENTS, host):
                series = harness.compare(programs, rounds=options.rounds, budget=options.budget)
            bare, importing = series[BARE.name], series[IMPORTING.name]
            table.add(f"{host}: import wrapt", *costs(importing, bare))
            for client in CLIENTS:
                of = series[client.name]
                table.add(f"{host}: {client.name}", *costs(of, bare))
                table.add(f"{host}: {client.name}, over wrapt", *costs(of, importing, TARGET))
    return [table]
