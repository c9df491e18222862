"""What the collector's commands have in common: how one is added, run, and says what came of it.

Only the standard library is imported here and at the top of each command's file, so that the
command line works without the extra.
"""

from __future__ import annotations

import io
import json
import os
import sys
from contextlib import asynccontextmanager, suppress
from functools import partial

from migas.collector.errors import CollectorError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    import datetime as dt
    from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Mapping
    from typing import Any

    from migas.collector.collector import Collector

    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001  argparse gives it no public name

    Answer = tuple[Any, str]
    """What came of it: a value for `--json`, None where all is said already; a text for people."""

    Action = Callable[[argparse.Namespace], Answer | Coroutine[Any, Any, Answer]]

WRONG = 2
"""The exit status for a command that cannot be carried out as it was given."""

MIN_LIKENESS = 0.8
"""Names of projects that are less alike than this are not taken for each other."""

_OWN = ("migas",)
_DB_HELP = (
    "sqlite:///relative/path or sqlite:////absolute/path "
    "(default: $MIGAS_DB, then a file in your data folder)"
)


def group(subparsers: Subparsers, name: str, summary: str) -> Subparsers:
    """Add a command that has commands of its own; returns where to add these."""
    parser = subparsers.add_parser(name, help=summary)
    return parser.add_subparsers(required=True, metavar="ACTION")


def add(
    subparsers: Subparsers, name: str, action: Action, summary: str, *, of_project: bool = False
) -> argparse.ArgumentParser:
    """Add a command.

    It leaves `run` in the parsed options: a function that takes them and returns the exit status,
    0, or 2 after one line on stderr.

    Args:
        subparsers: To which it is added.
        name: How it is called.
        action: What it does with its options, whose `db` is the database's URL. What cannot be
            done raises a CollectorError, whose message is for the operator.
        summary: What it does, for its help.
        of_project: Whether a project is the first of its arguments.
    """
    parser = subparsers.add_parser(name, help=summary)
    parser.add_argument("--db", metavar="URL", help=_DB_HELP)
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    if of_project:
        parser.add_argument("project", metavar="owner/repo")
    parser.set_defaults(run=partial(_run, action))
    return parser


def _run(action: Action, options: argparse.Namespace) -> int:
    """Carry a command out and print its answer; say in one line where it would raise."""
    import asyncio

    try:
        from migas.collector.database.engine import default_url

        _allow_any_text()
        try:
            options.db = options.db or os.environ.get("MIGAS_DB") or default_url()
            answer = action(options)
            told, text = answer if isinstance(answer, tuple) else asyncio.run(answer)
            said = json.dumps(told) if options.json and told is not None else text
            say(said and f"{said}\n")
        finally:
            say()
    except CollectorError as error:
        return _complain(str(error))
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] in _OWN:
            raise
        return _complain(f"the collector needs {error.name}: pip install -e '.[collector]'")
    return 0


def _complain(problem: str) -> int:
    line = " ".join(problem.split())
    sys.stderr.write(f"migas: {line}\n")
    return WRONG


def _allow_any_text() -> None:
    """Have stdout write what its encoding lacks as an escape instead of failing."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def say(text: str = "") -> None:
    """Print a text, and write out what was printed before.

    Raises:
        CollectorError: It cannot be written, to a full disk say; then nothing more is tried.
    """
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        _give_up()
        raise unwritable(error) from error


def unwritable(error: OSError) -> CollectorError:
    """What to tell of a failure to write to stdout."""
    return CollectorError(f"cannot write to stdout: {error.strerror}")


def _give_up() -> None:
    """Keep Python from trying to write the rest once more at its end, and complaining then."""
    with suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


@asynccontextmanager
async def opened(database: str, project: str | None = None) -> AsyncIterator[Collector]:
    """A database that is there, and one where a project is registered, if one is named."""
    from migas.collector.collector import Collector

    if project is not None:
        check_name(project)
    _check_exists(database)
    async with Collector.open(database) as collector:
        if project is not None and not await collector.projects.is_registered(project):
            known = f"{project} is not registered in {collector.description}"
            first = f"run `migas project add {project}` first"
            raise CollectorError(f"{known}: {await suggestion(collector, project) or first}")
        yield collector


async def suggestion(collector: Collector, project: str) -> str:
    """A question about the registered project whose name is nearly that one; empty if none is."""
    from difflib import get_close_matches

    names = get_close_matches(project, await collector.projects.names(), 1, MIN_LIKENESS)
    return f"is {names[0]} meant?" if names else ""


def _check_exists(database: str) -> None:
    """To make a database where a path is misspelt would hide the mistake."""
    from migas.collector.database.engine import describe, engine_url

    url = engine_url(database)
    if url.get_backend_name() == "sqlite" and not os.path.exists(url.database or ""):
        raise CollectorError(
            f"there is no database {describe(url)}: name another one with --db, "
            "or make this one with `migas project add owner/repo`"
        )


def check_name(name: str) -> None:
    """See that a text has the form of a project's name."""
    from migas.collector.database.tables import MAX_PROJECT_CHARS
    from migas.collector.projects.names import is_project_name

    if not is_project_name(name):
        raise CollectorError(
            f"{name!r} is no project name: write owner/repo in letters, digits, '.', '_' and '-', "
            f"at most {MAX_PROJECT_CHARS} characters"
        )


def day(text: str | None) -> dt.date | None:
    """The day that somebody has typed; None for none."""
    from datetime import date

    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError:
        raise CollectorError(f"{text!r} is no day: write one like 2026-01-31") from None


def told_times(facts: Mapping[str, Any], times: Collection[str]) -> dict[str, Any]:
    """Facts for `--json`, in which these are times: texts of ISO 8601, in UTC, or None."""
    from migas.collector.days import moment

    return {
        name: moment(value).isoformat() if name in times and value is not None else value
        for name, value in facts.items()
    }


def one_line(text: str) -> str:
    """A text of strangers for a terminal: it breaks no line and steers nothing."""
    return "".join(character for character in " ".join(text.split()) if character.isprintable())
