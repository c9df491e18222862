"""When a run ended and how long it took: told to a server that asks for it, and to no other."""

from __future__ import annotations

import json
import os
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest

from migas.spool.record import as_sent
from migas.spool.servers import Backoff
from tests.support.answers import Answer
from tests.support.desk import PATIENT, PRELUDE, RUN
from tests.support.fault_server import ASKS
from tests.support.records import record

if TYPE_CHECKING:
    from tests.support.answers import Request
    from tests.support.collector import CollectorProcess
    from tests.support.desk import Desk
    from tests.support.fault_server import FaultServer

DAY = 86400
AGO, TOOK = "x-migas-ended-ago", "x-migas-duration"
SHORT = f"{PATIENT}\nwith {RUN}: pass"
NOTHING: list[str] = []
BOTH = [AGO, TOOK]


@pytest.fixture(autouse=True)
def no_courier_outlives_its_test(desk: Desk) -> Any:
    yield
    desk.end_couriers()


def told(request: Request) -> list[str]:
    """Which of the two stand beside a breadcrumb."""
    return [name for name in (AGO, TOOK) if name in request.headers]


def bodies_are_the_wires(server: FaultServer) -> bool:
    return not any(b"ended_ago" in one.body or b"duration" in one.body for one in server.requests)


def run_and_flush(desk: Desk, source: str = SHORT, **policy: str) -> None:
    desk.delivery = "spool"
    ended = desk.run(source, environment=desk.environment(**policy))
    assert (ended.status, ended.stderr) == (0, b"")
    assert desk.flush()["waiting"] == 0


def test_a_server_that_does_not_ask_is_never_told(desk: Desk, server: FaultServer) -> None:
    for _ in range(2):
        run_and_flush(desk)
    assert [told(request) for request in server.requests] == [NOTHING, NOTHING]
    assert bodies_are_the_wires(server)


def test_a_server_that_asks_is_told_from_then_on(desk: Desk, server: FaultServer) -> None:
    server.behave("asks")
    for _ in range(3):
        run_and_flush(desk)
    assert [told(request) for request in server.requests] == [NOTHING, BOTH, BOTH]
    assert bodies_are_the_wires(server)
    states = json.loads((desk.state / "servers.json").read_text())
    assert states[server.url]["accepts"] == ["ended_ago", "duration"]


def test_what_it_asks_for_is_noted_by_a_call_and_by_no_raw_request(
    desk: Desk, server: FaultServer
) -> None:
    server.behave("asks")
    desk.delivery = "spool"
    desk.run(SHORT)  # there is a state folder now
    desk.delivery = "detached"
    ask = (
        f"\nimport migas.request as raw\nprint(raw.request({server.url!r}, query='query{{x}}')[0])"
    )
    call = "\nmigas.add_project('lab/tool', '1.0.0')"
    for program, expected in ((ask, False), (ask + call, True)):
        ended = desk.run(PRELUDE + program)
        assert (ended.stdout, ended.stderr) == (b"200\n", b"")
        assert (desk.state / "servers.json").exists() is expected


def test_a_server_that_stops_asking_is_told_no_more(desk: Desk, server: FaultServer) -> None:
    server.behave("asks")
    run_and_flush(desk)
    server.behave("ok")
    for _ in range(2):
        run_and_flush(desk)
    assert [told(request) for request in server.requests] == [NOTHING, BOTH, NOTHING]
    assert json.loads((desk.state / "servers.json").read_text())[server.url]["accepts"] == []


def test_only_what_was_asked_for_is_told(desk: Desk, server: FaultServer) -> None:
    said = ("X-Migas-Accepts", "address,duration , home")
    stored = {"add_project": {"success": True, "latest_version": "1.0.0"}}
    server.behave(lambda _: Answer(200, {"data": stored}, headers=(said,)))
    for _ in range(2):
        run_and_flush(desk)
    assert [told(request) for request in server.requests] == [NOTHING, [TOOK]]
    assert json.loads((desk.state / "servers.json").read_text())[server.url]["accepts"] == [
        "duration"
    ]


def test_what_asks_must_be_a_migas_server(desk: Desk, server: FaultServer) -> None:
    """Nor does a stranger's answer have a server's wish forgotten."""
    stranger = Answer(503, "busy", "text/plain", (ASKS,), from_migas=False)
    desk.delivery = "spool"
    desk.run(SHORT)
    server.behave(lambda _: stranger)
    desk.flush()
    server.behave("asks")
    desk.flush()
    server.behave("503")
    desk.run(SHORT)
    desk.flush()
    server.behave("ok")
    desk.flush()
    assert [told(request) for request in server.requests] == [NOTHING, NOTHING, BOTH, BOTH]


def test_a_failure_in_between_makes_nobody_forget(desk: Desk, server: FaultServer) -> None:
    backoff = Backoff(str(desk.state))
    desk.state.mkdir(parents=True)
    backoff.asked(server.url, ("duration",))
    backoff.failed(server.url, "timeout", "no answer")
    backoff.refused(server.url, "no such project")
    backoff.succeeded(server.url)
    assert backoff.accepts(server.url) == ("duration",)


@pytest.mark.parametrize("accepts", ["duration", [1], {"duration": True}, None])
def test_a_state_of_another_shape_is_none(desk: Desk, server: FaultServer, accepts: object) -> None:
    desk.state.mkdir(parents=True)
    path = desk.state / "servers.json"
    path.write_text(json.dumps({server.url: {"accepts": accepts}}))
    path.chmod(0o600)
    assert Backoff(str(desk.state)).accepts(server.url) == ()


def test_of_the_rest_of_a_spool_the_first_answer_decides(desk: Desk, server: FaultServer) -> None:
    server.behave("asks")
    desk.delivery = "spool"
    for _ in range(3):
        desk.run(SHORT)
    desk.flush()
    assert [told(request) for request in server.requests] == [NOTHING, BOTH, BOTH]


@pytest.mark.parametrize("delivery", ["detached", "inline"])
def test_couriers_tell_it_however_they_are_sent(
    desk: Desk, server: FaultServer, delivery: str
) -> None:
    server.behave("asks")
    run_and_flush(desk)
    desk.delivery = delivery
    desk.run(SHORT)
    server.wait_for_breadcrumbs(2)
    assert [told(request) for request in server.requests] == [NOTHING, BOTH]


def test_who_waits_for_the_answer_tells_it_too_and_learns(desk: Desk, server: FaultServer) -> None:
    server.behave("asks")
    waiting = SHORT.replace('"1.0.0"', '"1.0.0", wait=True')
    assert desk.run(f"{waiting}\n{waiting}").stderr == b""
    assert desk.run(waiting).stderr == b""
    assert [told(request) for request in server.requests] == [NOTHING, BOTH, BOTH]


@pytest.mark.parametrize("call", ["add_project(", "add_breadcrumb(wait=True, "])
def test_of_calls_that_wait_an_end_has_its_time_and_what_goes_on_has_none(
    call: str, desk: Desk, server: FaultServer
) -> None:
    server.behave("asks")
    run_and_flush(desk)
    call = f"migas.{call}project='lab/tool', project_version='1.0.0', status="
    desk.delivery = "detached"
    desk.run(f"{PRELUDE}\n{call}'R')\n{call}'C')")
    assert [told(request) for request in server.requests] == [NOTHING, NOTHING, [AGO]]


def test_an_end_that_waited_for_days_says_so(desk: Desk, server: FaultServer) -> None:
    server.behave("asks")
    run_and_flush(desk)
    waited = record(server.url, ended_ago=0, duration=7261)
    waited["ended"] = time.time() - 3 * DAY
    desk.spool.put(waited)
    desk.flush()
    sent = server.requests[1].headers
    assert 3 * DAY <= int(sent[AGO]) < 4 * DAY
    assert sent[TOOK] == "7261"


def test_of_a_lost_run_the_last_sign_of_life_is_told(desk: Desk, server: FaultServer) -> None:
    """Nobody knows how long it took."""
    server.behave("asks")
    run_and_flush(desk)
    process = desk.start(f"{PRELUDE}\nimport os, signal\n{RUN}.start()\nos.kill(os.getpid(), 9)")
    assert process.wait(60) == -signal.SIGKILL
    process.communicate()
    (path,) = desk.open()
    then = time.time() - 2 * DAY
    os.utime(path, (then, then))
    desk.flush()
    request = server.requests[1]
    assert json.loads(request.body)["variables"]["p"]["status_desc"] == "Lost"
    assert told(request) == [AGO]
    assert 2 * DAY <= int(request.headers[AGO]) < 3 * DAY


def test_a_signals_mark_dates_a_death(desk: Desk, server: FaultServer) -> None:
    server.behave("asks")
    run_and_flush(desk)
    process = desk.start(f"{PRELUDE}\nimport os, signal\n{RUN}.start()\nos.kill(os.getpid(), 15)")
    assert process.wait(60) == -signal.SIGTERM
    process.communicate()
    (mark,) = (desk.state / "marks").iterdir()
    (path,) = desk.open()
    for file, days in ((path, 5), (mark, 1)):
        then = time.time() - days * DAY
        os.utime(file, (then, then))
    desk.flush()
    assert DAY <= int(server.requests[1].headers[AGO]) < 2 * DAY


@pytest.mark.parametrize("ahead", [1, 40 * DAY])
def test_no_end_is_told_to_lie_in_the_future(ahead: float) -> None:
    made = record(ended_ago=0)
    made["ended"] = 1000.0 + ahead
    assert as_sent(made, 1000.0)["ended_ago"] == 0


def test_a_program_may_keep_it_from_every_server(desk: Desk, server: FaultServer) -> None:
    server.behave("asks")
    run_and_flush(desk)
    silent = SHORT.replace("exit_timeout=30", "timing=False")
    run_and_flush(desk, silent)
    run_and_flush(desk, silent.replace("\n", "\nmigas.setup(timing=True)\n"))
    assert [told(request) for request in server.requests] == [NOTHING, NOTHING, NOTHING]


@pytest.mark.parametrize("folder", ["home/config/migas", "site/migas"])
def test_people_may_too_also_of_what_waits_already(
    desk: Desk, server: FaultServer, folder: str
) -> None:
    desk.settings["XDG_CONFIG_DIRS"] = str(desk.folder / "site")
    server.behave("asks")
    run_and_flush(desk)
    desk.delivery = "spool"
    desk.run(SHORT)
    policy = desk.folder / folder / "config.toml"
    policy.parent.mkdir(parents=True, exist_ok=True)
    policy.write_text("timing = false\n")
    policy.chmod(0o600)
    run_and_flush(desk, SHORT.replace("exit_timeout=30", "timing=True"))
    assert [told(request) for request in server.requests] == [NOTHING, NOTHING, NOTHING]


def test_before_send_sees_it_and_takes_it_out(desk: Desk, server: FaultServer) -> None:
    server.behave("asks")
    run_and_flush(desk)
    sees = (
        "import migas\n"
        "def before_send(crumb):\n"
        "    assert crumb.pop('ended_ago') == 0\n"
        "    if crumb['status'] != 'R':\n"
        "        assert crumb['duration'] >= 0\n"
        "        crumb['duration'] = 7\n"
        "    return crumb\n"
        f"migas.setup(before_send=before_send)\nwith {RUN}: pass"
    )
    run_and_flush(desk, sees)
    assert told(server.requests[1]) == [TOOK]
    assert server.requests[1].headers[TOOK] == "7.0"


def test_our_own_collector_asks_and_counts_a_run_on_the_day_when_it_ended(
    desk: Desk, shared_collector: CollectorProcess
) -> None:
    desk.endpoint, desk.delivery = shared_collector.url, "spool"
    project = "timing/tool"
    program = f"{PATIENT}\nwith migas.session({project!r}, '1.0.0'): pass"
    run_and_flush(desk, program)
    waited = record(desk.endpoint, project=project, ended_ago=0, duration=12.5)
    waited["ended"] = time.time() - 3 * DAY
    desk.spool.put(waited)
    run_and_flush(desk, program)
    stored = "SELECT timestamp, ended, duration FROM crumbs WHERE project = ? ORDER BY idx"
    first, late, last = shared_collector.query(stored, project)
    assert (first["ended"], first["duration"]) == (None, None)
    assert late["duration"] == 12.5
    assert 3 * DAY <= late["timestamp"] - late["ended"] < 4 * DAY
    assert last["ended"] <= last["timestamp"]
    assert last["duration"] is not None
    days = "SELECT day FROM daily WHERE project = ? AND kind = 'outcome' ORDER BY day"
    counted = [row["day"] for row in shared_collector.query(days, project)]
    assert late["ended"] // DAY == counted[0] < counted[-1]


def test_the_log_says_it_where_it_would_be_told(desk: Desk, server: FaultServer) -> None:
    desk.delivery = "log"
    assert b"X-Migas" not in desk.run(SHORT).stderr
    server.behave("asks")
    run_and_flush(desk)
    desk.delivery = "log"
    said = desk.run(SHORT).stderr
    assert b"} X-Migas-Ended-Ago: 0 X-Migas-Duration: " in said
