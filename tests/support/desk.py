"""Real programs and the spool that they leave: run by this interpreter, seen from outside."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from migas.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

ROOT = Path(__file__).parents[2]
SECONDS = 60.0
"""What no program here comes near, so that one that hangs fails its test."""

NOBODY = 65534
PRELUDE = "import migas; migas.setup()"
PATIENT = "import migas; migas.setup(exit_timeout=30)"
"""For what must arrive before an attended courier is killed, on a machine however busy."""

RUN = 'migas.session("lab/tool", "1.0.0")'
COUNT_THREADS = """
import os
threads = []
os.register_at_fork(before=lambda: threads.append(len(os.listdir("/proc/self/task"))))
"""
"""How many there are at each fork, when the hooks have been called that are registered later."""

_OF_MIGAS = ("MIGAS_", "_MIGAS_", "DO_NOT_TRACK", "SLURM_", "PBS_", "LSB_", "CI", "PYTEST_")


@dataclass(frozen=True)
class Ended:
    """What a program's caller sees of it."""

    status: int
    stdout: bytes
    stderr: bytes


@dataclass
class Desk:
    """One user's place: a folder for state, and the settings that all programs here get.

    Attributes:
        folder: Where everything lies.
        endpoint: The server's base URL.
        delivery: As `MIGAS_DELIVERY`.
        settings: Further environment variables.
    """

    folder: Path
    endpoint: str = "http://127.0.0.1:9"
    delivery: str = "detached"
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def state(self) -> Path:
        """The state folder."""
        return self.folder / "state"

    @property
    def spool(self) -> Spool:
        """The spool in it."""
        return Spool(str(self.state))

    def environment(self, **settings: str) -> dict[str, str]:
        """This process's environment with this desk's settings and no other."""
        kept = {name: text for name, text in os.environ.items() if not name.startswith(_OF_MIGAS)}
        return {
            **kept,
            "HOME": str(self.folder / "home"),
            "XDG_CONFIG_HOME": str(self.folder / "home" / "config"),
            "XDG_STATE_HOME": str(self.folder / "home" / "state"),
            "MIGAS_STATE_DIR": str(self.state),
            "MIGAS_ENDPOINT": self.endpoint,
            "MIGAS_DELIVERY": self.delivery,
            "PYTHONPATH": str(ROOT),
            **self.settings,
            **settings,
        }

    def start(
        self,
        source: str,
        *,
        options: Sequence[str] = (),
        prefix: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        **popen: Any,
    ) -> subprocess.Popen[bytes]:
        """Start a program; its standard streams are pipes unless told otherwise."""
        path = self.folder / f"program-{time.monotonic_ns()}.py"
        path.write_text(source, encoding="utf-8")
        streams: dict[str, Any] = {
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
        }
        return subprocess.Popen(
            [*prefix, sys.executable, *options, str(path)],
            env=self.environment() if environment is None else dict(environment),
            **{**streams, **popen},
        )

    def run(self, source: str, **how: Any) -> Ended:
        """Run a program to its end, reading its output through pipes."""
        with self.start(source, **how) as process:
            try:
                stdout, stderr = process.communicate(timeout=SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()  # leaving the block waits for it
                raise
        assert isinstance(process.args, list)
        name = str(process.args[-1]).encode()
        return Ended(
            process.returncode,
            (stdout or b"").replace(name, b"program.py"),
            (stderr or b"").replace(name, b"program.py"),
        )

    def flush(self, seconds: float = 30.0) -> dict[str, int]:
        """Send what waits, as a person does by hand.

        Returns:
            How many were `delivered`, `refused` and still are `waiting`.
        """
        ask = f"from migas.courier import main as courier; print(*courier.flush({seconds}))"
        done = subprocess.run(
            [sys.executable, "-c", ask],
            env=self.environment(),
            stdout=subprocess.PIPE,
            timeout=seconds + SECONDS,
            check=True,
        )
        numbers = [int(word) for word in done.stdout.split()]
        return dict(zip(("delivered", "refused", "waiting"), numbers, strict=True))

    def courier(self, *arguments: str, **popen: Any) -> subprocess.Popen[bytes]:
        """Start a courier as a child, to see how it ends."""
        return subprocess.Popen(
            [sys.executable, "-m", "migas", "flush", "--courier", *arguments],
            env=self.environment(_MIGAS_COURIER="1"),
            **popen,
        )

    def couriers(self) -> list[int]:
        """The pids of this desk's couriers that are alive."""
        needle = f"MIGAS_STATE_DIR={self.state}".encode()
        found = []
        for name in os.listdir("/proc"):
            try:
                is_courier = b"--courier" in Path("/proc", name, "cmdline").read_bytes()
                if is_courier and needle in Path("/proc", name, "environ").read_bytes():
                    found.append(int(name))
            except (OSError, ValueError):
                continue
        return found

    def end_couriers(self) -> None:
        """Kill those that are left."""
        for pid in self.couriers():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def waiting(self) -> list[dict[str, Any]]:
        """The breadcrumbs that wait, oldest first."""
        spool = self.spool
        paths = [spool.folder("ready", entry.name) for entry in spool.entries()]
        return [dict(spool.read(path)["breadcrumb"]) for path in paths]

    def open(self) -> list[Path]:
        """The open records."""
        return [Path(path) for path in self.spool.open_paths()]

    def forget_failures(self) -> None:
        """Let servers be tried again now, as if the time of their backoff had passed."""
        (self.state / "servers.json").unlink(missing_ok=True)


def wait_until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait until something is so; it is an error when that takes too long."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def last_statuses(crumbs: list[dict[str, Any]]) -> dict[str, str]:
    """The status of each session's last breadcrumb, as a server's dashboard counts."""
    return {crumb["session_id"]: crumb["status"] for crumb in crumbs}
