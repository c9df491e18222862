"""Servers that are none, or not well: a message, in time, and nothing of theirs gets through."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
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
    from collections.abc import Callable, Iterator
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


def test_what_is_broken_off_on_its_way_to_a_silent_server_ends_when_it_is_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    resolve, is_asked, may_go_on = socket.getaddrinfo, threading.Event(), threading.Event()

    def slow(*arguments: Any, **options: Any) -> Any:
        is_asked.set()
        may_go_on.wait(SECONDS)
        return resolve(*arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    with FaultServer("silent") as server, broken_off(server.url) as break_off:
        assert is_asked.wait(SECONDS)
        break_off()
        may_go_on.set()


def test_a_handshake_that_never_comes_can_be_broken_off() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with broken_off(f"https://127.0.0.1:{listener.getsockname()[1]}") as break_off:
            connection = listener.accept()[0]
            hello = connection.recv(1)
            break_off()

        assert hello
        connection.close()


@contextmanager
def broken_off(url: str) -> Iterator[Callable[[], None]]:
    """Ask a server in a thread, break that off, and see that no thread is left in the end."""
    worker = Worker()

    def ask() -> None:
        with pytest.raises(NoAnswerError):
            Client(url, worker=worker).ask("GET", "/", b"", 10 * SECONDS)

    asking = threading.Thread(target=ask)
    asking.start()
    yield worker.cut_short
    asking.join()
    wait_until(lambda: all(each.name != "migas-transport" for each in threading.enumerate()))


def test_a_request_that_a_server_has_read_is_sent_no_second_time() -> None:
    read = []

    def serve(listener: socket.socket) -> None:
        for number in range(2):
            connection = listener.accept()[0]
            request = b""
            while not request.endswith(b"{}"):
                request += connection.recv(65536)
            read.append(request)
            if not number:
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
            connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = threading.Thread(target=serve, args=(listener,))
        serving.start()
        client = Client(f"http://127.0.0.1:{listener.getsockname()[1]}")
        client.ask("POST", "/", b"{}", SECONDS)
        # The kept connection has been closed: another one is made, and closed without an answer.
        with pytest.raises(NoAnswerError):
            client.ask("POST", "/", b"{}", SECONDS)
        serving.join()
        listener.settimeout(0)
        with pytest.raises(BlockingIOError):
            listener.accept()

    assert len(read) == 2
    client.close()


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
