"""A control group with little memory, in which the kernel kills for real."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMIT_BYTES = 64 * 1024 * 1024
EMPTY_SECONDS = 20.0

_HIERARCHIES = (
    ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
    ("/sys/fs/cgroup", "memory.max"),
)


@contextmanager
def little_memory() -> Iterator[str]:
    """A new control group; the test is skipped where this machine lets us make none.

    Yields:
        Lines of Python by which a program enters it, with all that it starts.
    """
    group = _made()
    if group is None:
        pytest.skip("this machine does not let us make a control group")
    processes = group / "cgroup.procs"
    try:
        yield (
            f"import os\nwith open({str(processes)!r}, 'w') as file:\n"
            "    file.write(str(os.getpid()))\n"
        )
    finally:
        deadline = time.monotonic() + EMPTY_SECONDS
        while processes.read_text() and time.monotonic() < deadline:
            time.sleep(0.05)
        group.rmdir()


def _made() -> Path | None:
    for root, limit in _HIERARCHIES:
        group = Path(root, f"migas-test-{os.getpid()}-{time.monotonic_ns()}")
        try:
            group.mkdir()
            (group / limit).write_text(str(LIMIT_BYTES))
        except OSError:
            if group.exists():
                group.rmdir()
            continue
        return group
    return None
