"""The first table: what tracking adds to a program, over what the released migas adds, by default.

Everything is as `auto` decides in two worlds: on an ordinary host, and in a container.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.clients import (
    BARE,
    FORMS,
    RELEASED_TRACK_EXIT,
    SESSION,
    TRACK,
    WORK,
    Client,
    bare_twin,
    missing,
)
from benchmarks.harness import WORLDS, Harness, Series
from benchmarks.proof import reporting
from benchmarks.report import Table, mib, ms, verdict
from tests.support.fault_server import FaultServer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.__main__ import Options

DECORATOR_TARGET = 0.008
"""Seconds that a decorator may take more than a session."""


@dataclass(frozen=True)
class Cell:
    """A kind of program.

    Args:
        name: What the tables call it.
        work: What its function does.
        targets: For each of the worlds, the most that we may add over what the released one adds.
        manner: That of the server.
        host: What else the program is made of.
    """

    name: str
    work: str
    targets: tuple[float, float]
    manner: str = "ok"
    host: str = "plain"

    def target(self, world: str) -> float:
        """The target in a world."""
        return self.targets[WORLDS.index(world)]


SHORT = Cell("50 ms of work", WORK, (0.40, 1.0))
LONG = Cell("1 s of work", "time.sleep(1)", (0.40, 0.5))
CELLS = (SHORT, LONG, Cell("1 s, server takes 300 ms", LONG.work, (0.14, 0.85), "300ms"))


def measure(options: Options) -> list[Table]:
    """Compare both forms with the released migas."""
    return compared("ratios", "What tracking adds, over what migas 0.4.0 adds", CELLS, options)


def compared(
    name: str, title: str, cells: Sequence[Cell], options: Options, cpu: int | None = None
) -> list[Table]:
    """Two tables: the ratios, and what they are made of.

    Args:
        name: What the command line calls them.
        title: The first one's heading.
        cells: The programs.
        options: How much to measure.
        cpu: The one CPU of the programs and their couriers, if it is one.
    """
    ratios = Table(
        name,
        title,
        ("wall time added, as a ratio", *(cell.name for cell in cells)),
        "Below 1 we are ahead. Medians of what each run took more than the bare run of the same"
        " round; everything at its default, a healthy server.",
    )
    details = Table(
        name,
        f"{title}: in figures",
        (
            "added to a program",
            "wall ms",
            "0.4.0's",
            "ahead",
            "over the session",
            "",
            "CPU ms",
            "0.4.0's",
            "peak MiB",
            "0.4.0's",
        ),
        "CPU is that of the program and its courier, peak memory that of the larger of the two."
        f" The decorator may take {ms(DECORATOR_TARGET)} ms more than the session.",
    )
    absent = missing((BARE, RELEASED_TRACK_EXIT))
    for name_, reason in absent.items():
        ratios.add(name_, reason)
    for world in () if absent else WORLDS:
        with Harness(world, cpu=cpu) as harness:
            taken = {cell: _taken(harness, cell, options) for cell in cells}
        for form in FORMS:
            ratios.add(
                f"{world}, `{form.name}`",
                *(_ratio(taken[cell], form, cell.target(world)) for cell in cells),
            )
        for cell in cells:
            for form in FORMS:
                details.add(f"{world}, {cell.name}: `{form.name}`", *_figures(taken[cell], form))
    return [ratios, details]


def _taken(harness: Harness, cell: Cell, options: Options) -> dict[str, Series]:
    # Programs that are compared follow one another: the less time between them, the less noise.
    clients = (SESSION, TRACK, BARE, bare_twin(RELEASED_TRACK_EXIT), RELEASED_TRACK_EXIT)
    with (
        reporting(harness, (*FORMS, RELEASED_TRACK_EXIT), cell.host),
        FaultServer(cell.manner) as server,
    ):
        return harness.compare(
            [client.program(server.url, host=cell.host, work=cell.work) for client in clients],
            rounds=options.rounds,
            budget=options.budget,
        )


def _ratio(series: dict[str, Series], form: Client, target: float) -> str:
    of, theirs = series[form.name], series[RELEASED_TRACK_EXIT.name]
    if failures := of.failures or theirs.failures:
        return f"exit {failures[0]}"
    ratio = of.added(series[BARE.name]) / _released(series, "wall")
    return f"{ratio:.2f} ≤ {target:.2f} {verdict(target, ratio)}"


def _figures(series: dict[str, Series], form: Client) -> tuple[str, ...]:
    of, bare = series[form.name], series[BARE.name]
    wall, theirs = of.added(bare), _released(series, "wall")
    over = of.added(series[SESSION.name])
    return (
        ms(wall),
        ms(theirs),
        "ours" if wall < theirs else "0.4.0",
        "" if form is SESSION else ms(over),
        "" if form is SESSION else verdict(DECORATOR_TARGET, over),
        ms(of.added(bare, "all_cpu")),
        ms(_released(series, "all_cpu")),
        mib(of.added(bare, "all_memory")),
        mib(_released(series, "all_memory")),
    )


def _released(series: dict[str, Series], what: str) -> float:
    bare = series[bare_twin(RELEASED_TRACK_EXIT).name]
    return series[RELEASED_TRACK_EXIT.name].added(bare, what)
