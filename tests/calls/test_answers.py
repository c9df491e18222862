"""What explicit calls answer: always a dict of the promised shape, whatever comes in."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import pytest

import migas
from tests.calls.shapes import CALLS, CHECK_SHAPE, PROJECT_SHAPE, USAGE_SHAPE, every_call
from tests.support.answers import Answer
from tests.support.collector import run_command

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.collector import CollectorProcess
    from tests.support.fault_server import FaultServer

NOW = dt.datetime.now(dt.UTC)


def release(collector: CollectorProcess, project: str, *arguments: str) -> None:
    """Tell the collector of a project's newest version."""
    migas.add_project(project, "1.0.0")
    database = f"sqlite:///{collector.database}"
    run_command("project", "release", project, *arguments, "--db", database)


@every_call
def test_an_answer_has_the_promised_shape(
    call: Callable[[], Any], shape: set[str], collector: CollectorProcess
) -> None:
    release(collector, "lab/tool", "1.2.0")
    answer = call()
    assert set(answer) == shape
    assert answer["success"] is True, answer


def test_a_check_tells_the_newest_version_and_whether_this_one_is_flagged(
    collector: CollectorProcess,
) -> None:
    release(collector, "lab/new", "1.2.0", "--flag", "1.1.0")
    answer = migas.check_project("lab/new", "1.1.0")
    assert (answer["flagged"], answer["latest"]) == (True, "1.2.0")


def test_what_is_added_is_stored(collector: CollectorProcess) -> None:
    given = "00000000-0000-4000-8000-0000000000a1"
    migas.add_project("lab/tool", "1.2.0", session_id=given, status="F", error_desc="odd")
    row = next(crumb for crumb in collector.crumbs() if crumb["session_id"] == given)
    assert (row["version"], row["status"], row["error_desc"]) == ("1.2.0", "F", "odd")


def test_a_breadcrumb_that_is_waited_for_is_stored(collector: CollectorProcess) -> None:
    given = "00000000-0000-4000-8000-0000000000a2"
    answer = migas.add_breadcrumb("lab/tool", "1.2.0", wait=True, session_id=given, status="C")
    assert answer["success"] is True
    assert [crumb for crumb in collector.crumbs() if crumb["session_id"] == given]


def test_a_breadcrumb_that_is_not_waited_for_is_queued(
    collector: CollectorProcess, fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIGAS_DELIVERY", "spool")
    answer = migas.add_breadcrumb("lab/tool", "1.2.0", status="C")
    assert answer == {"success": True, "message": "The breadcrumb is queued."}
    assert len(list(fresh.glob("ready/*.json"))) == 1


def test_flush_sends_what_is_queued(
    collector: CollectorProcess, fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIGAS_DELIVERY", "spool")
    given = "00000000-0000-4000-8000-0000000000a3"
    migas.add_breadcrumb("lab/tool", "1.2.0", status="C", session_id=given)
    assert migas.flush(30) is True
    assert [crumb for crumb in collector.crumbs() if crumb["session_id"] == given]
    assert list(fresh.glob("ready/*.json")) == []


@pytest.mark.parametrize("timeout", ["soon", None, -1, float("nan")])
def test_flush_answers_whatever_it_is_given(timeout: Any, collector: CollectorProcess) -> None:
    assert migas.flush(timeout) in (True, False)


@pytest.mark.parametrize(
    "start",
    [
        str(NOW.date() - dt.timedelta(days=2)),
        NOW.date() - dt.timedelta(days=2),
        NOW - dt.timedelta(days=2),
        (NOW - dt.timedelta(days=2)).replace(tzinfo=None),
        (NOW - dt.timedelta(days=2)).strftime("%Y-%m-%dT%H:%M:%SZ"),
        (NOW - dt.timedelta(days=2)).isoformat(),
    ],
    ids=["text", "date", "datetime", "datetime without zone", "time as text", "isoformat"],
)
def test_usage_takes_dates_in_every_form(start: Any, collector: CollectorProcess) -> None:
    migas.add_project("lab/dated", "1.0.0")
    answer = migas.get_usage("lab/dated", start)
    assert answer["success"] is True
    assert answer["hits"] >= 1


def test_usage_ends_where_it_is_told(collector: CollectorProcess) -> None:
    migas.add_project("lab/dated", "1.0.0")
    answer = migas.get_usage("lab/dated", dt.date(2020, 1, 1), dt.date(2020, 2, 1), unique=True)
    assert answer["hits"] == 0


# Bad input


@pytest.mark.parametrize("start", ["yesterday", "2026-13-01", "", 7, None, "2026-11-22T25:00:00Z"])
def test_a_wrong_date_is_a_message(start: Any, collector: CollectorProcess) -> None:
    answer = migas.get_usage("lab/tool", start)
    assert set(answer) == USAGE_SHAPE
    assert answer["success"] is False
    assert repr(start) in answer["message"]


@pytest.mark.parametrize("project", ["tool", "", "/", "lab/..", "./tool", None, 7, b"lab/tool"])
@pytest.mark.parametrize("name", ["add_project", "add_breadcrumb", "check_project", "get_usage"])
def test_a_project_that_no_server_can_know_is_a_message(
    name: str, project: Any, collector: CollectorProcess
) -> None:
    answer = getattr(migas, name)(project, "2026-11-22" if name == "get_usage" else "1.0.0")
    assert answer["success"] is False
    assert repr(project) in answer["message"]


@pytest.mark.parametrize("name", ["add_project", "check_project"])
@pytest.mark.parametrize("version", [None, 1.0, ("1", "0")])
def test_a_version_that_is_no_text_is_a_message(
    name: str, version: Any, collector: CollectorProcess
) -> None:
    answer = getattr(migas, name)("lab/tool", version)
    assert answer["success"] is False
    assert "version" in answer["message"]


def test_a_version_that_is_none_is_a_message(collector: CollectorProcess) -> None:
    answer = migas.check_project("lab/tool", "newest please")
    assert set(answer) == CHECK_SHAPE
    assert answer["success"] is False
    assert "'newest please'" in answer["message"]


def test_a_version_that_add_project_refuses_is_stored_all_the_same(
    collector: CollectorProcess,
) -> None:
    given = "00000000-0000-4000-8000-0000000000a4"
    answer = migas.add_project("lab/tool", "1.2.x-dirty", session_id=given)
    assert set(answer) == PROJECT_SHAPE
    assert answer["success"] is True
    row = next(crumb for crumb in collector.crumbs() if crumb["session_id"] == given)
    assert row["version"] == "1.2.x-dirty"


def test_an_unknown_project_is_a_message(fresh: Path, pointed: FaultServer) -> None:
    refusal = Answer(200, {"data": {"add_project": {"success": False}}})
    pointed.behave(lambda _request: refusal)
    answer = migas.add_project("lab/unknown", "1.0.0")
    assert set(answer) == PROJECT_SHAPE
    assert answer["success"] is False
    assert "'lab/unknown'" in answer["message"]


def test_a_call_before_setup_says_so(fresh: Path) -> None:
    answer = migas.add_project("lab/tool", "1.0.0")
    assert set(answer) == {*PROJECT_SHAPE, "errors"}
    assert answer["message"] == "Nothing is sent: setup() was not called."
    assert answer["errors"] == [{"message": answer["message"]}]


@every_call
def test_a_call_that_may_not_send_answers_as_released_clients_do(
    call: Callable[[], Any], shape: set[str], pointed: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIGAS_OPTOUT", "1")
    answer = call()
    assert answer["success"] is False
    assert "MIGAS_OPTOUT" in answer["errors"][0]["message"]
    assert pointed.connections == 0


LEAVE_ONE = {"add_project", "add_breadcrumb"}


@pytest.mark.parametrize("name", CALLS)
def test_under_log_a_call_prints_its_breadcrumb_and_opens_no_connection(
    name: str,
    pointed: FaultServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MIGAS_DELIVERY", "log")
    call, shape = CALLS[name]
    answer = call()
    assert (set(answer), answer["success"]) == (shape, False)
    assert answer["message"] == "The delivery is 'log': nothing is sent."
    assert ("migas would send" in capsys.readouterr().err) is (name in LEAVE_ONE)
    assert not migas.flush(0.5)
    assert pointed.connections == 0


@pytest.mark.parametrize("name", CALLS)
def test_under_spool_a_call_keeps_its_breadcrumb_and_opens_no_connection(
    name: str, pointed: FaultServer, fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIGAS_DELIVERY", "spool")
    call, shape = CALLS[name]
    answer = call()
    assert (set(answer), answer["success"]) == (shape, name == "add_breadcrumb")
    assert len(list(fresh.glob("**/ready/*.json"))) == (name in LEAVE_ONE)
    assert pointed.connections == 0
