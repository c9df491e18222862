"""Which process on which machine: enough to tell a live one from a dead one, later or elsewhere.

A pid alone is reused within hours. With the moment the process started, the boot it belongs to and
its pid namespace it names one process for ever. Where there is no /proc these facts are empty and
nothing is concluded from them.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TypedDict

    class ProcessFacts(TypedDict):
        """One process: numbers as the kernel gives them, empty text where it does not."""

        pid: int
        started: str
        boot: str
        namespace: str
        machine: str


_MAX_ANCESTORS = 64


def facts(pid: int | None = None) -> ProcessFacts:
    """What names a process of this machine and pid namespace; by default this one."""
    pid = os.getpid() if pid is None else pid
    return {
        "pid": pid,
        "started": _stat_fields(pid)[1],
        "boot": _first_line("/proc/sys/kernel/random/boot_id"),
        "namespace": _namespace(),
        "machine": _machine(),
    }


def place(process: ProcessFacts) -> str:
    """The boot and pid namespace that a pid belongs to, fit for a file name."""
    namespace = "".join(char for char in process["namespace"] if char.isdigit())
    return f"{process['boot'].replace('-', '')}.{namespace}"


def is_same_place(process: ProcessFacts) -> bool:
    """Whether a pid means the same here: same boot of the same machine, same pid namespace."""
    here = facts()
    return bool(here["boot"]) and all(
        process[name] == here[name] for name in ("boot", "namespace", "machine")
    )


def restarted_since(process: ProcessFacts) -> bool:
    """Whether this is the machine of that process, but a later boot of it."""
    boot = _first_line("/proc/sys/kernel/random/boot_id")
    return (
        bool(boot)
        and bool(process["machine"])
        and process["machine"] == _machine()
        and process["boot"] != boot
    )


def is_alive(process: ProcessFacts) -> bool:
    """Whether that very process still runs; only meaningful where `is_same_place` holds.

    A zombie counts as dead: its program has ended, only its parent has not looked yet.
    """
    state, started, _parent = _stat(process["pid"])
    return state not in ("", "Z", "X") and started == process["started"]


def ancestors() -> Iterator[tuple[int, str]]:
    """Pid and start time of this process's parent, grandparent and so on, up to process 1."""
    pid = os.getpid()
    for _step in range(_MAX_ANCESTORS):
        parent = _stat(pid)[2]
        if parent <= 0:
            return
        yield parent, _stat(parent)[1]
        pid = parent


def _stat_fields(pid: int) -> tuple[str, str]:
    state, started, _parent = _stat(pid)
    return state, started


def _stat(pid: int) -> tuple[str, str, int]:
    """State letter, start time in clock ticks since boot, and parent (proc_pid_stat(5))."""
    line = _first_line(f"/proc/{pid}/stat")
    # The second field, the command's name, may itself hold spaces and parentheses.
    fields = line.rpartition(")")[2].split()
    if len(fields) < 20:
        return "", "", 0
    return fields[0], fields[19], int(fields[1])


def _namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def _machine() -> str:
    return _first_line("/etc/machine-id") or _hostname()


def _hostname() -> str:
    return os.uname().nodename if hasattr(os, "uname") else os.environ.get("COMPUTERNAME", "")


def _first_line(path: str) -> str:
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return ""
    try:
        return os.read(descriptor, 4096).decode("utf-8", "replace").partition("\n")[0].strip()
    except OSError:
        return ""
    finally:
        os.close(descriptor)
