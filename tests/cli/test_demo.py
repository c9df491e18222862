"""`migas demo` shows a newcomer real programs and what a server stored of them."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


def run_demo(folder: Path, home: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {
        name: text
        for name, text in os.environ.items()
        if "MIGAS" not in name and not name.startswith("XDG_")
    }
    environment |= {"TMPDIR": str(folder), "HOME": str(home), **variables}
    # A shell has its background ignore SIGINT; one program is to be interrupted all the same.
    background = '"$0" -m migas demo & wait "$!"'
    return subprocess.run(
        ["sh", "-c", background, sys.executable],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """A home that outlives a container, too: not on the device of its root."""
    place = "/dev/shm" if os.path.isdir("/dev/shm") else None
    with tempfile.TemporaryDirectory(dir=place) as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def demo(
    tmp_path_factory: pytest.TempPathFactory, home: Path
) -> tuple[subprocess.CompletedProcess[str], Path]:
    folder = tmp_path_factory.mktemp("demo")
    return run_demo(folder, home), folder


def test_the_demo_shows_six_endings_as_expected(
    demo: tuple[subprocess.CompletedProcess[str], Path],
) -> None:
    ran, _folder = demo
    assert (ran.returncode, ran.stderr) == (0, "")
    rows = [line for line in ran.stdout.splitlines() if line.startswith("ok ")]
    assert len(rows) == 6
    assert "'hits': 6" in ran.stdout


@pytest.mark.parametrize(
    "row",
    [
        ("returns", "0", "C  Completed"),
        ("raises ValueError", "1", "F  Errored"),
        ("calls sys.exit(3)", "3", "F  Exited with code 3"),
        ("is interrupted", "-2 (SIGINT)", "S  Suspended"),
        ("is terminated", "-15 (SIGTERM)", "S  Terminated (SIGTERM)"),
        ("fails in an async def", "1", "KeyError: 'bold'"),
    ],
)
def test_a_row_tells_the_exit_status_beside_what_was_stored(
    demo: tuple[subprocess.CompletedProcess[str], Path], row: tuple[str, ...]
) -> None:
    ran, _folder = demo
    assert any(all(text in line for text in row) for line in ran.stdout.splitlines())


def test_the_demo_leaves_nothing_behind_and_nothing_in_a_home(
    demo: tuple[subprocess.CompletedProcess[str], Path], home: Path
) -> None:
    _ran, folder = demo
    assert list(folder.rglob("*")) == list(home.rglob("*")) == []


def test_the_demo_respects_an_opt_out(tmp_path: Path, home: Path) -> None:
    ran = run_demo(tmp_path, home, MIGAS_OPTOUT="1")
    assert ran.returncode == 2
    assert "MIGAS_OPTOUT is set" in ran.stderr
    assert list(tmp_path.rglob("*")) == list(home.rglob("*")) == []
