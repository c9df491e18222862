"""Tables as Markdown, on the terminal and in `results.md`, and the verdicts on the targets."""

from __future__ import annotations

import os
import platform
import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.harness import Series

RESULTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "results.md")

_TITLE = "# What a tracked program costs"
_PREFACE = """\
All of it anew, on a machine that does nothing else (about two hours):

    python -m benchmarks --rows 10000000

`python -m benchmarks TABLE …` replaces the sections of some tables, and `--quick` measures a table
within three minutes and writes nothing. Programs take turns and each run is compared with the bare
run of the same round, in the same virtual environment. *Median* is the median of these differences,
*best* the best run less the best bare run: on a busy machine the truth lies nearer to the best. CPU
is user and system time of the program and what it waited for. A target is met (`ok`) by the median;
`ok at best` says that only the best run met it. Each section ends with how busy the machine was:
under a load above its CPUs only ratios mean something, and they little.
"""


@dataclass
class Table:
    """One table.

    Args:
        name: What the command line calls it.
        title: Its heading.
        columns: The heads of its columns.
        note: A paragraph above it.
        rows: The cells, as text.
    """

    name: str
    title: str
    columns: tuple[str, ...]
    note: str = ""
    rows: list[tuple[str, ...]] = field(default_factory=list)

    def add(self, *cells: str) -> None:
        """Append a row; cells left out are empty."""
        self.rows.append(cells + ("",) * (len(self.columns) - len(cells)))

    def markdown(self) -> str:
        """The table with its heading and note."""
        lines = [self.columns, *self.rows]
        widths = [max(len(line[n]) for line in lines) for n in range(len(self.columns))]
        # The first column names things, the others hold figures.
        rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
        text = [f"## {self.title}", ""]
        if self.note:
            text += [self.note, ""]
        for line in (self.columns, rule, *self.rows):
            cells = [
                cell.ljust(width) if n == 0 else cell.rjust(width)
                for n, (cell, width) in enumerate(zip(line, widths, strict=True))
            ]
            text.append(f"| {' | '.join(cells)} |")
        return "\n".join(text) + "\n"


def ms(seconds: float) -> str:
    """Seconds as milliseconds."""
    value = seconds * 1000
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}"


def us(seconds: float) -> str:
    """Seconds as microseconds."""
    return f"{seconds * 1e6:,.1f}"


def mib(size: float) -> str:
    """Bytes as MiB."""
    return f"{size / 2**20:.1f}"


COSTS = ("median ms", "best ms", "CPU ms", "peak MiB", "target", "")
"""The heads above `costs`."""


def costs(of: Series, bare: Series, target: float | None = None) -> tuple[str, ...]:
    """What a program costs over another one, and whether that is within `target` seconds."""
    if len(of.failures) == len(of.samples):
        # A program that did not work has no cost.
        return ("", "", "", "", "", f"exit {of.failures[0]}")
    median, best = of.added(bare), of.added_at_best(bare)
    judged = "" if target is None else verdict(target, median, best)
    return (
        ms(median),
        ms(best),
        ms(of.added(bare, "cpu")),
        mib(of.added(bare, "memory")),
        "" if target is None else f"≤ {ms(target)}",
        f"exit {of.failures[0]}" if of.failures else judged,
    )


def verdict(target: float, median: float, best: float | None = None) -> str:
    """Whether a cost stays within its target: `ok`, `ok at best` or `over`."""
    if median <= target:
        return "ok"
    return "ok at best" if best is not None and best <= target else "over"


def machine() -> str:
    """The machine, the system and the Python, in a line."""
    model = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            model = next((m[1] for m in re.finditer(r"model name\s*: (.*)", file.read())), model)
    except OSError:
        pass
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return (
        f"{model}, {os.cpu_count()} CPUs{load}; {platform.system()} {platform.release()}; "
        f"{platform.python_implementation()} {platform.python_version()}"
    )


def begin(path: str) -> None:
    """Forget what was measured before."""
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join([_TITLE + "\n", _PREFACE]))


def write(table: Table, versions: str, path: str) -> None:
    """Put a table into the results, in place of its former self."""
    sections = _sections(path)
    day = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    sections[table.title] = f"{table.markdown()}\n<sub>{day}; {machine()}; {versions}</sub>\n"
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join([_TITLE + "\n", _PREFACE, *sections.values()]))


def _sections(path: str) -> dict[str, str]:
    try:
        with open(path, encoding="utf-8") as file:
            parts = re.split(r"^## ", file.read(), flags=re.MULTILINE)[1:]
    except OSError:
        return {}
    return {part.partition("\n")[0]: f"## {part.rstrip()}\n" for part in parts}
