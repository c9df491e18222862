"""At any distance between a session's `R` and its end, a program that waits has its end stored.

A server stamps whole seconds, and of two breadcrumbs in the same second the `R` would win for ever.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from migas.settings.identity import random_uuid
from migas.spool.servers import Backoff
from tests.support.desk import PATIENT, PRELUDE, RUN, Desk, wait_until
from tests.support.distance import Relay
from tests.support.programs import environment

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.collector import CollectorProcess
    from tests.support.fault_server import FaultServer, Request

# As fMRIPrep, NiBabies and SDCflows begin, and fail early.
RELEASED = """\
import sys, time
import migas
from migas.helpers import track_exit

endpoint, session, distance = sys.argv[1], sys.argv[2], float(sys.argv[3])
migas.setup(endpoint=endpoint, session_id=session)
migas.add_breadcrumb("lab/distance", "1.0.0", status="R", status_desc="workflow start")
track_exit("lab/distance", "1.0.0")
time.sleep(distance)
sys.exit(1)
"""

SESSION = """\
import sys, time
import migas

endpoint, session, distance = sys.argv[1], sys.argv[2], float(sys.argv[3])
migas.setup(endpoint=endpoint, session_id=session)
with migas.session("lab/distance", "1.0.0", announce_after=0.05) as run:
    time.sleep(0.05 + distance)
    run.fail("Exited with code 1")
"""

EXPLICIT = """\
import sys, time
import migas

endpoint, session, distance = sys.argv[1], sys.argv[2], float(sys.argv[3])
migas.setup(endpoint=endpoint, session_id=session)
with migas.session("lab/distance", "1.0.0", init_ping=False) as run:
    assert migas.add_project("lab/distance", "1.0.0", status="R")["latest_version"]
    time.sleep(distance)
    run.fail("Exited with code 1")
"""


@pytest.mark.parametrize(
    "distance", [0.0, 0.2, 0.5, 0.8, 0.95, 1.05, 1.2, 1.6, 2.2, 3.0], ids="{:.2f}s".format
)
@pytest.mark.parametrize(
    ("text", "status"),
    [(RELEASED, 1), (SESSION, 0), (EXPLICIT, 0)],
    ids=["released", "session", "explicit"],
)
def test_the_end_is_stored_when_the_program_has_ended(
    tmp_path: Path, shared_collector: CollectorProcess, text: str, status: int, distance: float
) -> None:
    session = random_uuid()
    arguments = [shared_collector.url, session, str(distance)]
    environ = {**environment(tmp_path), "MIGAS_DELIVERY": "inline"}

    done = subprocess.run(
        [sys.executable, "-c", text, *arguments],
        env=environ,
        capture_output=True,
        timeout=60,
        check=False,
    )
    stored = [crumb for crumb in shared_collector.crumbs() if crumb["session_id"] == session]

    assert (done.returncode, done.stdout, done.stderr) == (status, b"", b"")
    statuses = [crumb["status"] for crumb in stored]
    assert statuses in (["F"], ["R", "F"])
    if len(stored) == 2:
        assert stored[0]["timestamp"] < stored[1]["timestamp"], "the session would run for ever"
    assert list(tmp_path.rglob("ready/*.json")) + list(tmp_path.rglob("sending/*")) == []


def test_an_announcement_that_no_end_follows_is_stored_when_the_program_has_ended(
    tmp_path: Path, shared_collector: CollectorProcess
) -> None:
    session = random_uuid()
    text = RELEASED.replace('track_exit("lab/distance", "1.0.0")', "")
    subprocess.run(
        [sys.executable, "-c", text, shared_collector.url, session, "0"],
        env={**environment(tmp_path), "MIGAS_DELIVERY": "inline"},
        timeout=60,
        check=False,
    )
    stored = [crumb for crumb in shared_collector.crumbs() if crumb["session_id"] == session]
    assert [crumb["status"] for crumb in stored] == ["R"]


START = """\
for description in ("start", "half of it"):
    migas.add_breadcrumb("lab/tool", "1.0.0", status="R", status_desc=description)
"""
AT_ONCE = ['add_project("lab/tool", "1.0.0",', 'add_breadcrumb("lab/tool", "1.0.0", wait=True,']


@pytest.fixture
def alone(desk: Desk, server: FaultServer) -> Desk:
    """A desk at which no courier is started: its server did not answer a moment ago."""
    desk.state.mkdir(parents=True)
    Backoff(str(desk.state)).failed(server.url, "timeout", "no answer")
    return desk


@pytest.mark.parametrize("call", AT_ONCE)
def test_an_end_that_is_sent_at_once_overtakes_what_waits(
    call: str, alone: Desk, server: FaultServer
) -> None:
    other = f'{START}migas.add_breadcrumb("lab/tool", "1.0.0", session_id="{random_uuid()}")\n'
    ended = alone.run(f'{PRELUDE}\n{other}migas.{call} status="C")')
    assert (ended.status, ended.stderr) == (0, b"")
    assert [crumb["status"] for crumb in server.breadcrumbs] == ["C"]
    assert ["status_desc" in crumb for crumb in alone.waiting()] == [False]
    assert _files(alone, "sending") == []


@pytest.mark.parametrize("call", AT_ONCE)
def test_an_end_that_does_not_arrive_overtakes_nothing(
    call: str, alone: Desk, server: FaultServer
) -> None:
    server.behave("503")
    alone.run(f'{PRELUDE}\n{START}migas.{call} status="C")')
    waiting = [crumb.get("status_desc") for crumb in alone.waiting()]
    assert waiting == ["start", "half of it"]
    assert _files(alone, "sending") == []


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs a timer that kills")
@pytest.mark.parametrize("call", AT_ONCE)
def test_who_is_killed_while_an_end_is_sent_has_told_that_the_run_began(
    call: str, alone: Desk, server: FaultServer
) -> None:
    server.behave("silent")
    alarm = "import signal\nsignal.setitimer(signal.ITIMER_REAL, 0.5)\n"
    ended = alone.run(f'{PRELUDE}\n{START}{alarm}migas.{call} status="C")')
    assert ended.status == -signal.SIGALRM
    assert [crumb.get("status_desc") for crumb in alone.waiting()] == ["start", "half of it"]
    assert _files(alone, "sending") == []


@pytest.mark.parametrize("delivery", ["inline", "detached"])
@pytest.mark.parametrize(
    ("round_trip", "look_up"), [(0.0, 0.0), (0.1, 0.6), (0.2, 2.0), (0.3, 0.0), (0.0, 2.0)]
)
def test_a_distant_server_that_looks_up_for_long_has_each_end_once(
    tmp_path: Path, server: FaultServer, delivery: str, round_trip: float, look_up: float
) -> None:
    def look_up_first(request: Request) -> None:
        if request.path == "/graphql":
            time.sleep(look_up)

    server.behave(look_up_first)
    with Relay(server.port, round_trip) as relay:
        desk = Desk(tmp_path, relay.url, delivery)
        desk.run(f"{PATIENT}\nwith {RUN}: pass")
        if delivery == "detached":
            wait_until(lambda: not _files(desk, "ready") and not _files(desk, "sending"))
        assert [crumb["status"] for crumb in server.breadcrumbs] == ["C"]
        assert _files(desk, "ready") == _files(desk, "sending") == []

        desk.run(f"{PATIENT}\nwith {RUN}: pass")
        server.wait_for_breadcrumbs(2)
        wait_until(lambda: not _files(desk, "ready") and not _files(desk, "sending"))
        assert len({crumb["session_id"] for crumb in server.breadcrumbs}) == 2
        assert len(server.breadcrumbs) == 2


def _files(desk: Desk, folder: str) -> list[str]:
    return desk.spool.names(folder)
