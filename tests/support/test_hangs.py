"""Nothing that hangs holds up whoever runs the tests: it fails, and says where it was."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.support import hangs

ROOT = Path(__file__).parents[2]

PROGRAM = """\
import subprocess, sys

def test_that_hangs():
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        process.wait()

def test_that_goes_on():
    pass
"""
STUBBORN = """\
import time

def test_that_hangs():
    while True:
        try:
            time.sleep(60)
        except BaseException:
            pass
"""
MARKED = """\
import time
import pytest

@pytest.fixture
def slow():
    time.sleep(0.5)

@pytest.mark.seconds(0.2)
def test_that_is_quick(slow):
    pass

@pytest.mark.seconds(0.2)
def test_that_hangs():
    time.sleep(60)
"""


def run(folder: Path, text: str, seconds: float = 1.0) -> subprocess.CompletedProcess[str]:
    (folder / "conftest.py").write_text(
        "from tests.support import hangs\nfrom tests.support.hangs import *\n"
        f"hangs.SECONDS, hangs.LAST_SECONDS = {seconds}, 5.0\n"
    )
    (folder / "test_it.py").write_text(text)
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-n", "0", "-p", "no:cacheprovider", str(folder)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


def test_a_test_that_hangs_fails_where_it_waits_and_the_others_go_on(tmp_path: Path) -> None:
    done = run(tmp_path, PROGRAM)
    assert "> " in done.stdout
    assert "process.wait()" in done.stdout
    assert "1 failed, 1 passed" in done.stdout


def test_one_that_catches_everything_dies_with_its_stack(tmp_path: Path) -> None:
    done = run(tmp_path, STUBBORN)
    assert done.returncode != 0
    assert "in test_that_hangs" in done.stderr


def test_a_limit_of_its_own_is_for_a_test_and_not_for_its_fixtures(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = seconds(limit)\n")
    done = run(tmp_path, MARKED, 50.0)
    assert "it hangs: 0 s have passed" in done.stdout
    assert "1 failed, 1 passed" in done.stdout


def test_that_is_so_within_two_minutes() -> None:
    assert hangs.SECONDS + hangs.LAST_SECONDS <= 120


def test_no_program_waits_for_a_signal_that_may_have_come_already() -> None:
    # Between a line of output and the wait a signal is lost: from 3.14 on every tenth time.
    race = "signal." + "pause("
    waiting = [path for path in ROOT.glob("[mt]*s/**/*.py") if race in path.read_text("utf-8")]
    assert waiting == []
