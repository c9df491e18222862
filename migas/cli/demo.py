"""`migas demo`: real programs end in six ways, and a collector on this machine tells of each.

With `--serve` the collector shows its pages instead, over a year of two invented projects.
"""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, NamedTuple

from migas.cli.parser import complain
from migas.courier import main as courier
from migas.settings import identity, permission

if TYPE_CHECKING:
    from collections.abc import Iterator

PROJECT = "demo/program"
START_SECONDS = 30.0
STORE_SECONDS = 6.0

_PREAMBLE = """\
import asyncio, signal, sys, time
import migas

# A shell has its background ignore these.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGTERM, signal.SIG_DFL)
migas.setup(endpoint=sys.argv[1], session_id=sys.argv[2], user_id=sys.argv[3])

"""
_WAITING = """\
def main():
    print("ready", flush=True)
    for _ in range(300):
        time.sleep(0.1)

main()
"""
_TRACK = f'@migas.track("{PROJECT}", "1.0.0")\n'
_TRACK_SIGTERM = f'@migas.track("{PROJECT}", "1.0.0", signals=["SIGTERM"])\n'


class Program(NamedTuple):
    """One program and what is expected of it.

    `source` follows lines that all share. `exit_status` is what its parent sees, minus a signal's
    number when one ended it; `stored` are the status, the description and the error that a server
    is to have. It gets `sent_signal` once it says that it is ready.
    """

    title: str
    source: str
    exit_status: int
    stored: tuple[str, str, str]
    sent_signal: signal.Signals | None = None


PROGRAMS = (
    Program(
        "returns", _TRACK + "def main():\n    return 42\n\nmain()\n", 0, ("C", "Completed", "")
    ),
    Program(
        "raises ValueError",
        _TRACK + 'def main():\n    raise ValueError("7 is no even number")\n\nmain()\n',
        1,
        ("F", "Errored", "ValueError: 7 is no even number"),
    ),
    Program(
        "calls sys.exit(3)",
        _TRACK + "def main():\n    sys.exit(3)\n\nmain()\n",
        3,
        ("F", "Exited with code 3", "SystemExit"),
    ),
    Program(
        "is interrupted (Ctrl-C)", _TRACK + _WAITING, -2, ("S", "Suspended", ""), signal.SIGINT
    ),
    Program(
        "is terminated (SIGTERM)",
        _TRACK_SIGTERM + _WAITING,
        -15,
        ("S", "Terminated (SIGTERM)", ""),
        signal.SIGTERM,
    ),
    Program(
        "fails in an async def",
        _TRACK + 'async def main():\n    raise KeyError("bold")\n\nasyncio.run(main())\n',
        1,
        ("F", "Errored", "KeyError: 'bold'"),
    ),
)


def run() -> int:
    """Run the demonstration and print what happened.

    Returns:
        0 when every program was reported as it ended, 1 when one was not, 2 when the demonstration
        could not take place.
    """
    refusal = permission.refusal_by_user()
    if refusal is not None:
        return complain(f"{refusal}, so there is nothing to show. Unset it and try again.")
    with tempfile.TemporaryDirectory(prefix="migas-demo-") as folder:
        try:
            with _collector(folder) as url:
                return _show(folder, url)
        except OSError as error:
            return complain(str(error))


def serve(sessions: int | None = None) -> int:
    """Show the collector's pages over invented sessions, until SIGINT or SIGTERM.

    Args:
        sessions: About how many; by default as many as make a year worth looking at.

    Returns:
        0 after a signal; else the collector's own status, or 2 when this machine lacks what it
        needs. Nothing is left behind.
    """
    try:
        from migas.collector.admin import demo_data
    except ModuleNotFoundError as error:
        return complain(f"the collector needs {error.name}: pip install -e '.[collector]'")
    count = demo_data.SESSIONS if sessions is None else sessions
    # Whatever ends this process early has to leave through the `with`, which cleans up.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with tempfile.TemporaryDirectory(prefix="migas-demo-") as folder:
            print(f"Inventing a year of two projects, {count:,} sessions …", flush=True)
            demo_data.fill_database(_database_url(folder), count, _tell_counting)
            print("Starting the collector: open the address that it tells.", flush=True)
            print("The commands that its pages name work in another terminal, after", flush=True)
            print(f"  export MIGAS_DB={_database_url(folder)}", flush=True)
            print("Ctrl-C ends it and leaves nothing behind.", flush=True)
            return _wait_for(subprocess.Popen(_serving(folder), stdin=subprocess.DEVNULL))
    except KeyboardInterrupt:
        return 0


def _tell_counting() -> None:
    print("Counting them by everything that a page is filtered by …", flush=True)


def _wait_for(process: subprocess.Popen[bytes]) -> int:
    try:
        return process.wait()
    finally:
        process.terminate()
        process.wait()


def _show(folder: str, url: str) -> int:
    print("Six programs run, each with two lines of migas in it. They report to a collector on")
    print(f"this machine ({url}); nothing leaves it.\n")
    row = "{:2} {:25} {:>14}   {:1}  {:21} {}"
    print(row.format("", "the program", "exit status", "", "what the server stored", "").rstrip())
    sessions = [identity.random_uuid() for _ in PROGRAMS]
    statuses = _run_all(sessions, folder, url)
    stored = _stored(folder)
    all_right = True
    for program, session, status in zip(PROGRAMS, sessions, statuses, strict=True):
        found = stored.get(session, ("", "nothing", ""))
        is_right = status == program.exit_status and found == program.stored
        all_right = all_right and is_right
        print(
            row.format("ok" if is_right else "NO", program.title, _named(status), *found).rstrip()
        )
    usage = _usage(url)
    print(f"\nget_usage({PROJECT!r}) says: {usage}")
    print("`migas demo --serve` shows what a maintainer sees of such runs, on the pages of a year.")
    return 0 if all_right and usage.get("hits") == len(PROGRAMS) else 1


def _run_all(sessions: list[str], folder: str, url: str) -> list[int]:
    """Run the programs side by side and wait for them all."""
    user_id = identity.random_uuid()  # given, so that none is kept in the home of whoever looks
    running = []
    for program, session in zip(PROGRAMS, sessions, strict=True):
        path = os.path.join(folder, f"{session}.py")
        with open(path, "w", encoding="utf-8") as file:
            file.write(_PREAMBLE + program.source)
        running.append(
            subprocess.Popen(
                [sys.executable, path, url, session, user_id],
                env=_environment(folder),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # their tracebacks are not what is shown here
            )
        )
    statuses = []
    for program, process in zip(PROGRAMS, running, strict=True):
        with process:
            if program.sent_signal is not None and process.stdout is not None:
                process.stdout.readline()
                process.send_signal(program.sent_signal)
            statuses.append(process.wait())
    return statuses


def _stored(folder: str) -> dict[str, tuple[str, str, str]]:
    """What the collector's database says of each session, once all are in or time is up."""
    deadline = time.monotonic() + STORE_SECONDS
    while True:
        with closing(sqlite3.connect(_database(folder))) as connection:
            rows = connection.execute(
                "SELECT session_id, status, status_desc, error_type, error_desc FROM crumbs"
            ).fetchall()
        if len(rows) >= len(PROGRAMS) or time.monotonic() > deadline:
            break
        time.sleep(0.05)
    stored = {}
    for session_id, status, description, error_type, error_desc in rows:
        error = ": ".join(text for text in (error_type, error_desc) if text)
        stored[str(session_id)] = (status, description or "", error)
    return stored


def _usage(url: str) -> dict[str, object]:
    import datetime as dt

    from migas import get_usage, setup

    setup(endpoint=url)
    yesterday = dt.datetime.now(dt.UTC).date() - dt.timedelta(days=1)
    return dict(get_usage(PROJECT, yesterday))


@contextmanager
def _collector(folder: str) -> Iterator[str]:
    """A collector of its own on a free port over a database in the folder."""
    process = subprocess.Popen(
        _serving(folder),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            found = re.search(r"http://\S+", process.stdout.readline() if process.stdout else "")
            if found is None:
                complaint = process.stderr.read().strip() if process.stderr else ""
                complaint = complaint.removeprefix("migas: ")
                raise OSError(complaint or "the collector did not start")
            yield found[0]
        finally:
            _let_couriers_end(folder)
            process.terminate()


def _let_couriers_end(folder: str) -> None:
    """Nothing may be left behind: a courier could still be using the temporary folder."""
    try:
        courier.flush(STORE_SECONDS, _state(folder))
    except (OSError, RuntimeError) as error:
        complain(f"the spool of the demonstration: {error}")


def _environment(folder: str) -> dict[str, str]:
    kept = {name: text for name, text in os.environ.items() if "MIGAS" not in name}
    return {**kept, "MIGAS_STATE_DIR": _state(folder), "MIGAS_DELIVERY": "detached"}


def _state(folder: str) -> str:
    return os.path.join(folder, "state")


def _serving(folder: str) -> list[str]:
    database = _database_url(folder)
    return [sys.executable, "-m", "migas", "serve", "--port", "0", "--open", "--db", database]


def _database_url(folder: str) -> str:
    return f"sqlite:///{_database(folder)}"


def _database(folder: str) -> str:
    return os.path.join(folder, "collector.sqlite")


def _named(status: int) -> str:
    return str(status) if status >= 0 else f"{status} ({signal.Signals(-status).name})"
