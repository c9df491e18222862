"""The first table: what importing, decorating and calling cost, before any server matters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.clients import (
    BARE,
    POSTHOG_CAPTURE,
    RELEASED_TRACK_EXIT,
    SENTRY_MONITOR,
    SESSION_DETACHED,
    TRACK_DETACHED,
    WRAPT,
    WRAPT_117,
    Client,
    bare_twin,
    missing,
    usable,
)
from benchmarks.harness import Harness, Program
from benchmarks.proof import reporting
from benchmarks.report import COSTS, Table, costs
from tests.support.fault_server import FaultServer

if TYPE_CHECKING:
    from benchmarks.__main__ import Options

CLIENTS = (
    TRACK_DETACHED,
    SESSION_DETACHED,
    WRAPT,
    WRAPT_117,
    RELEASED_TRACK_EXIT,
    SENTRY_MONITOR,
    POSTHOG_CAPTURE,
)
REPORTING = tuple(client for client in CLIENTS if client not in (WRAPT, WRAPT_117))
IMPORT_TARGET = 0.005
DECORATOR_TARGET = 0.025
SESSION_TARGET = 0.050
OPTED_OUT_TARGET = 0.005

OPTED_OUT = (
    TRACK_DETACHED.with_settings("@migas.track, opted out", MIGAS_OPTOUT="1"),
    SESSION_DETACHED.with_settings("with migas.session, opted out", MIGAS_OPTOUT="1"),
)


def measure(options: Options) -> list[Table]:
    """Run the programs against a good server and fill the tables."""
    with Harness() as harness, FaultServer() as server:
        return [_imports(harness, options), _uses(harness, server.url, options)]


def _imports(harness: Harness, options: Options) -> Table:
    table = Table(
        "startup",
        "Importing",
        ("import, over bare Python", *COSTS),
    )
    clients = tuple(client for client in CLIENTS if client is not SESSION_DETACHED)
    programs = []
    for client in usable((BARE, *clients)):
        source = f"import {client.module}\n" if client.module else "pass\n"
        programs.append(Program(client.name, client.environment.python, source))
        if client is not BARE:
            programs.append(Program(bare_twin(client).name, client.environment.python, "pass\n"))
    series = harness.compare(programs, rounds=options.rounds * 2, budget=options.budget)
    for client in usable(clients):
        of, bare = series[client.name], series[bare_twin(client).name]
        target = IMPORT_TARGET if client is TRACK_DETACHED else None
        name = {TRACK_DETACHED.name: "migas", WRAPT.name: _version(client)}.get(client.name)
        table.add(name or _version(client), *costs(of, bare, target))
    for name, reason in missing(clients).items():
        table.add(name, reason)
    return table


def _uses(harness: Harness, url: str, options: Options) -> Table:
    table = Table(
        "startup",
        "Decorating and calling",
        ("a program of 50 ms", *COSTS),
        "Against a good server, over the bare program if nothing else is said. *Decorated* programs"
        " set the client up and decorate a function that they never call; *called* ones call it.",
    )
    importing = Client("import wrapt", WRAPT.environment, "wrapt")
    programs: list[Program] = []
    clients = usable((BARE, importing, *CLIENTS, *OPTED_OUT))
    for client in clients:
        programs.append(client.program(url))
        if client.environment is not BARE.environment:
            programs.append(bare_twin(client).program())
        if client.decorator:
            idle = client.with_settings(_idle(client))
            programs.append(idle.program(url, called=False))
    # A decorated function that is not called does not sleep either: its own baseline.
    programs += [one.program(called=False) for one in usable((BARE.with_settings("idle"),))]
    with reporting(harness, usable(REPORTING)):
        series = harness.compare(programs, rounds=options.rounds, budget=options.budget * 2)
    for client in clients:
        if client in (BARE, importing):
            continue
        own = series.get(bare_twin(client).name) or series[BARE.name]
        if client.decorator and "idle" in series:
            table.add(_idle(client), *costs(series[_idle(client)], series["idle"]))
        target = {
            SESSION_DETACHED.name: SESSION_TARGET,
            **{one.name: OPTED_OUT_TARGET for one in OPTED_OUT},
        }.get(client.name)
        table.add(f"{client.name}, called", *costs(series[client.name], own, target))
        if client is TRACK_DETACHED:
            over = costs(series[client.name], series[importing.name], DECORATOR_TARGET)
            table.add(f"{client.name}, called, over importing wrapt", *over)
    for name, reason in missing(CLIENTS).items():
        table.add(name, reason)
    return table


def _idle(client: Client) -> str:
    return f"{client.name}, decorated"


def _version(client: Client) -> str:
    package = client.module.replace("_", "-")
    return f"{package} {client.environment.versions.get(package, '')}".strip()
