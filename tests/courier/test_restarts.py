"""A hundred spools and a collector that does not stay: nothing lost, each session counted once."""

from __future__ import annotations

import itertools
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from tests.support.collector import CollectorProcess, plain_environment

if TYPE_CHECKING:
    from pathlib import Path

PROCESSES, CLIENTS, SESSIONS = 10, 10, 20
SECONDS_UP = 1.0
PATIENCE = 900.0
"""Seconds within which they come to an end, however busy the machine."""

PROGRAM = """\
import os, sys, threading, time
from migas.courier import main as courier
from migas import message
from migas.settings.identity import random_uuid
from migas.spool import Spool

endpoint, folder, clients, sessions = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])

def client(number):
    spool = Spool(os.path.join(folder, str(number)))
    for _ in range(sessions):
        said = {"project": "lab/tool", "project_version": "1.0", "language": "python",
                "language_version": "3.13.0", "session_id": random_uuid(), "status": "C"}
        spool.put({"endpoint": endpoint, "breadcrumb": message.compose(said)})
    while True:
        delivered, refused, waiting = courier.flush(10.0, spool.root)
        assert not refused
        if not waiting:
            return
        time.sleep(0.2)

threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(sum(sum(Spool(os.path.join(folder, str(n))).count().values()) for n in range(clients)))
"""


@pytest.mark.slow
def test_a_collector_that_restarts_every_moment_gets_every_session_once(tmp_path: Path) -> None:
    collector = CollectorProcess(tmp_path / "collector.sqlite")
    collector.start()
    is_over = threading.Event()
    ends = itertools.cycle([collector.kill, collector.stop])
    restarts = 0

    def restart() -> None:
        nonlocal restarts
        while not is_over.wait(SECONDS_UP):
            next(ends)()
            collector.start()
            restarts += 1

    restarting = threading.Thread(target=restart)
    restarting.start()
    try:
        programs = [
            subprocess.Popen(
                [
                    *(sys.executable, "-c", PROGRAM, collector.url, str(tmp_path / str(number))),
                    *(str(CLIENTS), str(SESSIONS)),
                ],
                env=plain_environment(),
                stdout=subprocess.PIPE,
                text=True,
            )
            for number in range(PROCESSES)
        ]
        left = [program.communicate(timeout=PATIENCE)[0] for program in programs]
    finally:
        is_over.set()
        restarting.join()
        collector.stop()

    assert left == ["0\n"] * PROCESSES
    assert restarts
    stored = [crumb["session_id"] for crumb in collector.crumbs()]
    assert len(stored) == len(set(stored)) == PROCESSES * CLIENTS * SESSIONS
