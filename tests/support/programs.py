"""Real programs for tests: written into a folder, run by this interpreter, seen from outside.

A program's text marks with `TRACK`, `SETUP` and `IMPORT` what migas needs of it. `tracked(text)`
fills the marks in; `bare(text)` leaves as many lines empty, so that every line number, and with it
every traceback, is that of the program without migas.
"""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.support.collector import COMMAND, plain_environment

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

PROJECT = "lab/tool"
VERSION = "1.0.0"
SECONDS = 60.0
"""What no program here comes near, so that one that hangs fails its test."""

SIDE_BY_SIDE = 3
_OF_MIGAS = ("MIGAS_", "_MIGAS_", "DO_NOT_TRACK")


@dataclass(frozen=True)
class Ended:
    """What a program's caller sees of it: the exit status, and all that it printed."""

    status: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class Program:
    """A program to run.

    Attributes:
        source: Its text.
        folder: Where it is written, runs and keeps its state.
        settings: Environment variables beside those of `environment`.
        arguments: Its command line.
        options: The interpreter's.
    """

    source: str
    folder: Path
    settings: Mapping[str, str]
    arguments: tuple[str, ...] = ()
    options: tuple[str, ...] = ()

    def run(self) -> Ended:
        """Run it to its end; its folder's name is left out of what it printed."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "program.py"
        path.write_text(self.source, encoding="utf-8")
        done = subprocess.run(
            [sys.executable, *self.options, str(path), *self.arguments],
            cwd=self.folder,
            env={**environment(self.folder), **self.settings},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=SECONDS,
            check=False,
        )
        return Ended(
            done.returncode,
            done.stdout.decode().replace(str(self.folder), ""),
            done.stderr.decode().replace(str(self.folder), ""),
        )


def run_all(programs: Iterable[Program]) -> list[Ended]:
    """Run programs, a few at a time, and return how they ended in the same order."""
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        return list(pool.map(Program.run, programs))


def environment(folder: Path) -> dict[str, str]:
    """This process's environment without any setting of migas, everything of the user's below."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith(_OF_MIGAS)}
    home = str(folder / "home")
    return {
        **kept,
        "HOME": home,
        "XDG_CONFIG_HOME": f"{home}/config",
        "XDG_CONFIG_DIRS": f"{home}/site",
        "XDG_STATE_HOME": f"{home}/state",
        "MIGAS_STATE_DIR": str(folder / "state"),
        "COLUMNS": "100",
        "PYTHONIOENCODING": "utf-8",
    }


def flush(state: Path) -> None:
    """Send what waits in a state folder, by hand."""
    subprocess.run(
        [*COMMAND, "flush", "--timeout", "60"],
        env={**plain_environment(), "MIGAS_STATE_DIR": str(state)},
        stdout=subprocess.DEVNULL,
        timeout=SECONDS * 2,
        check=True,
    )


def tracked(text: str, options: str = "") -> str:
    """A program's text with migas in it.

    Args:
        text: The text with its marks.
        options: Further arguments of `track` and `session`, each with a comma before it.
    """
    call = f'("{PROJECT}", "{VERSION}"{options})'
    return (
        text.replace("IMPORT", "import migas")
        .replace("SETUP", "migas.setup()")
        .replace("@TRACK", f"@migas.track{call}")
        .replace("with SESSION:", f"with migas.session{call}:")
    )


def bare(text: str) -> str:
    """The same text without migas."""
    return (
        text.replace("IMPORT", "#")
        .replace("SETUP", "#")
        .replace("@TRACK", "#")
        .replace("with SESSION:", "if True:")
    )
