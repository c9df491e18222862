"""What `migas serve` refuses before it opens anything."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from tests.collector.command_line import assert_refused

if TYPE_CHECKING:
    from pathlib import Path

    from tests.collector.command_line import Run


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ("--workers", "0"),
        ("--workers", "many"),
        ("--rate-limit", "-1"),
        ("--retain", "0d"),
        ("--retain", "a year"),
    ],
)
def test_a_wrong_number_is_refused(run: Run, option: str, text: str, tmp_path: Path) -> None:
    done = run("serve", f"{option}={text}", "--db", f"sqlite:///{tmp_path}/db.sqlite")
    assert_refused(done, text.removesuffix("d"), "give a number from")
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_certificate_is_refused(run: Run, tmp_path: Path) -> None:
    db = ["--port", "0", "--db", f"sqlite:///{tmp_path}/db.sqlite"]
    assert_refused(run("serve", "--ssl-certfile", "/no/such.pem", *db), "/no/such.pem")
    (tmp_path / "text").write_text("no certificate")
    assert_refused(run("serve", "--ssl-certfile", f"{tmp_path}/text", *db), "text")


@pytest.mark.parametrize("port", ["-1", "65536", "http"])
def test_a_wrong_port_is_refused(run: Run, port: str, tmp_path: Path) -> None:
    done = run("serve", f"--port={port}", "--db", f"sqlite:///{tmp_path}/db.sqlite")
    assert_refused(done, port, "65535")


def test_a_taken_port_is_refused(run: Run, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = run("serve", "--port", port, "--db", f"sqlite:///{tmp_path}/db.sqlite")
    assert_refused(done, port, "in use", "--port 0")


def test_a_wrong_host_is_refused(run: Run, tmp_path: Path) -> None:
    db = f"sqlite:///{tmp_path}/db.sqlite"
    assert_refused(run("serve", "--host", "256.1.1.1", "--port", "0", "--db", db), "'256.1.1.1'")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_an_open_server_is_for_loopback_alone(run: Run, host: str, tmp_path: Path) -> None:
    db = ["--port", "0", "--db", f"sqlite:///{tmp_path}/db.sqlite"]
    done = run("serve", "--open", "--host", host, *db)
    assert_refused(done, "--open", "migas project add", "127.0.0.1")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["nonsense!!", "127.0.0.1,proxy.example", "10.0.0.1/8"])
def test_a_wrong_proxy_is_refused(run: Run, text: str, tmp_path: Path) -> None:
    db = ["--port", "0", "--db", f"sqlite:///{tmp_path}/db.sqlite"]
    done = run("serve", "--forwarded-allow-ips", text, *db)
    assert_refused(done, repr(text.rpartition(",")[2]), "127.0.0.1,10.0.0.0/8")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["migas", "/mi gas", "//", "/a//b", "/../x?"])
def test_a_wrong_path_is_refused(run: Run, text: str, tmp_path: Path) -> None:
    db = ["--port", "0", "--db", f"sqlite:///{tmp_path}/db.sqlite"]
    assert_refused(run("serve", "--root-path", text, *db), "/migas")


@pytest.mark.parametrize(
    "text",
    [
        "host.example",
        "ftp://host.example",
        "https://a:b@host.example",
        "https://h/?a",
        "/",
        "https://..",
    ],
)
def test_a_wrong_address_of_pages_is_refused(run: Run, text: str, tmp_path: Path) -> None:
    db = ["--port", "0", "--db", f"sqlite:///{tmp_path}/db.sqlite"]
    done = run("serve", "--public-url", text, *db)
    assert_refused(done, repr(text), "https://host.example/migas")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["/p", "/api/migas", "/graphql/"])
def test_a_path_that_means_something_else_is_refused(run: Run, text: str, tmp_path: Path) -> None:
    db = ["--port", "0", "--db", f"sqlite:///{tmp_path}/db.sqlite"]
    assert_refused(run("serve", "--root-path", text, *db), "choose another path")


def test_a_key_without_a_certificate_is_refused(run: Run, tmp_path: Path) -> None:
    db = ["--port", "0", "--db", f"sqlite:///{tmp_path}/db.sqlite"]
    assert_refused(run("serve", "--ssl-keyfile", "x", *db), "--ssl-certfile")
