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
from typing import TYPE_CHECKING

from migas.courier import main as courier
from migas.settings import identity, permission

if TYPE_CHECKING:
    from collections.abc import Iterator

PROJECT = "demo/program"
START_SECONDS = 30.0
STORE_SECONDS = 6.0

_PREAMBLE = """\
import sys, time
import migas

migas.setup(endpoint=sys.argv[1], session_id=sys.argv[2], user_id=sys.argv[3])

"""
_TRACK = f'@migas.track("{PROJECT}", "1.0.0")'


class Program:
    """One program and what is expected of it.

    Args:
        title: What it does, in a few words.
        source: Its text, after the lines that all share.
        exit_status: What its parent sees; minus a signal's number when one ended it.
        stored: Status, description and error that a server is to have stored.
        sent_signal: The signal it gets once it says that it is ready.
    """

    def __init__(
        self,
        title: str,
        source: str,
        exit_status: int,
        stored: tuple[str, str, str],
        sent_signal: signal.Signals | None = None,
    ) -> None:
        self.title = title
        self.source = _PREAMBLE + source
        self.exit_status = exit_status
        self.stored = stored
        self.sent_signal = sent_signal
        self.session_id = identity.random_uuid()


_WAITING = """\
def main():
    print("ready", flush=True)
    for _ in range(300):
        time.sleep(0.1)

main()
"""


def programs() -> list[Program]:
    """The programs in the order of the table."""
    return [
        Program(
            "returns",
            f"{_TRACK}\ndef main():\n    return 42\n\nmain()\n",
            0,
            ("C", "Completed", ""),
        ),
        Program(
            "raises ValueError",
            f'{_TRACK}\ndef main():\n    raise ValueError("7 is no even number")\n\nmain()\n',
            1,
            ("F", "Errored", "ValueError: 7 is no even number"),
        ),
        Program(
            "calls sys.exit(3)",
            f"{_TRACK}\ndef main():\n    sys.exit(3)\n\nmain()\n",
            3,
            ("F", "Exited with code 3", "SystemExit"),
        ),
        Program(
            "is interrupted (Ctrl-C)",
            f"{_TRACK}\n{_WAITING}",
            -int(signal.SIGINT),
            ("S", "Suspended", ""),
            signal.SIGINT,
        ),
        Program(
            "is terminated (SIGTERM)",
            f'@migas.track("{PROJECT}", "1.0.0", signals=["SIGTERM"])\n{_WAITING}',
            -int(signal.SIGTERM),
            ("S", "Terminated (SIGTERM)", ""),
            signal.SIGTERM,
        ),
        Program(
            "fails in an async def",
            f"import asyncio\n\n{_TRACK}\nasync def main():\n    await asyncio.sleep(0)\n"
            '    raise KeyError("bold")\n\nasyncio.run(main())\n',
            1,
            ("F", "Errored", "KeyError: 'bold'"),
        ),
    ]


def run() -> int:
    """Run the demonstration and print what happened.

    Returns:
        0 when every program was reported as it ended, 1 when one was not, 2 when the demonstration
        could not take place.
    """
    refusal = permission.refusal_by_user()
    if refusal is not None:
        print(
            f"migas: {refusal}, so there is nothing to show. Unset it and try again.",
            file=sys.stderr,
        )
        return 2
    with tempfile.TemporaryDirectory(prefix="migas-demo-") as folder:
        try:
            with _collector(folder) as url:
                return _show(folder, url)
        except OSError as error:
            print(f"migas: {error}", file=sys.stderr)
            return 2


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
        print(
            f"migas: the collector needs {error.name}: pip install -e '.[collector]'",
            file=sys.stderr,
        )
        return 2
    count = demo_data.SESSIONS if sessions is None else sessions
    # Whatever ends this process early has to leave through the `with`, which cleans up.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with tempfile.TemporaryDirectory(prefix="migas-demo-") as folder:
            print(f"Inventing a year of two projects, {count:,} sessions …", flush=True)
            demo_data.fill_database(_database_url(folder), count)
            print("Open this address; Ctrl-C ends it and leaves nothing behind.", flush=True)
            return _wait_for(subprocess.Popen(_serving(folder), stdin=subprocess.DEVNULL))
    except KeyboardInterrupt:
        return 0


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
    shown = programs()
    statuses = _run_all(shown, folder, url)
    stored = _stored(shown, folder)
    all_right = True
    for program, status in zip(shown, statuses, strict=True):
        found = stored.get(program.session_id, ("", "nothing", ""))
        is_right = status == program.exit_status and found == program.stored
        all_right = all_right and is_right
        print(
            row.format("ok" if is_right else "NO", program.title, _named(status), *found).rstrip()
        )
    usage = _usage(url)
    print(f"\nget_usage({PROJECT!r}) says: {usage}")
    return 0 if all_right and usage.get("hits") == len(shown) else 1


def _run_all(shown: list[Program], folder: str, url: str) -> list[int]:
    """Run the programs side by side and wait for them all."""
    user_id = identity.random_uuid()  # given, so that none is kept in the home of whoever looks
    running = []
    for number, program in enumerate(shown):
        path = os.path.join(folder, f"program{number}.py")
        with open(path, "w", encoding="utf-8") as file:
            file.write(program.source)
        with _no_signal_ignored():
            running.append(
                subprocess.Popen(
                    [sys.executable, path, url, program.session_id, user_id],
                    env=_environment(folder),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,  # their tracebacks are not what is shown here
                )
            )
    statuses = []
    for program, process in zip(shown, running, strict=True):
        with process:
            if program.sent_signal is not None and process.stdout is not None:
                process.stdout.readline()
                process.send_signal(program.sent_signal)
            statuses.append(process.wait())
    return statuses


@contextmanager
def _no_signal_ignored() -> Iterator[None]:
    """What a shell has its background ignore, programs started here would ignore as well."""
    ignored = [
        number
        for number in (signal.SIGINT, signal.SIGTERM)
        if signal.getsignal(number) is signal.SIG_IGN
    ]
    for number in ignored:
        signal.signal(number, signal.SIG_DFL)
    try:
        yield
    finally:
        for number in ignored:
            signal.signal(number, signal.SIG_IGN)


def _stored(shown: list[Program], folder: str) -> dict[str, tuple[str, str, str]]:
    """What the collector's database says of each session, once all are in or time is up."""
    deadline = time.monotonic() + STORE_SECONDS
    while True:
        with closing(sqlite3.connect(_database(folder))) as connection:
            rows = connection.execute(
                "SELECT session_id, status, status_desc, error_type, error_desc FROM crumbs"
            ).fetchall()
        if len(rows) >= len(shown) or time.monotonic() > deadline:
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
        print(f"migas: the spool of the demonstration: {error}", file=sys.stderr)


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
