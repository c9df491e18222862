"""What explicit calls send: one request of the wire's size, repaired and redacted."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import pytest

import migas
from migas import message as wire
from tests.support.collector import run_command

if TYPE_CHECKING:
    from tests.support.answers import Request
    from tests.support.collector import CollectorProcess
    from tests.support.fault_server import FaultServer


def test_requests_share_one_connection_and_name_the_client(pointed: FaultServer) -> None:
    migas.add_project("lab/tool", "1.0.0")
    migas.check_project("lab/tool", "1.0.0")
    assert pointed.connections == 1
    assert {request.headers["user-agent"] for request in pointed.requests} == {
        f"migas/{migas.__version__}"
    }


def test_values_travel_as_variables(pointed: FaultServer) -> None:
    migas.add_project("lab/tool", "1.0.0", status_desc='"}) { evil }')
    message = json.loads(pointed.requests[0].body)
    assert message["variables"]["p"]["status_desc"] == '"}) { evil }'
    assert "evil" not in message["query"]


@pytest.mark.parametrize("name", ["add_project", "add_breadcrumb"])
def test_a_request_is_within_the_wire_s_size(name: str, pointed: FaultServer) -> None:
    options = {"wait": True} if name == "add_breadcrumb" else {}
    getattr(migas, name)("lab/tool", "1.0.0", error_desc="é\n" * 9000, **options)
    assert len(pointed.requests[0].body) <= wire.MAX_REQUEST_BYTES
    assert len(pointed.breadcrumbs) == 1


def test_a_project_longer_than_a_request_is_a_message(pointed: FaultServer) -> None:
    answer = migas.check_project("lab/" + "x" * 9000, "1.0.0")
    assert answer["success"] is False
    assert pointed.connections == 0


LIES: dict[str, dict[str, Any]] = {
    "user_id no uuid": {"user_id": "me"},
    "session_id empty": {"session_id": ""},
    "NUL": {"error_desc": "a\0b"},
    "lone surrogate": {"status_desc": "a\ud800b"},
    "long language": {"language": "x" * 33},
    "long platform": {"platform": "x" * 65},
    "unknown container": {"container": "lxc"},
    "null": {"platform": None, "status": None, "is_ci": None, "container": None},
    "unknown field": {"colour": "red"},
    "wrong types": {"is_ci": "yes", "status_desc": 7, "error_type": KeyError(1)},
}


@pytest.fixture(scope="module")
def released(shared_collector: CollectorProcess) -> str:
    """A project of which the collector knows a release, so that it answers with all it has."""
    project = "lies/tool"
    for command in (("add", project), ("release", project, "1.2.0")):
        run_command("project", *command, "--db", f"sqlite:///{shared_collector.database}")
    return project


@pytest.mark.parametrize("name", LIES)
def test_what_a_server_would_lose_in_silence_is_repaired_and_stored(
    name: str, released: str, collector: CollectorProcess
) -> None:
    def stored() -> int:
        return sum(crumb["project"] == released for crumb in collector.crumbs())

    before = stored()
    assert migas.add_project(released, "1.0.0", **LIES[name])["success"] is True
    answer = migas.add_breadcrumb(released, "2.0.0", wait=True, **LIES[name])
    assert answer["success"] is True
    assert stored() == before + 2


@pytest.mark.parametrize("status", ["mad", "", 7])
def test_an_unknown_status_is_an_error_and_no_running_one(
    status: object, pointed: FaultServer
) -> None:
    for answer in (
        migas.add_project("lab/tool", "1.0.0", status=status),
        migas.add_breadcrumb("lab/tool", "1.0.0", status=status),
        migas.add_breadcrumb("lab/tool", "1.0.0", wait=True, status=status),
    ):
        assert answer["success"] is False
        assert answer["message"] == (
            f"The status {str(status)!r} is not known; it must be R, C, F or S."
        )
    assert pointed.requests == []


@pytest.mark.parametrize(
    ("project", "latest"), [("lab/unreleased", "unknown"), ("lab/private", "forbidden")]
)
def test_a_project_without_a_release_is_stored_and_its_answer_says_so(
    project: str, latest: str, pointed: FaultServer
) -> None:
    answer = migas.add_project(project, "1.0.0", status="C")
    assert (answer["success"], answer["latest_version"]) == (False, latest)
    assert answer["message"] == (
        f"The breadcrumb is stored; no newest version of {project!r} is known."
    )
    assert [crumb["project"] for crumb in pointed.breadcrumbs] == [project]


def test_a_project_that_is_not_registered_is_told(pointed: FaultServer) -> None:
    answer = migas.add_project("no/such", "1.0.0", status="C")
    assert answer["success"] is False
    assert answer["message"] == "The server does not know the project 'no/such'."
    assert pointed.breadcrumbs == []


@pytest.mark.parametrize("project", ["lab/unreleased", "lab/private", "lab/tool"])
def test_a_session_that_waits_is_stored_once(project: str, pointed: FaultServer) -> None:
    with migas.session(project, "1.0.0", wait=True) as run:
        pass
    assert run.response is not None
    migas.flush(20)
    assert [crumb["project"] for crumb in pointed.breadcrumbs] == [project]


def test_a_session_that_waits_tells_why_it_was_refused(
    pointed: FaultServer,
) -> None:
    with migas.session("no/such", "1.0.0", wait=True) as run:
        pass
    assert run.response is not None
    assert run.response["message"] == "The server does not know the project 'no/such'."


def test_a_text_with_a_secret_is_redacted_before_it_leaves(pointed: FaultServer) -> None:
    migas.add_project("lab/tool", "1.0.0", error_desc="no /home/ada/secret.txt")
    assert b"/ada" not in pointed.requests[0].body


def test_calls_of_many_threads_are_answered(pointed: FaultServer) -> None:
    answers: list[Any] = []
    threads = [
        threading.Thread(target=lambda: answers.append(migas.add_project("lab/tool", "1.0.0")))
        for _number in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [answer["success"] for answer in answers] == [True] * 12


def test_a_request_names_no_encoding_that_could_swell(pointed: FaultServer) -> None:
    migas.add_project("lab/tool", "1.0.0")
    request: Request = pointed.requests[0]
    assert request.headers.get("accept-encoding", "identity") == "identity"
