"""A collector in a process of its own, as `migas serve` starts it."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from subprocess import PIPE, Popen
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Collector:
    """A running `migas serve` process and where it listens."""

    def __init__(self, process: Popen[str], port: int) -> None:
        self.process = process
        self.port = port

    def memory(self) -> int:
        """The most memory that one process of it has held, in bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8")
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024

    def cpu(self) -> float:
        """Seconds of CPU that its processes have used."""
        return cpu_of_tree(self.process.pid)


@contextlib.contextmanager
def serving(url: str, *arguments: str) -> Iterator[Collector]:
    """Serve a database, with further arguments, for the time of a `with` block."""
    command = [sys.executable, "-m", "migas", "serve", "--db", url, "--port", "0", "--open"]
    process = Popen([*command, "--rate-limit", "0", *arguments], stdout=PIPE, text=True)
    try:
        assert process.stdout is not None
        address = process.stdout.readline().split()[3]
        yield Collector(process, int(address.rpartition(":")[2]))
    finally:
        process.terminate()
        process.wait(30)


def cpu_of_tree(pid: int) -> float:
    """Seconds of CPU that a process, its children and those it has outlived have used."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split()
    except OSError:  # it has just ended, and whoever waits for it has its time
        return 0.0
    ticks = sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK") + sum(cpu_of_tree(int(child)) for child in children)
