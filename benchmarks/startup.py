"""What importing costs, and what a program pays that is opted out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.clients import BARE, FORMS, RIVALS, SESSION, Client, bare_twin, missing, usable
from benchmarks.harness import Harness, Program
from benchmarks.report import COSTS, Table, costs

if TYPE_CHECKING:
    from benchmarks.__main__ import Options

IMPORT_TARGET = 0.003
OPTED_OUT_TARGET = 0.004
OPTED_OUT = tuple(
    client.with_settings(f"`{client.name}`, opted out", MIGAS_OPTOUT="1") for client in FORMS
)


def measure(options: Options) -> list[Table]:
    """Run the programs, which need no server, and fill the table."""
    table = Table("startup", "Importing, and opting out", ("over bare Python", *COSTS))
    with Harness() as harness:
        _import(table, harness, options)
        _opt_out(table, harness, options)
    for name, reason in missing((SESSION, *RIVALS)).items():
        table.add(name, reason)
    return [table]


def _import(table: Table, harness: Harness, options: Options) -> None:
    clients = usable((SESSION, *RIVALS))
    programs = []
    for client in clients:
        python = client.environment.python
        programs.append(Program(client.name, python, f"import {client.module}\n"))
        programs.append(Program(bare_twin(client).name, python, "pass\n"))
    series = harness.compare(programs, rounds=options.rounds * 2, budget=options.budget)
    for client in clients:
        target = IMPORT_TARGET if client is SESSION else None
        version = "this migas" if client is SESSION else _version(client)
        of, bare = series[client.name], series[bare_twin(client).name]
        table.add(f"import {version}", *costs(of, bare, target))


def _opt_out(table: Table, harness: Harness, options: Options) -> None:
    clients = usable((BARE, *OPTED_OUT))
    # Nobody listens there, and nobody is asked.
    programs = [client.program("http://127.0.0.1:9") for client in clients]
    series = harness.compare(programs, rounds=options.rounds * 2, budget=options.budget)
    for client in clients:
        if client is not BARE:
            taken = costs(series[client.name], series[BARE.name], OPTED_OUT_TARGET)
            table.add(f"{client.name}, 50 ms of work", *taken)


def _version(client: Client) -> str:
    package = client.module.replace("_", "-")
    return f"{package} {client.environment.versions.get(package, '')}".strip()
