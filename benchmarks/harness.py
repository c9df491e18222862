"""Robust timing on a noisy machine: programs take turns, and each is compared within its round.

Every program is a process of its own. Wall time, CPU time and peak memory are the kernel's; a
process that a program leaves behind (a courier) becomes ours when its parent ends, so that its
CPU time can be told too and it cannot disturb the next program.
"""

from __future__ import annotations

import contextlib
import ctypes
import marshal
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pytest

from benchmarks.launcher import BYTES_PER_MAXRSS
from tests.support import worlds

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True)
class Program:
    """Something to run.

    Args:
        name: What the tables call it.
        python: The interpreter, that of the program's virtual environment.
        source: The program's text, or the arguments of the interpreter.
        settings: Environment variables beside the harness's own.
    """

    name: str
    python: str
    source: str | tuple[str, ...]
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Sample:
    """One run: seconds of wall and CPU time, peak memory in bytes, and the same of what it left.

    What it has waited for itself, as for an inline courier, counts as its own: CPU is the sum,
    memory that of the larger process.
    """

    status: int
    wall: float
    cpu: float
    memory: float
    left_cpu: float = 0.0
    left_memory: float = 0.0
    left_alive: bool = False

    @property
    def all_cpu(self) -> float:
        """Of the program and its courier."""
        return self.cpu + self.left_cpu

    @property
    def all_memory(self) -> float:
        """Of the larger one, the program or its courier."""
        return max(self.memory, self.left_memory)


@dataclass(frozen=True)
class Series:
    """All runs of one program, in the order of the rounds."""

    samples: tuple[Sample, ...]

    def values(self, what: str) -> list[float]:
        """One field of `Sample` for each run."""
        return [getattr(sample, what) for sample in self.samples]

    def median(self, what: str = "wall") -> float:
        """The middle value."""
        return statistics.median(self.values(what))

    def added(self, bare: Series, what: str = "wall") -> float:
        """The median of what each run took more than the bare run of the same round."""
        pairs = zip(self.values(what), bare.values(what), strict=False)
        return statistics.median(mine - its for mine, its in pairs)

    def added_at_best(self, bare: Series, what: str = "wall") -> float:
        """The best run's excess over the best bare run: the cost with the noise taken out."""
        return min(self.values(what)) - min(bare.values(what))

    @property
    def failures(self) -> list[int]:
        """Exit statuses other than 0; negative ones are signals, -9 our own timeout's."""
        return [sample.status for sample in self.samples if sample.status]


ORDINARY, CONTAINER = "ordinary host", "container"
WORLDS = (ORDINARY, CONTAINER)
"""What `auto` tells apart: in the first couriers are detached, in the second waited for."""


class Harness:
    """Runs programs in a temporary home. Use it as a context manager.

    Args:
        world: One of `WORLDS`, in which the programs believe themselves to be.
        cpu: The one CPU that all programs share, if they are to share one.

    Raises:
        RuntimeError: From within this container no program can be made to see an ordinary host.
    """

    def __init__(self, world: str = ORDINARY, *, cpu: int | None = None) -> None:
        self.world = world
        self.directory = tempfile.mkdtemp(prefix="migas-benchmarks-")
        self.adopts = _adopt_orphans()
        self._runs = 0
        self._paths: dict[str, str] = {}
        self._seen = worlds.CONTAINER if world == CONTAINER else worlds.PLAIN
        launcher = os.path.join(os.path.dirname(__file__), "launcher.py")
        command = [sys.executable, "-I", "-S", launcher]
        if world == ORDINARY:
            try:
                command = [*worlds.ordinary_host(Path(self.directory)), *command]
            except pytest.skip.Exception as problem:
                raise RuntimeError(str(problem)) from None
        self._launcher = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        if cpu is not None:
            os.sched_setaffinity(self._launcher.pid, {cpu})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._launcher:
            assert self._launcher.stdin is not None
            self._launcher.stdin.close()
        self.settle(0)
        shutil.rmtree(self.directory, ignore_errors=True)

    def environment(self, program: Program, state: str) -> dict[str, str]:
        """What a program finds in its environment: nothing of ours, no proxy, its own home."""
        return {
            **self._seen,
            "HOME": state,
            "TMPDIR": state,
            "MIGAS_STATE_DIR": os.path.join(state, "migas"),
            **program.settings,
        }

    def folder(self) -> str:
        """A new and empty folder for one run's home and state."""
        self._runs += 1
        path = os.path.join(self.directory, str(self._runs))
        os.mkdir(path)
        return path

    def arguments(self, program: Program) -> list[str]:
        """The command line of a program; a text becomes a file once."""
        if not isinstance(program.source, str):
            return [program.python, *program.source]
        if program.source not in self._paths:
            path = os.path.join(self.directory, f"program{len(self._paths)}.py")
            with open(path, "w", encoding="utf-8") as file:
                file.write(program.source)
            self._paths[program.source] = path
        return [program.python, self._paths[program.source]]

    def run(
        self,
        program: Program,
        *,
        state: str | None = None,
        timeout: float = 60.0,
        grace: float | None = 10.0,
    ) -> Sample:
        """Run a program once.

        Args:
            program: What to run.
            state: Its home; without one it gets a new one, so that no run helps the next.
            timeout: Seconds after which it is killed.
            grace: Seconds that processes left behind may live on before they are killed; None
                leaves them alone.
        """
        state = state or self.folder()
        request = (self.arguments(program), self.environment(program, state), state, timeout)
        assert self._launcher.stdin is not None
        assert self._launcher.stdout is not None
        marshal.dump(request, self._launcher.stdin)
        self._launcher.stdin.flush()
        status, wall, cpu, memory = marshal.load(self._launcher.stdout)
        left = (0.0, 0.0, True) if grace is None else self.settle(grace)
        return Sample(status, wall, cpu, memory, *left)

    def compare(
        self,
        programs: Sequence[Program],
        *,
        rounds: int = 7,
        budget: float = 20.0,
        timeout: float = 60.0,
        grace: float = 10.0,
    ) -> dict[str, Series]:
        """Run all programs in turn, again and again.

        Args:
            programs: What to run; their names are different.
            rounds: How often each one runs, after a first round that does not count.
            budget: Seconds after which no further round begins; one is always counted.
            timeout: As for `run`.
            grace: As for `run`.

        Returns:
            The runs of each program by its name.
        """
        samples: dict[str, list[Sample]] = {program.name: [] for program in programs}
        start = time.monotonic()
        for number in range(-1, rounds if programs else -1):
            for program in _rotated(programs, number):
                sample = self.run(program, timeout=timeout, grace=grace)
                # A program that takes seconds is not warmed up: it would double the time it eats.
                if number >= 0 or sample.wall > 1.5:
                    samples[program.name].append(sample)
            if number >= 0 and time.monotonic() - start > budget:
                break
        return {name: Series(tuple(taken)) for name, taken in samples.items()}

    def settle(self, grace: float) -> tuple[float, float, bool]:
        """Wait for what the last program left behind, then kill it.

        Returns:
            The CPU seconds it took, its peak memory in bytes, and whether it had to be killed.
        """
        cpu, memory, killed = 0.0, 0.0, False
        deadline = time.monotonic() + grace
        while orphans := self._orphans():
            if time.monotonic() >= deadline:
                killed = True
                for pid in orphans:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
            for pid in orphans:
                done, _, usage = os.wait4(pid, 0 if killed else os.WNOHANG)
                if done:
                    cpu += usage.ru_utime + usage.ru_stime
                    memory = max(memory, usage.ru_maxrss * BYTES_PER_MAXRSS)
            time.sleep(0.005)
        return cpu, memory, killed

    def _orphans(self) -> list[int]:
        if not self.adopts:
            return []
        return [pid for pid in _children(os.getpid()) if pid != self._launcher.pid]


def _rotated(programs: Sequence[Program], number: int) -> Iterable[Program]:
    """The programs, each round beginning with another one."""
    first = number % len(programs)
    return (*programs[first:], *programs[:first])


def _adopt_orphans() -> bool:
    if sys.platform != "linux":
        return False
    return bool(ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)


def _children(parent: int) -> list[int]:
    children = []
    for name in os.listdir("/proc"):
        if name.isdecimal():
            with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:
                # The second field, the name in parentheses, may contain anything.
                if int(file.read().rpartition(b")")[2].split()[1]) == parent:
                    children.append(int(name))
    return children
