"""What a program's end costs by the manner of the server that it reports to, in both worlds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.clients import BARE, FORMS, missing
from benchmarks.harness import ORDINARY, WORLDS, Harness, Series
from benchmarks.proof import reporting
from benchmarks.report import Table, ms, verdict
from tests.support.fault_server import CERTIFICATES, LATE, MANNERS, FaultServer

if TYPE_CHECKING:
    from benchmarks.__main__ import Options

SHOWS_TARGET = 0.010
"""Seconds by which a manner may exceed a good server on an ordinary host: noise."""

INLINE_TARGET = 1.1


def measure(options: Options) -> list[Table]:
    """Run both forms against each manner of the server."""
    table = Table(
        "manners",
        "Every manner of the server",
        (
            "wall ms added: median (best)",
            *(cell for world in WORLDS for form in FORMS for cell in (f"{world}, {form.name}", "")),
        ),
        f"No manner may show on an ordinary host, by more than a noise of {ms(SHOWS_TARGET)} ms"
        f" over a good server; in a container each may cost {ms(INLINE_TARGET)} ms.",
    )
    for name, reason in missing((BARE,)).items():
        table.add(name, reason)
        return [table]
    series = {}
    for world in WORLDS:
        with Harness(world) as harness, reporting(harness, FORMS):
            series[world] = {name: _against(harness, name, options) for name in _manners()}
    for manner in _manners():
        cells: list[str] = []
        for world, runs in series.items():
            for form in FORMS:
                cells += _cells(world, runs, manner, form.name)
        table.add(manner, *cells)
    if set(CERTIFICATES) - set(_manners()):
        table.note += " Without the package `cryptography` there are no certificates to show."
    return [table]


def _manners() -> tuple[str, ...]:
    try:
        import cryptography  # noqa: F401 - asked for, not used here
    except ImportError:
        return tuple(manner for manner in MANNERS if manner not in CERTIFICATES)
    return MANNERS


def _against(harness: Harness, manner: str, options: Options) -> dict[str, Series]:
    with FaultServer(manner) as server:
        trust = {"SSL_CERT_FILE": server.ca_path} if server.tls else {}
        clients = [client.with_settings(client.name, **trust) for client in (*FORMS, BARE)]
        return harness.compare(
            [client.program(server.url) for client in clients],
            rounds=options.rounds,
            budget=options.budget / 8,
            # Only a server that answers lets a courier end in its own time.
            grace=5.0 if manner == "ok" or manner in LATE else 0.05,
        )


def _cells(
    world: str, runs: dict[str, dict[str, Series]], manner: str, form: str
) -> tuple[str, str]:
    of, bare = runs[manner][form], runs[manner][BARE.name]
    if of.failures:
        return f"exit {of.failures[0]}", ""
    median, best = of.added(bare), of.added_at_best(bare)
    target = INLINE_TARGET
    if world == ORDINARY:
        target = SHOWS_TARGET + runs["ok"][form].added(runs["ok"][BARE.name])
    return f"{ms(median)} ({ms(best)})", verdict(target, median, best)
