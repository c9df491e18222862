"""`python -m benchmarks [TABLE ...]`: measure, print the tables, write them to `results.md`."""

from __future__ import annotations

import argparse
import importlib
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from benchmarks import report
from benchmarks.environments import ENVIRONMENTS, ROOT

if TYPE_CHECKING:
    from benchmarks.report import Table

TABLES = {
    "ratios": "what tracking adds, over what migas 0.4.0 adds, on a host and in a container",
    "hosts": "the same in programs that have click, or numpy and asyncio, loaded",
    "one-cpu": "the same on one CPU, and the price of a courier that warms up there",
    "startup": "importing, and opting out",
    "sessions": "a session's open and close inside a program",
    "manners": "what a program's end costs, by the manner of the server",
    "rivals": "the same beside other clients",
    "back-to-back": "many runs in a row on one CPU, and what their couriers cost",
    "drain": "sending what has piled up, next to a bare urllib3 loop",
    "collector": "a collector under load",
    "rows": "a collector over many breadcrumbs",
}


@dataclass(frozen=True)
class Options:
    """How much to measure.

    Args:
        rounds: How often each program runs.
        budget: Seconds that one comparison may take, about.
        breadcrumbs: How many are drained.
        rows: How many a collector's database is filled with.
        turns: How often a collector is loaded.
    """

    rounds: int = 9
    budget: float = 60.0
    breadcrumbs: int = 5000
    rows: int = 200_000
    turns: int = 3


QUICK = Options(rounds=3, budget=8.0, breadcrumbs=1000, rows=50_000, turns=1)
"""Each table within three minutes: enough to see where a change leads, not to publish."""


def main(arguments: list[str] | None = None) -> int:
    """Measure what was asked for; the status is 1 for a missed target, 2 for a failed table."""
    listing = "\n".join(f"  {name:<14}{text}" for name, text in TABLES.items())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=f"Tables:\n{listing}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("table", nargs="*", help="which tables; all without any")
    parser.add_argument("--quick", action="store_true", help="a table within three minutes")
    parser.add_argument("--rounds", type=int, help="runs of each program (9)")
    parser.add_argument("--rows", type=int, help="in a collector (200,000)")
    parser.add_argument("--output", help="where to write the tables (results.md, unless quick)")
    options = parser.parse_args(arguments)
    said = {name: getattr(options, name) for name in ("rounds", "rows") if getattr(options, name)}
    chosen = replace(QUICK if options.quick else Options(), **said)
    for name in options.table:
        if name not in TABLES:
            parser.error(f"no such table: {name}")
    output = options.output or ("" if options.quick else report.RESULTS)
    if output and not options.table:
        report.begin(output)
    measured: list[Table] = []
    failed = False
    for name in options.table or TABLES:
        module = importlib.import_module(f"benchmarks.{name.replace('-', '_')}")
        start = time.monotonic()
        try:
            tables = module.measure(chosen)
        except RuntimeError as error:
            print(f"{name}: {error}", file=sys.stderr, flush=True)
            failed = True
            continue
        for table in tables:
            print(table.markdown(), flush=True)
            measured.append(table)
            if output:
                # After every table: what was measured survives an interruption.
                versions = module.versions() if hasattr(module, "versions") else _versions()
                report.write(table, versions, output)
        print(f"({name}: {time.monotonic() - start:.0f} s)\n", file=sys.stderr, flush=True)
    return 2 if failed else int(any(_missed(table) for table in measured))


def _missed(table: Table) -> bool:
    return any(cell == "over" or cell.endswith(" over") for row in table.rows for cell in row)


def _versions() -> str:
    """The versions of the clients that were there."""
    wanted = ("wrapt", "urllib3", "migas", "sentry-sdk", "posthog", "click", "numpy")
    found = [f"this tree {_commit()}"]
    for environment in ENVIRONMENTS:
        if not environment.problem:
            found += [
                f"{name} {version}"
                for name, version in environment.versions.items()
                if name in wanted
            ]
    return ", ".join(dict.fromkeys(found))


def _commit() -> str:
    """Which working tree was measured, as far as git knows."""
    command = ["git", "-C", ROOT, "describe", "--always", "--dirty"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:
        return ""


if __name__ == "__main__":
    sys.exit(main())
