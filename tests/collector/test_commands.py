"""`migas serve` and `migas project`, as an operator types them."""

from __future__ import annotations

import argparse
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from migas.collector.commands import register
from tests.support.collector import COMMAND, plain_environment, running_collector

if TYPE_CHECKING:
    from collections.abc import Callable

    Run = Callable[..., "Done"]

ROOT = Path(__file__).parents[2]
PROJECT = "owner/repo"


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., Done]:
    """Run a command in this process: a process of its own takes two seconds to import it all."""
    monkeypatch.delenv("MIGAS_DB", raising=False)
    parser = argparse.ArgumentParser()
    register(parser.add_subparsers(required=True))

    def run(*arguments: str) -> Done:
        options = parser.parse_args(arguments)
        status = options.run(options)
        return Done(status, *capsys.readouterr())

    return run


def assert_refused(done: Done | subprocess.CompletedProcess[str], *words: str) -> None:
    """One line on stderr with these words in it, nothing on stdout, exit status 2."""
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("migas: ")
    assert done.stderr.count("\n") == 1
    for word in words:
        assert word in done.stderr


def test_projects_and_releases_are_listed(run: Run, tmp_path: Path) -> None:
    db = ["--db", f"sqlite:///{tmp_path}/db.sqlite"]
    assert run("project", "add", PROJECT, "other/one", *db).returncode == 0
    assert run("project", "add", PROJECT, *db).returncode == 0
    done = run("project", "release", PROJECT, "v1.2.0", "--flag", "1.1", "--flag", "1.0", *db)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")

    done = run("project", "list", *db)
    assert done.stdout.splitlines() == ["owner/repo  1.2.0  flagged: 1.0, 1.1", "other/one"]
    assert (done.returncode, done.stderr) == (0, "")


def test_the_database_may_come_from_the_environment(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIGAS_DB", f"sqlite:///{tmp_path}/db.sqlite")
    run("project", "add", PROJECT)
    assert run("project", "list").stdout == f"{PROJECT}\n"
    assert (tmp_path / "db.sqlite").exists()


def test_the_default_database_is_made_in_the_users_data_folder(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert run("project", "add", PROJECT).returncode == 0
    (found,) = tmp_path.rglob("collector.sqlite")
    assert found.parent.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("name", ["repo", "a/b/c", "a b/c"])
def test_a_wrong_project_name_is_refused(run: Run, name: str, tmp_path: Path) -> None:
    done = run("project", "add", name, "--db", f"sqlite:///{tmp_path}/db.sqlite")
    assert_refused(done, repr(name), "owner/repo")
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_version_is_refused(run: Run, tmp_path: Path) -> None:
    db = ["--db", f"sqlite:///{tmp_path}/db.sqlite"]
    assert_refused(run("project", "release", PROJECT, "newest", *db), "'newest'", "1.2.0")
    flagged = run("project", "release", PROJECT, "1.0", "--flag", "1.x", *db)
    assert_refused(flagged, "'1.x'", "PEP 440")


def test_a_release_of_an_unregistered_project_is_refused(run: Run, tmp_path: Path) -> None:
    done = run("project", "release", PROJECT, "1.0", "--db", f"sqlite:///{tmp_path}/db.sqlite")
    assert_refused(done, PROJECT, "migas project add owner/repo")


def test_a_wrong_database_is_refused(run: Run, tmp_path: Path) -> None:
    assert_refused(run("serve", "--db", "mysql://host/db"), "'mysql://host/db'", "sqlite:///")
    missing = f"{tmp_path}/no/such/folder/db.sqlite"
    assert_refused(run("serve", "--db", f"sqlite:///{missing}"), missing, "No such file")
    assert_refused(run("project", "list", "--db", f"sqlite:///{tmp_path}"), "Is a directory")
    (tmp_path / "text").write_text("no database, whatever its size may be " * 50)
    done = run("project", "list", "--db", f"sqlite:///{tmp_path}/text")
    assert_refused(done, f"{tmp_path}/text", "not a database")


def test_a_missing_driver_is_named(run: Run) -> None:
    if find_spec("asyncpg"):
        pytest.skip("asyncpg is installed")
    assert_refused(run("serve", "--db", "postgresql://host/db"), "asyncpg")


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


def test_without_the_extra_one_line_says_what_to_install() -> None:
    # -S leaves out every installed package.
    done = subprocess.run(
        [sys.executable, "-S", "-m", "migas.cli", "serve"],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
        env=plain_environment(),
    )
    assert_refused(done, "pip install -e '.[collector]'")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_server_says_one_line_and_ends_quietly(number: signal.Signals, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*COMMAND, "serve", "--port", "0", "--db", f"sqlite:///{tmp_path}/db.sqlite"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=plain_environment(),
    )
    with process:
        assert process.stdout is not None
        line = process.stdout.readline()
        said = re.fullmatch(
            r"migas collector on (http://127\.0\.0\.1:\d+) \(database (.+)\)\n", line
        )
        assert said, line
        assert said[2] == f"{tmp_path}/db.sqlite"
        with urllib.request.urlopen(said[1] + "/openapi.json", timeout=10) as answer:
            assert answer.status == 200
        process.send_signal(number)
        assert process.communicate(timeout=30) == ("", "")
        assert process.returncode == 0


def test_the_servers_process_keeps_its_port_and_its_rows_over_a_restart() -> None:
    body = b'{"project": "owner/repo", "project_version": "1.0"}'
    headers = {"Content-Type": "application/json"}
    with running_collector(projects=["a/b"], releases={"a/b": ["1.0", "0.9"]}) as collector:
        request = urllib.request.Request(f"{collector.url}/api/breadcrumb", body, headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.status == 202
            assert answer.headers["X-Backend-Server"].startswith("migas@")
        collector.kill()
        collector.restart()
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.status == 202
        rows = collector.wait_for_crumbs(2)
        assert {row["project"] for row in rows} == {"owner/repo"}
        assert collector.projects() == ["a/b", "owner/repo"]
        assert collector.users() == []
        assert collector.stop() == 0
    assert not os.path.exists(collector.database)
