"""Every manner of a server under every delivery: the program is the bare one, nothing is lost."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.desk import PRELUDE, RUN, Desk, last_statuses
from tests.support.fault_server import CERTIFICATES, MANNERS, FaultServer

if TYPE_CHECKING:
    from pathlib import Path

DELIVERIES = ("auto", "detached", "inline", "spool")
ENDINGS = {
    "a result": "print('done')",
    "an exit code": "import sys\n    sys.exit(3)",
    "an exception": "raise ValueError('broken')",
}
REPRESENTATIVE = [
    (manner, delivery)
    for manner in ("ok", "silent", "reset", "portal", "drip")
    for delivery in ("detached", "inline")
]
FINAL = ("413", "403")
EXPECTED = {"a result": "C", "an exit code": "F", "an exception": "F"}


def programs(ending: str) -> tuple[str, str]:
    """A program with and without migas whose lines, and so tracebacks, are the same."""
    shape = "{prelude}\nimport sys\n{block}\n    sys.stderr.write('noise\\n')\n    {ending}\n"
    tracked = shape.format(prelude=PRELUDE, block=f"with {RUN}:", ending=ENDINGS[ending])
    bare = shape.format(prelude="#", block="if True:", ending=ENDINGS[ending])
    return tracked, bare


def without_source_line(text: bytes) -> bytes:
    """A traceback without the lines that quote the `with` statement, which the bare one lacks."""
    return b"\n".join(line for line in text.split(b"\n") if b"migas.session" not in line)


def check(folder: Path, manner: str, delivery: str, endings: tuple[str, ...]) -> None:
    """One cell: the programs run, the server recovers, and a flush delivers."""
    with FaultServer(manner) as server:
        desk = Desk(folder, server.url, delivery)
        for ending in endings:
            tracked, bare = programs(ending)
            ours, theirs = desk.run(tracked), desk.run(bare)
            assert ours.status == theirs.status
            assert ours.stdout == theirs.stdout
            assert without_source_line(ours.stderr) == without_source_line(theirs.stderr)
        try:
            check_recovery(desk, server, manner, endings)
        finally:
            desk.end_couriers()


def check_recovery(desk: Desk, server: FaultServer, manner: str, endings: tuple[str, ...]) -> None:
    if manner in CERTIFICATES:
        # Such a server recovers by being vouched for, which is the machine's affair.
        assert desk.flush()["waiting"] == len(endings)
        assert server.requests == []
        return
    if manner in FINAL:
        assert desk.flush()["waiting"] == 0
        assert server.breadcrumbs == []
        return
    server.behave("ok")
    desk.forget_failures()
    desk.flush()
    if manner == "loses":
        return  # it said that it had stored them, and nothing tells a client otherwise
    assert sum(desk.spool.count().values()) == 0
    assert sorted(last_statuses(server.breadcrumbs).values()) == sorted(
        EXPECTED[ending] for ending in endings
    )


@pytest.mark.parametrize(("manner", "delivery"), REPRESENTATIVE)
def test_a_program_is_the_bare_one_whatever_the_server_does(
    tmp_path: Path, manner: str, delivery: str
) -> None:
    check(tmp_path, manner, delivery, ("an exception",))


@pytest.mark.slow
@pytest.mark.parametrize("delivery", DELIVERIES)
def test_all_manners_and_endings(tmp_path: Path, delivery: str) -> None:
    """All manners at once: most of the time is spent waiting."""

    def cell(manner: str) -> str | None:
        folder = tmp_path / manner
        folder.mkdir()
        try:
            check(folder, manner, delivery, tuple(ENDINGS))
        except Exception as error:
            return f"{manner}: {error!r}"
        return None

    began = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        problems: list[Any] = [problem for problem in pool.map(cell, MANNERS) if problem]
    print(f"{len(MANNERS)} manners in {time.monotonic() - began:.0f} s")
    assert problems == []
