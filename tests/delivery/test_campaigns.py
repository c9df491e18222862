"""Long campaigns: accidents at random moments, many threads, many couriers."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.desk import PRELUDE, RUN, last_statuses, wait_until
from tests.support.records import record

if TYPE_CHECKING:
    from tests.support.desk import Desk
    from tests.support.fault_server import FaultServer

pytestmark = pytest.mark.slow

STRICT = ["-X", "dev", "-W", "error"]
PATIENCE = 900.0
"""Seconds within which all of it comes to an end, however busy the machine."""


@pytest.fixture
def draw() -> random.Random:
    seed = int(os.environ.get("MIGAS_TEST_SEED") or random.SystemRandom().randrange(10**6))
    print(f"\nMIGAS_TEST_SEED={seed}")
    return random.Random(seed)


def test_killed_at_any_moment_of_its_runs_a_program_loses_none(
    offline: Desk, server: FaultServer, draw: random.Random
) -> None:
    """Each program tells us of every run that has opened and of every one that has ended."""
    offline.endpoint = server.url
    source = (
        f"{PRELUDE}\nimport os\nwhile True:\n"
        f"    with {RUN} as run:\n        os.write(1, b'+' + run.session_id.encode() + b'\\n')\n"
        "    os.write(1, b'-' + run.session_id.encode() + b'\\n')\n"
    )
    opened: set[str] = set()
    ended: set[str] = set()
    for number in range(150):
        with offline.start(source) as process:
            time.sleep(0.04 + draw.random() * 0.3)
            process.kill()
            assert process.stdout is not None
            lines = process.stdout.read().decode().splitlines()
        opened |= {line[1:] for line in lines if line.startswith("+")}
        ended |= {line[1:] for line in lines if line.startswith("-")}
        if number % 30 == 29:  # before the spool is full
            assert offline.flush(PATIENCE)["waiting"] == 0
    statuses = last_statuses(server.breadcrumbs)

    print(f"{len(opened)} runs opened, {len(ended)} ended, {len(statuses)} were told of")
    assert opened <= set(statuses)
    assert all(statuses[session] == "C" for session in ended)
    assert len(set(statuses) - opened) <= 150  # killed between the record and its line
    assert len(server.breadcrumbs) == len(statuses)
    assert sum(offline.spool.count().values()) == 0


def test_killed_at_any_moment_of_its_work_a_courier_loses_none(
    desk: Desk, server: FaultServer, draw: random.Random
) -> None:
    sessions = set()
    for _ in range(600):
        made = record(server.url)
        desk.spool.put(made)
        sessions.add(made["breadcrumb"]["session_id"])
    for _ in range(150):
        courier = desk.courier()
        time.sleep(0.05 + draw.random() * 0.2)
        courier.kill()
        courier.wait()
        for _ in range(3):
            made = record(server.url)
            desk.spool.put(made)
            sessions.add(made["breadcrumb"]["session_id"])

    assert desk.flush(PATIENCE)["waiting"] == 0
    told = [crumb["session_id"] for crumb in server.breadcrumbs]

    print(f"{len(sessions)} sessions, {len(told) - len(sessions)} told of twice")
    assert set(told) == sessions
    assert len(told) - len(sessions) <= 150  # at most the one in flight at each death


def test_sixty_four_threads_with_a_hundred_sessions_each(desk: Desk, server: FaultServer) -> None:
    source = f"""{PRELUDE}
import threading
def work():
    for _ in range(100):
        with {RUN}: pass
threads = [threading.Thread(target=work) for _ in range(64)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""
    with desk.start(source, options=STRICT) as process:
        stdout, stderr = process.communicate(timeout=PATIENCE)
    crumbs = server.wait_for_breadcrumbs(6400, PATIENCE)

    assert (process.returncode, stdout, stderr) == (0, b"", b"")
    assert len(crumbs) == len({crumb["session_id"] for crumb in crumbs}) == 6400
    wait_until(lambda: sum(desk.spool.count().values()) == 0)


def test_two_hundred_couriers_at_one_spool(desk: Desk, server: FaultServer) -> None:
    for _ in range(2000):
        desk.spool.put(record(server.url))
    arguments = [sys.executable, "-m", "migas", "flush", "--courier"]
    environment = desk.environment(_MIGAS_COURIER="1")

    couriers = [subprocess.Popen(arguments, env=environment) for _ in range(200)]

    assert {courier.wait(PATIENCE) for courier in couriers} == {0}
    assert len(server.breadcrumbs) == 2000
    assert len(last_statuses(server.breadcrumbs)) == 2000
    assert sum(desk.spool.count().values()) == 0
