"""A real collector, in a process of its own, for tests that need a server.

A test writes `with running_collector() as collector:`, hands `collector.url` to what it tests and
looks at `collector.crumbs()`, or `collector.wait_for_crumbs(1)` where nobody waits for an answer.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

COMMAND = (sys.executable, "-m", "migas")
"""How the `migas` command is run."""

STARTUP_SECONDS = 60.0
STOP_SECONDS = 30.0


class CollectorProcess:
    """A `migas serve` process on a loopback port.

    Args:
        database: The SQLite file, which need not exist yet.
        open_registration: Whether unknown projects are registered at their first breadcrumb.
        environment: The environment of the process; by default this one's without `MIGAS_*`.
        database_url: Another database than that file, which then stays unread.
        arguments: More of the command line. Without any, requests are not limited.

    Attributes:
        arguments: The same; what is changed holds from the next start on.
        url: The base URL, as `setup(endpoint=…)` takes it; it stays the same over a restart.
        database: The SQLite file.
        process: The running process, or None after `stop()` or `kill()`.
    """

    def __init__(
        self,
        database: Path,
        *,
        open_registration: bool = True,
        environment: Mapping[str, str] | None = None,
        database_url: str | None = None,
        arguments: Sequence[str] = ("--rate-limit", "0"),
    ) -> None:
        self.database = database
        self._database_url = database_url or f"sqlite:///{database}"
        self.arguments = arguments
        self.url = ""
        self.process: subprocess.Popen[str] | None = None
        self._open_registration = open_registration
        self._environment = dict(plain_environment() if environment is None else environment)

    @property
    def port(self) -> int:
        """The TCP port of `url`."""
        port = urlsplit(self.url).port
        assert port is not None
        return port

    def start(self) -> None:
        """Start the process and wait until it answers; a port once taken is taken again."""
        assert self.process is None, "it is running"
        port = self.port if self.url else 0
        database = ["--db", self._database_url]
        arguments = ["serve", "--json", *database, "--port", str(port), *self.arguments]
        if self._open_registration:
            arguments.append("--open")
        # Its stderr goes to ours, where pytest shows it beside a failing test.
        self.process = subprocess.Popen(
            [*COMMAND, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            env=self._environment,
        )
        try:
            assert self.process.stdout is not None
            line = _first_line(self.process.stdout, STARTUP_SECONDS)
            assert line.startswith("{"), f"the collector did not start: {line!r}"
        except BaseException:
            self.kill()
            raise
        self.url = json.loads(line)["url"]

    def stop(self) -> int:
        """End the process as an operator would, with SIGTERM.

        Returns:
            Its exit status: 0 after a graceful stop, also when it had been stopped before.
        """
        return self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the process as an accident would, with SIGKILL."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop the process when it runs, and start another on the same port and database."""
        self.stop()
        self.start()

    def crumbs(self) -> list[dict[str, Any]]:
        """The stored breadcrumbs in the order of their commits, read from the file itself.

        Returns:
            For each `project`, `version`, `language`, `language_version`, `session_id`,
            `user_id`, `status` (R, C, F or S), `status_desc`, `error_type`, `error_desc`,
            `is_ci` (a bool) and `timestamp` (seconds since 1970 in UTC).
        """
        rows = self.query(
            "SELECT project, version, language, language_version, session_id, user_id, status,"
            " status_desc, error_type, error_desc, is_ci, timestamp FROM crumbs ORDER BY idx"
        )
        return [row | {"is_ci": bool(row["is_ci"])} for row in rows]

    def users(self) -> list[dict[str, Any]]:
        """The stored users: `user_id`, `user_type`, `platform` and `container`."""
        return self.query("SELECT * FROM users ORDER BY rowid")

    def projects(self) -> list[str]:
        """The registered projects in the order of their registration."""
        return [row["project"] for row in self.query("SELECT project FROM projects ORDER BY idx")]

    def query(self, sql: str, *parameters: object) -> list[dict[str, Any]]:
        """Rows of the database as dicts, read beside the running server."""
        with closing(sqlite3.connect(self.database, timeout=10)) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(sql, parameters)]

    def wait_for_crumbs(self, count: int, timeout: float = 20.0) -> list[dict[str, Any]]:
        """Wait until at least so many breadcrumbs are stored, for senders that nobody waits for.

        Raises:
            AssertionError: They are not there after `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        while True:
            rows = self.crumbs()
            if len(rows) >= count:
                return rows
            assert time.monotonic() < deadline, f"{len(rows)} of {count} breadcrumbs arrived"
            time.sleep(0.02)

    def _end(self, number: signal.Signals) -> int:
        process, self.process = self.process, None
        if process is None:
            return 0
        try:
            process.send_signal(number)
            return process.wait(STOP_SECONDS)
        finally:
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


@contextmanager
def running_collector(
    database: str | os.PathLike[str] | None = None,
    *,
    open_registration: bool = True,
    projects: Sequence[str] = (),
    releases: Mapping[str, Sequence[str]] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[CollectorProcess]:
    """Run a real collector, `migas serve` on a free loopback port, for a `with` block.

    Args:
        database: The SQLite file; by default one in a temporary folder.
        open_registration: Whether unknown projects are registered at their first breadcrumb.
        projects: Projects to register before it starts.
        releases: For some of them the newest version, followed by flagged ones.
        environment: The environment of the process; by default this one's without `MIGAS_*`.

    Yields:
        The collector, answering. It is stopped at the end of the block.
    """
    with tempfile.TemporaryDirectory(prefix="migas-collector-") as folder:
        path = Path(folder, "collector.sqlite") if database is None else Path(database)
        url = f"sqlite:///{path}"
        if projects:
            run_command("project", "add", *projects, "--db", url)
        for project, (latest, *flagged) in (releases or {}).items():
            flags = ["--flag", *flagged] if flagged else []
            run_command("project", "release", project, latest, *flags, "--db", url)
        collector = CollectorProcess(
            path, open_registration=open_registration, environment=environment
        )
        collector.start()
        try:
            yield collector
        finally:
            collector.stop()


def run_command(*arguments: str) -> str:
    """Run the `migas` command to its end.

    Returns:
        What it printed.

    Raises:
        subprocess.CalledProcessError: Its exit status is not 0.
    """
    done = subprocess.run(
        [*COMMAND, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=STARTUP_SECONDS,
        env=plain_environment(),
    )
    return done.stdout


def plain_environment() -> dict[str, str]:
    """This process's environment without any setting of migas."""
    return {name: value for name, value in os.environ.items() if not name.startswith("MIGAS_")}


def _first_line(stream: IO[str], timeout: float) -> str:
    """The first line of a stream, which is empty when its writer ended without one."""
    ready, _, _ = select.select([stream], [], [], timeout)
    assert ready, f"not a word from the collector in {timeout} seconds"
    return stream.readline()
