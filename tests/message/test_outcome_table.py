"""The table of outcomes, row by row: real programs, each run bare and tracked, and a collector."""

from __future__ import annotations

import sys
import textwrap
import uuid
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.support.programs import Ended, Program, bare, flush, run_all, tracked

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.collector import CollectorProcess

pytestmark = pytest.mark.seconds(600)  # some hundred programs, each of which has a deadline

Row = tuple[str, str, str | None, str | None]
"""What is stored: status, status_desc, error_type, error_desc."""

COMPLETED: Row = ("C", "Completed", None, None)
SUSPENDED: Row = ("S", "Suspended", None, None)
TERMINATED: Row = ("S", "Terminated (SIGTERM)", None, None)
UNREAD: Row = ("S", "Terminated (SIGPIPE)", None, None)

HEAD = """\
import os, signal, sys, time
IMPORT
SETUP

class Exit(Exception):
    def __init__(self, code):
        self.exit_code = code

class Mute(Exception):
    def __str__(self):
        raise RuntimeError("not a word")

def tell(number, frame):
    print("told of", number)

def leave(number, frame):
    sys.exit(143)

def leave_no_reader():
    ours, standard_output = os.pipe()
    os.dup2(standard_output, 1)
    os.close(standard_output)
    os.close(ours)

def break_off(number, frame):
    raise InterruptedError("told to end")

print("begins", flush=True)

"""

SHAPES: dict[str, str] = {
    "function": """\
        @TRACK
        def main():
            BODY

        END(main())
        """,
    "method": """\
        class Tool:
            @TRACK
            def main(self):
                BODY

        END(Tool().main())
        """,
    "coroutine": """\
        import asyncio

        @TRACK
        async def main():
            await asyncio.sleep(0)
            BODY

        END(asyncio.run(main()))
        """,
    "with block": """\
        with SESSION:
            BODY
        print("None")
        """,
}
"""Where a program's body stands. END is what is done with what it returns."""

CLICK_SHAPES = {
    "click, track inside": """\
        import click

        @click.command()
        @click.option("--count", default=1)
        @TRACK
        def main(count):
            BODY

        main()
        """,
    "click, track outside": """\
        import click

        @TRACK
        @click.command()
        @click.option("--count", default=1)
        def main(count):
            BODY

        main()
        """,
}

TYPER_SHAPES = {
    "typer, track inside": """\
        import typer

        app = typer.Typer()

        @app.command()
        @TRACK
        def tool(count: int = 1):
            "Typer shows the lines around a failure:"
            # those that differ
            # must be
            # farther away.
            BODY

        app()
        """,
    "typer, track outside": """\
        import typer

        app = typer.Typer()

        @app.command()
        def tool(count: int = 1):
            "Typer shows the lines around a failure:"
            # those that differ
            # must be
            # farther away.
            BODY

        # Below it
        # they are
        # shown, too.

        @TRACK
        def main():
            "Typer shows the lines around a failure:"
            # those that differ
            # must be
            # farther away.
            app()

        main()
        """,
    "typer.run": """\
        import typer

        @TRACK
        def tool(count: int = 1):
            "Typer shows the lines around a failure:"
            # those that differ
            # must be
            # farther away.
            BODY

        typer.run(tool)
        """,
}


PROGRAMS: dict[str, tuple[str, Row]] = {
    "trio: is cancelled": (
        """\
        import trio

        @TRACK
        async def main():
            await trio.sleep(20)

        async def begin():
            with trio.CancelScope() as scope:
                scope.cancel()
                await main()

        trio.run(begin)
        """,
        SUSPENDED,
    ),
    "anyio on trio: is cancelled": (
        """\
        import anyio

        @TRACK
        async def main():
            await anyio.sleep(20)

        async def begin():
            with anyio.CancelScope() as scope:
                scope.cancel()
                await main()

        anyio.run(begin, backend="trio")
        """,
        SUSPENDED,
    ),
    "generator: is left early": (
        """\
        @TRACK
        def numbers():
            yield 1
            yield 2

        for number in numbers():
            break
        """,
        COMPLETED,
    ),
    "asynchronous generator: is left early": (
        """\
        import asyncio

        @TRACK
        async def numbers():
            yield 1
            yield 2

        async def main():
            async for number in numbers():
                break

        asyncio.run(main())
        """,
        COMPLETED,
    ),
    "whole program: SIGPIPE with its default action": (
        """\
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)

        @TRACK
        def main():
            leave_no_reader()
            print("to nobody", flush=True)

        main()
        """,
        UNREAD,
    ),
}
"""Ends that need a program of their own."""


@dataclass(frozen=True)
class Ending:
    """A way to end.

    Attributes:
        name: What happens.
        body: The lines that do it.
        row: What is to be stored.
        options: Arguments of `track`.
        end: What the program does with what its function returned.
        is_block: Whether it can stand in a `with` block, which returns nothing.
        has_await: Whether it can stand in a coroutine only, or anywhere else only.
    """

    name: str
    body: str
    row: Row
    options: str = ""
    end: str = "print"
    is_block: bool = True
    has_await: bool | None = None


INTERRUPT = "signal.raise_signal(signal.SIGINT)"
KILL = "os.kill(os.getpid(), signal.SIGTERM)\ntime.sleep(0)\ntime.sleep(20)"
SERVED = ', signals=["SIGTERM"]'
EXIT_CODE = ", returns_exit_code=True"
WRITE = "leave_no_reader()\nprint('to nobody', flush=True)"
BREAK_ANOTHER = "ours, theirs = os.pipe()\nos.close(ours)\nos.write(theirs, b'to nobody')"

ENDINGS = (
    Ending("returns", "return 42", COMPLETED, is_block=False),
    Ending("comes to its end", "print('works')", COMPLETED),
    Ending("SystemExit(None)", "sys.exit()", COMPLETED),
    Ending("SystemExit(0)", "sys.exit(0)", COMPLETED),
    Ending("SystemExit(False)", "sys.exit(False)", COMPLETED),
    Ending("exception with exit_code 0", "raise Exit(0)", COMPLETED),
    Ending("SystemExit(3)", "sys.exit(3)", ("F", "Exited with code 3", "SystemExit", None)),
    Ending("SystemExit(256)", "sys.exit(256)", COMPLETED),
    Ending("SystemExit(300)", "sys.exit(300)", ("F", "Exited with code 44", "SystemExit", None)),
    Ending("SystemExit(-1)", "sys.exit(-1)", ("F", "Exited with code 255", "SystemExit", None)),
    Ending(
        "SystemExit(2**70)", "sys.exit(2**70)", ("F", "Exited with code 255", "SystemExit", None)
    ),
    Ending(
        "SystemExit(3) while an exception is handled",
        "try:\n    [][2]\nexcept IndexError:\n    sys.exit(3)",
        ("F", "Exited with code 3", "IndexError", "list index out of range"),
    ),
    Ending(
        "SystemExit('text')",
        "sys.exit('no such file')",
        ("F", "Exited with code 1", "SystemExit", "no such file"),
    ),
    Ending(
        "returns the exit code 4",
        "return 4",
        ("F", "Exited with code 4", "SystemExit", None),
        EXIT_CODE,
        "sys.exit",
        is_block=False,
    ),
    Ending(
        "returns the exit code 300",
        "return 300",
        ("F", "Exited with code 44", "SystemExit", None),
        EXIT_CODE,
        "sys.exit",
        is_block=False,
    ),
    Ending("returns the exit code 0", "return 0", COMPLETED, EXIT_CODE, "sys.exit", is_block=False),
    Ending(
        "an exception",
        "raise ValueError('7 is no even number')",
        ("F", "Errored", "ValueError", "7 is no even number"),
    ),
    Ending(
        "an exception with exit_code 5",
        "raise Exit(5)",
        ("F", "Exited with code 5", "Exit", "5"),
    ),
    Ending(
        "an exception from another",
        "try:\n    {}['bold']\nexcept KeyError as error:\n    raise OSError('lost') from error",
        ("F", "Errored", "OSError", "lost"),
    ),
    Ending(
        "an exception while another is handled",
        "try:\n    {}['bold']\nexcept KeyError:\n    int('x')",
        ("F", "Errored", "ValueError", "invalid literal for int() with base 10: 'x'"),
    ),
    Ending("an exception without a text", "raise Mute", ("F", "Errored", "Mute", "<Mute>")),
    Ending(
        "an exception group",
        "raise ExceptionGroup('two', [ValueError(1), ExceptionGroup('one', [KeyError(2)]),"
        " ValueError(3)])",
        ("F", "Errored", "ExceptionGroup", "2 ValueError, 1 KeyError"),
    ),
    Ending("KeyboardInterrupt", f"{INTERRUPT}\ntime.sleep(20)", SUSPENDED, has_await=False),
    Ending("BdbQuit", "import bdb\nraise bdb.BdbQuit", SUSPENDED),
    Ending("CancelledError", "from asyncio import CancelledError\nraise CancelledError", SUSPENDED),
    Ending(
        "KeyboardInterrupt, under asyncio",
        f"{INTERRUPT}\nawait asyncio.sleep(20)",
        SUSPENDED,
        has_await=True,
    ),
    Ending(
        "is cancelled",
        "asyncio.current_task().cancel()\nawait asyncio.sleep(20)",
        SUSPENDED,
        has_await=True,
    ),
    Ending("writes what nobody reads", WRITE, UNREAD),
    Ending(
        "exits because nobody reads",
        "leave_no_reader()\ntry:\n    print('to nobody', flush=True)\nexcept BrokenPipeError:\n"
        "    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)\n    sys.exit(1)",
        UNREAD,
    ),
    Ending(
        "breaks another pipe",
        BREAK_ANOTHER,
        ("F", "Errored", "BrokenPipeError", "[Errno 32] Broken pipe"),
    ),
    Ending("SIGTERM", KILL, TERMINATED, SERVED),
    Ending(
        "SIGTERM, whose handler exits",
        f"signal.signal(signal.SIGTERM, leave)\nRUN\n{KILL}",
        TERMINATED,
        SERVED,
    ),
    Ending(
        "SIGTERM, whose handler raises",
        f"signal.signal(signal.SIGTERM, break_off)\nRUN\n{KILL}",
        TERMINATED,
        SERVED,
    ),
    Ending(
        "SIGTERM, whose handler lets the run go on",
        "signal.signal(signal.SIGTERM, tell)\nRUN\nos.kill(os.getpid(), signal.SIGTERM)\n"
        "time.sleep(0)\nsys.exit(6)",
        ("F", "Exited with code 6", "SystemExit", None),
        SERVED,
    ),
    Ending(
        "SIGTERM, while it is ignored",
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nRUN\n"
        "os.kill(os.getpid(), signal.SIGTERM)\ntime.sleep(0)",
        COMPLETED,
        SERVED,
    ),
)
"""RUN parts what a program does before its run from the run itself."""

COMMAND_ENDINGS = (
    Ending("returns", "print('works')", COMPLETED),
    Ending("Exit(0)", "raise LIBRARY.Exit(0)", COMPLETED),
    Ending("Exit(3)", "raise LIBRARY.Exit(3)", ("F", "Exited with code 3", "Exit", "3")),
    Ending("SystemExit(3)", "sys.exit(3)", ("F", "Exited with code 3", "SystemExit", None)),
    Ending("an exception", "raise ValueError('odd')", ("F", "Errored", "ValueError", "odd")),
    Ending("Abort", "raise LIBRARY.Abort", SUSPENDED),
    Ending("KeyboardInterrupt", f"{INTERRUPT}\ntime.sleep(20)", SUSPENDED),
    Ending("writes what nobody reads", WRITE, UNREAD),
)


class Case(NamedTuple):
    """One row of the table in one shape."""

    text: str
    row: Row
    options: str

    @classmethod
    def of(cls, shape: str, ending: Ending) -> Case:
        before, mark, body = ending.body.partition("RUN\n")
        text = textwrap.dedent(shape).replace("END", ending.end)
        lines = text.splitlines(keepends=True)
        filled = "".join(
            textwrap.indent(f"{body if mark else before}\n", line[: line.index("BODY")])
            if line.strip() == "BODY"
            else line
            for line in lines
        )
        return cls(HEAD + (before if mark else "") + filled, ending.row, ending.options)


def _cases() -> dict[str, Case]:
    cases = {
        f"{shape}: {ending.name}": Case.of(text, ending)
        for shape, text in SHAPES.items()
        for ending in ENDINGS
        if (ending.is_block or shape != "with block")
        and ending.has_await in (None, shape == "coroutine")
    }
    cases |= {
        name: Case(HEAD + textwrap.dedent(text), row, "") for name, (text, row) in PROGRAMS.items()
    }
    for shapes, library in ((CLICK_SHAPES, "click.exceptions"), (TYPER_SHAPES, "typer")):
        for shape, text in shapes.items():
            # typer.run is an app of one command: what ends it ends the app's commands, too.
            for ending in COMMAND_ENDINGS[:: 2 if shape == "typer.run" else 1]:
                case = Case.of(text, ending)
                cases[f"{shape}: {ending.name}"] = case._replace(
                    text=case.text.replace("LIBRARY", library)
                )
    exit_3 = cases["click, track outside: Exit(3)"]
    if click_exits_while_it_handles():
        return cases
    row = ("F", "Exited with code 3", "SystemExit", None)
    return cases | {"click, track outside: Exit(3)": exit_3._replace(row=row)}


def click_exits_while_it_handles() -> bool:
    """Whether the Exit is still being handled when click calls `sys.exit`: not since 8.5."""
    return tuple(map(int, version("click").split(".")[:2])) < (8, 5)


CASES = _cases()

NAMES = [
    # Typer takes longer to import than all of the others to run.
    pytest.param(name, marks=[pytest.mark.slow] if name.startswith("typer") else [])
    for name in CASES
]


PORTION = 40
"""So many are run at once: on a busy machine, all of them would take longer than a test may."""


class Found(NamedTuple):
    """What became of one case."""

    bare: Ended
    tracked: Ended
    rows: list[Row]


@pytest.fixture(scope="module")
def table(
    request: pytest.FixtureRequest,
    shared_collector: CollectorProcess,
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[str], Found]:
    """What became of a case: with the first one asked for, a portion of the chosen ones is run."""
    folder = tmp_path_factory.mktemp("table")
    here = [item for item in request.session.items if item.path == request.path]
    asked = {item.callspec.params["name"] for item in here if isinstance(item, pytest.Function)}
    chosen = [name for name in CASES if name in asked]
    found: dict[str, Found] = {}

    def look_up(name: str) -> Found:
        if name not in found:
            begin = chosen.index(name) // PORTION * PORTION
            portion = chosen[begin : begin + PORTION]
            found.update(run_portion(portion, folder / str(begin), shared_collector))
        return found[name]

    return look_up


def run_portion(names: list[str], folder: Path, collector: CollectorProcess) -> dict[str, Found]:
    """Run programs, some side by side, and deliver all they wrote at once."""
    sessions = {name: str(uuid.uuid4()) for name in names}
    settings = {
        "MIGAS_ENDPOINT": collector.url,
        "MIGAS_STATE_DIR": str(folder / "state"),
        "MIGAS_DELIVERY": "spool",
    }
    programs = []
    for number, name in enumerate(names):
        case = CASES[name]
        programs.append(Program(bare(case.text), folder / "bare" / str(number), {}))
        text = tracked(case.text, case.options)
        text = text.replace("setup()", f'setup(session_id="{sessions[name]}")')
        programs.append(Program(text, folder / "with" / str(number), settings))
    ended = run_all(programs)
    flush(folder / "state")
    rows: dict[str, list[Row]] = {}
    for crumb in collector.crumbs():
        error = crumb["error_type"] or None, crumb["error_desc"] or None
        rows.setdefault(crumb["session_id"], []).append(
            (crumb["status"], crumb["status_desc"], *error)
        )
    return {
        name: Found(ended[2 * number], ended[2 * number + 1], rows.get(sessions[name], []))
        for number, name in enumerate(names)
    }


@pytest.mark.parametrize("name", NAMES)
def test_the_server_stores_how_the_run_ended(name: str, table: Callable[[str], Found]) -> None:
    assert table(name).rows == [CASES[name].row]


@pytest.mark.parametrize("name", NAMES)
def test_the_tracked_program_ends_as_the_bare_one(name: str, table: Callable[[str], Found]) -> None:
    found = table(name)
    ends = [found.tracked, found.bare]
    if "2**70" in name and sys.version_info < (3, 14):
        # Some Pythons overflow there themselves; whether they say so depends on what is imported.
        ends = [replace(end, stderr="") for end in ends]
    assert ends[0] == ends[1]
    assert found.bare.stdout.startswith("begins\n")
