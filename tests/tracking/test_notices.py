"""The two lines that a program may ask for: once per user, and when something newer is known."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from migas.request import request
from migas.spool import releases
from tests.support.collector import run_command
from tests.support.desk import NOBODY, wait_until
from tests.support.programs import environment
from tests.support.terminals import Terminal

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.collector import CollectorProcess

FIRST_RUN = """\
import migas
migas.setup(endpoint="http://127.0.0.1:9", first_run_notice=True)
with migas.session("lab/tool", "1.0"):
    pass
"""
UPDATE = """\
import migas
migas.setup(exit_timeout=20)
@migas.track("lab/noticed", "%s", update_notice=True)
def main():
    pass
main()
"""


class Person:
    """Somebody at a terminal."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environ = {
            **environment(folder),
            "MIGAS_DELIVERY": "spool",
            "CI": "",
            "MIGAS_ENDPOINT": "http://127.0.0.1:9",
        }
        self.config = folder / "home/config/migas"

    def sees(self, text: str, **settings: str) -> str:
        with Terminal([sys.executable, "-c", text], {**self.environ, **settings}) as terminal:
            shown = terminal.read_all()
        assert terminal.process.returncode == 0, shown
        return shown

    def gets_in_a_file(self, text: str, **settings: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", text],
            env={**self.environ, **settings},
            stderr=subprocess.PIPE,
            check=True,
        )
        return done.stderr.decode()


@pytest.fixture
def person(tmp_path: Path) -> Person:
    return Person(tmp_path)


@pytest.fixture(scope="module")
def collector(shared_collector: CollectorProcess) -> CollectorProcess:
    """A server that knows of a project's newer version, and of a flagged one."""
    first = {"project": "lab/noticed", "project_version": "1.0", "language": "python"}
    status, _ = request(
        shared_collector.url,
        path="/api/breadcrumb?wait=true",
        json_data={**first, "language_version": "3.11.0"},
    )
    assert status == 200
    release = ("release", "lab/noticed", "1.10.0", "--flag", "1.1.0")
    run_command("project", *release, "--db", f"sqlite:///{shared_collector.database}")
    return shared_collector


def test_a_user_is_told_once_and_how_to_turn_it_off(person: Person) -> None:
    shown = person.sees(FIRST_RUN)
    assert shown.count("\n") == 1
    assert "MIGAS_OPTOUT" in shown
    assert "migas optout" in shown
    assert person.sees(FIRST_RUN) == ""


def test_a_user_without_a_terminal_is_told_when_they_have_one(person: Person) -> None:
    assert person.gets_in_a_file(FIRST_RUN) == ""
    assert "MIGAS_OPTOUT" in person.sees(FIRST_RUN)


def test_who_opted_out_need_not_be_told(person: Person) -> None:
    assert person.sees(FIRST_RUN, MIGAS_OPTOUT="1") == ""
    assert not person.config.exists()


def test_nobody_is_told_who_was_not_to_be(person: Person) -> None:
    assert person.sees(FIRST_RUN.replace(", first_run_notice=True", "")) == ""


@pytest.mark.parametrize(
    ("version", "line"),
    [
        ("1.9.0", "noticed 1.10.0 is available (this is 1.9.0).\n"),
        ("1.1.0", "noticed 1.1.0 has been flagged by its makers; the newest is 1.10.0.\n"),
        ("1.10.0", ""),
    ],
)
def test_what_an_answer_told_is_told_at_the_end_of_a_later_run(
    person: Person, collector: CollectorProcess, version: str, line: str
) -> None:
    text = UPDATE % version
    # A courier that a program waits for asks no third site for news: one that is on its own does.
    assert person.sees(text, MIGAS_ENDPOINT=collector.url, MIGAS_DELIVERY="detached") == ""
    wait_until(lambda: list(person.folder.rglob("releases.json")))
    assert person.sees(text) == line
    if version == "1.9.0":
        assert person.sees(text, CI="true") == ""
        assert person.gets_in_a_file(text) == ""
        assert person.sees(text.replace(", update_notice=True", "")) == ""


def test_a_courier_that_is_waited_for_asks_for_no_news(
    person: Person, collector: CollectorProcess
) -> None:
    """A server may ask a third site for them, which takes longer than a program waits."""
    text = UPDATE % "1.8.0"
    assert person.sees(text, MIGAS_ENDPOINT=collector.url, MIGAS_DELIVERY="inline") == ""
    assert [crumb["version"] for crumb in collector.crumbs()].count("1.8.0") == 1
    assert not list(person.folder.rglob("releases.json"))
    assert person.sees(text) == ""


@pytest.mark.parametrize(
    ("latest", "version", "newer"),
    [
        ("1.10.0", "1.9.0", True),
        ("1.9.0", "1.10.0", False),
        ("v2", "1.9.9", True),
        ("1.2", "1.2.0", False),
        ("1.2.0", "1.2.0rc1", True),
        ("1.2.0", "1.2.0.dev3+g12", True),
        ("1.2.0", "1.2.0+local", False),
        ("1.3.0rc1", "1.2.0", False),
        ("unknown", "1.2.0", False),
        ("1.2.0", "0+unknown", False),
        ("1.2.0", "unknown", False),
        ("9" * 5000, "1.0", True),
        ("", "", False),
    ],
)
def test_a_later_release_is_known_by_its_numbers(latest: str, version: str, newer: bool) -> None:
    assert releases.is_newer(latest, version) is newer


def test_a_servers_word_cannot_steer_a_terminal(tmp_path: Path) -> None:
    releases.learn(
        str(tmp_path), "lab/tool", {"latest_version": "\x1b[2J9.0\n\r\u202e", "bad_versions": 7}
    )
    assert releases.known(str(tmp_path), "lab/tool") == {"latest": "[2J9.0", "bad_versions": []}


@pytest.mark.parametrize("text", ["", "[", "[]", '{"lab/tool": 3}', '{"lab/tool": {"latest": 3}}'])
def test_a_file_that_makes_no_sense_tells_nothing(tmp_path: Path, text: str) -> None:
    tmp_path.joinpath("releases.json").write_text(text)
    assert releases.known(str(tmp_path), "lab/tool") is None
    releases.learn(str(tmp_path), "lab/tool", {"latest_version": "2.0", "bad_versions": []})
    known = releases.known(str(tmp_path), "lab/tool")
    assert known is not None
    assert known["latest"] == "2.0"


@pytest.mark.parametrize("kind", ["fifo", "writable", "anothers"])
def test_a_file_that_is_not_the_users_own_tells_nothing_and_holds_nobody(
    tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "releases.json"
    if kind == "fifo":
        os.mkfifo(path, 0o600)
    else:
        path.write_text('{"lab/tool": {"latest": "9.0", "bad_versions": []}}')
        path.chmod(0o622 if kind == "writable" else 0o644)
    if kind == "anothers":
        _give_away(path)
    assert releases.known(str(tmp_path), "lab/tool") is None


def _give_away(path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root gives files to others")
    os.chown(path, NOBODY, NOBODY)
