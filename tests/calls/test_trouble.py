"""Servers that are none, or not well: a message, in time, and nothing of theirs gets through."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest

import migas
from migas.settings import values
from migas.transport.answers import NoAnswerError
from migas.transport.client import Client
from migas.transport.deadlines import Worker
from tests.calls.shapes import CALLS, USAGE_SHAPE
from tests.support.answers import Answer
from tests.support.desk import SECONDS, wait_until
from tests.support.fault_server import FaultServer

if TYPE_CHECKING:
    from pathlib import Path

TROUBLES = (
    "refused",
    "silent",
    "portal-200",
    "invalid-json",
    "null-data",
    "dropped",
    "drip",
    "endless",
    "reset",
    "not-http",
    "500",
    "portal",
    "403",
    "429",
    "list",
    "string",
    "redirect-loop",
    "redirect-elsewhere",
)


@pytest.mark.parametrize(
    ("name", "manner"),
    [
        (name, manner)
        for name in CALLS
        for manner in (TROUBLES if name == "add_project" else TROUBLES[:5])
    ],
)
def test_a_server_in_trouble_is_a_message_in_time(
    name: str,
    manner: str,
    pointed: FaultServer,
    capfd: pytest.CaptureFixture[str],
) -> None:
    values.change(timeout=0.15)
    pointed.behave(manner)
    call, shape = CALLS[name]
    answer = call()
    assert set(answer) == shape
    assert answer["success"] is False
    assert answer["message"]
    assert capfd.readouterr() == ("", "")


def test_a_name_that_does_not_resolve_is_a_message(fresh: Path) -> None:
    migas.setup(endpoint="http://nowhere.invalid", timeout=1)
    answer = migas.check_project("lab/tool", "1.0.0")
    assert answer["success"] is False
    assert answer["message"]


@pytest.mark.parametrize("has_tls", [False, True])
def test_what_is_broken_off_on_its_way_to_a_silent_server_ends_when_it_is_there(
    has_tls: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve, is_asked, may_go_on = socket.getaddrinfo, threading.Event(), threading.Event()

    def slow(*arguments: Any, **options: Any) -> Any:
        is_asked.set()
        may_go_on.wait(SECONDS)
        return resolve(*arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    worker = Worker()

    def ask(url: str) -> None:
        with pytest.raises(NoAnswerError):
            Client(url, worker=worker).ask("GET", "/", b"", 10 * SECONDS)

    with FaultServer("silent", tls=has_tls) as server:
        asking = threading.Thread(target=ask, args=(server.url,))
        asking.start()
        assert is_asked.wait(SECONDS)
        worker.cut_short()
        asking.join()
        may_go_on.set()

        wait_until(lambda: all(each.name != "migas-transport" for each in threading.enumerate()))


def test_a_timeout_of_zero_waits_for_nothing(pointed: FaultServer) -> None:
    values.change(timeout=0)
    assert migas.add_project("lab/tool", "1.0.0")["success"] is False
    assert pointed.connections == 0


def test_add_project_falls_back_to_rest_for_the_server_s_own_errors(pointed: FaultServer) -> None:
    pointed.behave("graphql-errors")
    assert migas.add_project("lab/tool", "1.0.0")["success"] is True
    assert [request.path for request in pointed.requests] == [
        "/graphql",
        "/api/breadcrumb?wait=true",
    ]
    assert pointed.breadcrumbs[0]["project"] == "lab/tool"


def test_no_redirect_is_followed_to_another_host(pointed: FaultServer) -> None:
    with FaultServer() as elsewhere:
        target = Answer(307, "", headers=(("Location", f"{elsewhere.url}/graphql"),))
        pointed.behave(lambda _request: target)
        assert migas.add_project("lab/tool", "1.0.0")["success"] is False
        assert elsewhere.connections == 0


def test_an_answer_over_64_kib_is_a_message(pointed: FaultServer) -> None:
    long = Answer(200, {"data": {"get_projects": ["lab/tool" * 10_000]}})
    pointed.behave(lambda _request: long)
    answer = migas.get_projects()
    assert answer["success"] is False
    assert "64 KiB" in answer["message"]


def test_an_answer_without_an_end_is_given_up_whatever_it_announces(pointed: FaultServer) -> None:
    pointed.behave("endless")
    answer = migas.get_projects()
    assert answer["success"] is False
    assert "64 KiB" in answer["message"]


@pytest.mark.parametrize(
    "told",
    [
        {"success": "yes"},
        {"success": 1},
        [],
        7,
        {"success": True, "hits": "many", "unique": "x", "message": 4},
    ],
)
def test_an_answer_of_another_shape_never_reaches_the_program(
    told: object, pointed: FaultServer
) -> None:
    pointed.behave(lambda _request: Answer(200, {"data": {"get_usage": told}}))
    answer = migas.get_usage("lab/tool", "2026-11-22")
    assert set(answer) == USAGE_SHAPE
    assert isinstance(answer["success"], bool)
    assert isinstance(answer["hits"], int)
    assert isinstance(answer["message"], str)


def test_control_characters_in_an_answer_are_taken_out(pointed: FaultServer) -> None:
    told = {"success": True, "flagged": True, "latest": "2\x1b[2J", "message": "a\x07\nb\u202e"}
    pointed.behave(lambda _request: Answer(200, {"data": {"check_project": told}}))
    answer = migas.check_project("lab/tool", "1.0.0")
    assert answer["latest"] == "2[2J"
    assert answer["message"] == "a\nb"
