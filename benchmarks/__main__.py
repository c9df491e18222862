"""`python -m benchmarks [TABLE ...]`: measure, print the tables, write them to `results.md`."""

from __future__ import annotations

import argparse
import importlib
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks import report
from benchmarks.environments import ENVIRONMENTS, ROOT

if TYPE_CHECKING:
    from benchmarks.report import Table

TABLES = {
    "startup": "importing, decorating and calling",
    "endings": "what a program's end costs, by the manner of the server",
    "hosts": "the same in programs that have click, or numpy and asyncio, loaded",
    "back-to-back": "many runs in a row on one CPU, and what their couriers cost",
    "sessions": "a session's open and close inside a program",
    "drain": "sending what has piled up, next to a bare urllib3 loop",
    "collector": "a collector under load, and over many breadcrumbs",
}


@dataclass(frozen=True)
class Options:
    """How much to measure.

    Args:
        rounds: How often each program runs.
        budget: Seconds that one comparison may take, about.
        breadcrumbs: How many are drained.
        rows: How many a collector's database is filled with.
    """

    rounds: int
    budget: float
    breadcrumbs: int
    rows: int = 200_000


def main(arguments: list[str] | None = None) -> int:
    """Measure what was asked for; the status is 1 for a missed target, 2 for a failed table."""
    listing = "\n".join(f"  {name:<14}{text}" for name, text in TABLES.items())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=f"Tables:\n{listing}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("table", nargs="*", help="which tables; all without any")
    parser.add_argument("--rounds", type=int, default=9, help="runs of each program (9)")
    parser.add_argument("--budget", type=float, default=40.0, help="seconds a comparison (40)")
    parser.add_argument("--breadcrumbs", type=int, default=5000, help="to be drained (5,000)")
    parser.add_argument("--rows", type=int, default=200_000, help="in a collector (200,000)")
    parser.add_argument("--output", default=report.RESULTS, help="where the tables are written")
    options = parser.parse_args(arguments)
    for name in options.table:
        if name not in TABLES:
            parser.error(f"no such table: {name}")
    measured: list[Table] = []
    failed = False
    chosen = Options(options.rounds, options.budget, options.breadcrumbs, options.rows)
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
            # After every table: what was measured survives an interruption.
            versions = module.versions() if hasattr(module, "versions") else _versions()
            report.write([table], versions, options.output)
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
