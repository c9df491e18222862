"""A real PgBouncer before a PostgreSQL, as managed ones have it: in transaction mode."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.postgres import Postgres

COMMAND = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
MISSING = "no PgBouncer on this machine: apt-get install pgbouncer"
START_SECONDS = 30.0

_PORT = 6432
_SETTINGS = """
[databases]
* = host={server} user=postgres
[pgbouncer]
listen_addr =
listen_port = {port}
unix_socket_dir = {folder}
auth_type = any
pool_mode = transaction
default_pool_size = {connections}
server_round_robin = 1
ignore_startup_parameters =
"""


class PgBouncer:
    """A pooler that hands out connections for a transaction each.

    Args:
        folder: Where its socket is.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def url(self, database: str) -> str:
        """Another URL of a database, whose connections pass through here."""
        name = urlsplit(database).path.removeprefix("/")
        return f"postgresql://postgres@/{name}?host={self._folder}&port={_PORT}"


@contextmanager
def running_pgbouncer(server: Postgres, connections: int = 2) -> Iterator[PgBouncer]:
    """Run a PgBouncer for a `with` block.

    Args:
        server: What it connects to.
        connections: How many it opens for each database, taken in turns: so few that clients
            share them, and more than one so that a client's next transaction is on another.
    """
    assert COMMAND is not None, MISSING
    folder = Path(tempfile.mkdtemp(prefix="migas-pgb-", dir="/tmp"))
    settings = folder / "pgbouncer.ini"
    try:
        settings.write_text(
            _SETTINGS.format(
                server=server.folder, port=_PORT, folder=folder, connections=connections
            )
        )
        if server.system_user is not None:  # as root it does not run
            shutil.chown(folder, server.system_user)
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [COMMAND, settings],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                user=server.system_user,
            )
        try:
            deadline = time.monotonic() + START_SECONDS
            while not (folder / f".s.PGSQL.{_PORT}").exists():
                assert process.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < deadline, "PgBouncer does not start"
                time.sleep(0.01)
            yield PgBouncer(folder)
        finally:
            process.kill()
            process.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
