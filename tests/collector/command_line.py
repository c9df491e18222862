"""Commands as an operator types them, in this process or in one of their own."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from tests.support.collector import COMMAND, plain_environment

if TYPE_CHECKING:
    from typing import Protocol

    class Run(Protocol):
        """What runs a command in this process and tells how it ended."""

        def __call__(self, *arguments: str) -> Done: ...


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


def assert_refused(done: Done | subprocess.CompletedProcess[str], *words: str) -> None:
    """One line on stderr with these words in it, nothing on stdout, exit status 2."""
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("migas: ")
    assert done.stderr.count("\n") == 1
    for word in words:
        assert word in done.stderr


def started(
    *arguments: str, stdout: int | IO[bytes] = subprocess.PIPE, **environment: str
) -> subprocess.CompletedProcess[bytes]:
    """How a command ends in a process of its own, its texts as bytes."""
    return subprocess.run(
        [*COMMAND, *arguments],
        check=False,
        stdout=stdout,
        stderr=subprocess.PIPE,
        timeout=60,
        env=plain_environment() | environment,
    )
