"""What the end of a tracked program costs, by the manner of the server that it reports to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.clients import (
    BARE,
    RIVALS,
    SESSION_DETACHED,
    SESSION_INLINE,
    TRACK_DETACHED,
    WRAPT,
    Client,
    bare_twin,
    missing,
    usable,
)
from benchmarks.harness import Harness, Series
from benchmarks.proof import reporting
from benchmarks.report import Table, mib, ms, verdict
from tests.support.fault_server import CERTIFICATES, LATE, MANNERS, FaultServer

if TYPE_CHECKING:
    from benchmarks.__main__ import Options

OURS = (TRACK_DETACHED, SESSION_DETACHED, SESSION_INLINE)
COMMON = ("ok", "300ms", "2s", "refused", "dropped", "silent", "drip")
"""The manners that every client is measured with; the others are for ours alone."""

DETACHED_TARGET = 0.050
DECORATOR_TARGET = 0.025
INLINE_TARGET = 1.2
IMPORTING = Client("import wrapt", WRAPT.environment, "wrapt")
TIMEOUT = 10.0
"""Seconds after which a program that still hangs at its end is killed."""


def measure(options: Options) -> list[Table]:
    """Run the clients against each manner of the server and fill the tables."""
    with Harness() as harness, reporting(harness, usable((*OURS, *RIVALS))):
        series = {manner: _against(harness, manner, options) for manner in _manners()}
    tables = [_beside_others(series), _resources(series), _own(series)]
    if CERTIFICATES.keys() - series.keys():
        tables[-1].note += " Without the package `cryptography` there are no certificates to show."
    return tables


def _manners() -> tuple[str, ...]:
    try:
        import cryptography  # noqa: F401 - asked for, not used here
    except ImportError:
        return tuple(manner for manner in MANNERS if manner not in CERTIFICATES)
    return (*COMMON, *(manner for manner in MANNERS if manner not in COMMON))


def _against(harness: Harness, manner: str, options: Options) -> dict[str, Series]:
    # Programs that are compared follow one another: the less time between them, the less noise.
    ours = usable((IMPORTING, TRACK_DETACHED, SESSION_DETACHED, BARE, SESSION_INLINE))
    rivals = []
    if manner in COMMON:
        for rival in usable(RIVALS):
            rivals += [rival, bare_twin(rival)]
    series: dict[str, Series] = {}
    with FaultServer(manner) as server:
        # On their own, so that a rival that hangs for seconds does not eat our rounds' budget.
        for clients in (ours, rivals):
            trust = {"SSL_CERT_FILE": server.ca_path} if server.tls else {}
            trusting = [client.with_settings(client.name, **trust) for client in clients]
            series |= harness.compare(
                [client.program(server.url) for client in trusting],
                rounds=options.rounds,
                budget=options.budget / 2,
                timeout=TIMEOUT,
                # Only a server that answers lets a courier end in its own time.
                grace=5.0 if manner == "ok" or manner in LATE else 0.05,
            )
    return series


def _beside_others(series: dict[str, dict[str, Series]]) -> Table:
    clients = (*OURS, *RIVALS)
    table = Table(
        "endings",
        "The end of a program, side by side",
        ("wall ms added to a program of 50 ms", *(client.name for client in clients)),
        "Median over the bare program, by the manner of the server. "
        f"Programs are killed after {TIMEOUT:.0f} s (`>`).",
    )
    absent = missing(clients)
    for manner in COMMON:
        cells = []
        for client in clients:
            if client.name in absent:
                cells.append("skipped")
                continue
            of, bare = series[manner][client.name], _bare(series[manner], client)
            cells.append(_wall(of, bare))
        table.add(manner, *cells)
    return table


def _resources(series: dict[str, dict[str, Series]]) -> Table:
    clients = (*OURS, *RIVALS)
    table = Table(
        "endings",
        "CPU time and memory of an ending",
        (
            "added to a program of 50 ms",
            "CPU ms, server ok",
            "CPU ms, refused",
            "CPU ms, silent",
            "peak MiB, server ok",
            "left behind: CPU ms, server ok",
        ),
        "*Left behind* is the CPU time of processes that outlive the program: of the courier, which"
        " nobody waits for.",
    )
    absent = missing(clients)
    for client in clients:
        if client.name in absent:
            table.add(client.name, absent[client.name])
            continue
        name = client.name
        costs = [
            ms(series[manner][name].added(_bare(series[manner], client), "cpu"))
            for manner in ("ok", "refused", "silent")
        ]
        good = series["ok"]
        memory = mib(good[name].added(_bare(good, client), "memory"))
        table.add(name, *costs, memory, ms(good[name].median("left_cpu")))
    return table


def _own(series: dict[str, dict[str, Series]]) -> Table:
    table = Table(
        "endings",
        "Every manner of the server",
        (
            "wall ms added: median (best)",
            "@track over import wrapt",
            "",
            "session",
            "",
            "session, inline",
            "",
        ),
        f"Targets: the decorator {ms(DECORATOR_TARGET)} ms over importing wrapt, a session"
        f" {ms(DETACHED_TARGET)} ms over bare Python, inline {ms(INLINE_TARGET)} ms."
        " No manner may show in the detached figures.",
    )
    absent = missing(OURS)
    if absent:
        table.add("", next(iter(absent.values())))
        return table
    detached: list[tuple[float, float]] = []
    for manner, runs in series.items():
        pairs = (
            (runs[TRACK_DETACHED.name], runs[IMPORTING.name], DECORATOR_TARGET),
            (runs[SESSION_DETACHED.name], runs[BARE.name], DETACHED_TARGET),
            (runs[SESSION_INLINE.name], runs[BARE.name], INLINE_TARGET),
        )
        cells: list[str] = []
        for of, bare, target in pairs:
            judged = verdict(target, of.added(bare), of.added_at_best(bare))
            best = "" if of.failures else f" ({ms(of.added_at_best(bare))})"
            cells += (_wall(of, bare) + best, "" if of.failures else judged)
        if not runs[SESSION_DETACHED.name].failures:
            of, bare = runs[SESSION_DETACHED.name], runs[BARE.name]
            detached.append((of.added(bare), of.added_at_best(bare)))
        table.add(manner, *cells)
    if detached:
        medians, bests = zip(*detached, strict=True)
        table.note += (
            f" Over all manners a detached session's medians lie between {ms(min(medians))} and"
            f" {ms(max(medians))} ms, its bests between {ms(min(bests))} and {ms(max(bests))} ms."
        )
    return table


def _bare(runs: dict[str, Series], client: Client) -> Series:
    return runs.get(bare_twin(client).name) or runs[BARE.name]


def _wall(of: Series, bare: Series) -> str:
    if -9 in of.failures:
        return f"> {ms(TIMEOUT)}"
    return f"exit {of.failures[0]}" if of.failures else ms(of.added(bare))
