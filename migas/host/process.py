"""What the kernel says of processes: which one on which machine, and whether one was killed.

A pid alone is reused within hours. With the moment the process started, the boot it belongs to and
its pid namespace it names one process for ever. Where there is no /proc, or it shows another pid
namespace than the process's own, these facts are empty and nothing is concluded from them.
"""

from __future__ import annotations

import os
import time

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


GROUP_ROOT = "/sys/fs/cgroup"
OWN_GROUPS = "/proc/self/cgroup"

_event_files_of: dict[tuple[int, str, str], list[str]] = {}

_MAX_ANCESTORS = 64

# wait4 and waitid, and the first argument with which they wait for any child at all.
_WAITS = {
    "x86_64": {"61": (-1, 0), "247": (0, 2)},
    "aarch64": {"260": (-1, 0), "95": (0, 2)},
}

_own: ProcessFacts | None = None


def facts() -> ProcessFacts:
    """What names this process."""
    global _own  # noqa: PLW0603  they never change, and reading them takes a tenth of a millisecond
    pid = os.getpid()
    if _own is None or _own["pid"] != pid:
        is_shown = _link("/proc/self") == str(pid)
        _own = {
            "pid": pid,
            "started": _stat(pid)[1] if is_shown else "",
            "boot": _first_line("/proc/sys/kernel/random/boot_id") if is_shown else "",
            "namespace": _link("/proc/self/ns/pid") if is_shown else "",
            "machine": _machine(),
        }
    return _own


def is_same_place(process: ProcessFacts) -> bool:
    """Whether a pid means the same here: same boot of the same machine, same pid namespace."""
    here = facts()
    return all(here[name] and process[name] == here[name] for name in ("boot", "namespace")) and (
        process["machine"] == here["machine"]
    )


def restarted_since(process: ProcessFacts, last_seen: float) -> bool:
    """Whether this is the machine of that process, but a later boot of it.

    Args:
        process: The process.
        last_seen: When it last gave a sign of life, in seconds since the epoch. One that did so
            after this boot began runs on another machine, which is a copy of this one.
    """
    here = facts()
    if not here["boot"] or not process["boot"] or process["machine"] != here["machine"]:
        return False
    uptime = _first_line("/proc/uptime").partition(" ")[0]
    return (
        bool(uptime)
        and process["boot"] != here["boot"]
        and (last_seen < time.time() - float(uptime))
    )


def is_alive(pid: int, started: str) -> bool:
    """Whether that very process still runs; only meaningful for one of this place.

    A zombie counts as dead: its program has ended, only its parent has not looked yet.
    """
    state, really_started, _parent = _stat(pid)
    return state not in ("", "Z", "X") and really_started == started


def is_gone(process: ProcessFacts) -> bool:
    """Whether a process of this place has ended, by the pid alone where the system says no more."""
    if process["started"]:
        return not is_alive(process["pid"], process["started"])
    try:
        os.kill(process["pid"], 0)
    except OSError as error:
        return isinstance(error, ProcessLookupError)
    return False


def ancestors() -> Iterator[tuple[int, str]]:
    """Pid and start time of this process's parent, grandparent and so on, up to process 1."""
    pid = os.getpid()
    for _step in range(_MAX_ANCESTORS):
        parent = _stat(pid)[2]
        if parent <= 0:
            return
        yield parent, _stat(parent)[1]
        pid = parent


def caught_signals() -> set[int] | None:
    """The signals for which this process has a handler of any kind, C's too; None if unknown."""
    return _signals("SigCgt", "/proc/self/status")


def blocked_signals() -> dict[int, set[int]]:
    """The signals that each thread of this process blocks, by its native id; empty if unknown."""
    try:
        threads = os.listdir("/proc/self/task")
    except OSError:
        return {}
    return {
        int(thread): _signals("SigBlk", f"/proc/self/task/{thread}/status") or set()
        for thread in threads
    }


def is_waiting_for_any_child() -> bool:
    """Whether a thread of this process waits, as `os.wait()` does, for whichever child ends next.

    It would meet a child that we start. Where the kernel does not say, nothing is assumed.
    """
    waits = _WAITS.get(os.uname().machine if hasattr(os, "uname") else "", {})
    try:
        threads = os.listdir("/proc/self/task")
    except OSError:
        return False
    for thread in threads:
        number, *arguments = _first_line(f"/proc/self/task/{thread}/syscall").split(" ")
        # Of 64 bits it looks at the lower half.
        firsts = {first & 0xFFFFFFFF for first in waits.get(number, ())}
        if firsts and arguments and int(arguments[0], 16) & 0xFFFFFFFF in firsts:
            return True
    return False


def oom_kills(root: str = GROUP_ROOT, own_groups: str = OWN_GROUPS) -> dict[str, int]:
    """How often the kernel has killed for want of memory, by file of a group (cgroups(7))."""
    key = (os.getpid(), root, own_groups)
    if key not in _event_files_of:
        _event_files_of[key] = [
            path for path in _event_files(root, own_groups) if os.path.exists(path)
        ]
    counts = {path: oom_count(path, root) for path in _event_files_of[key]}
    return {path: count for path, count in counts.items() if count is not None}


def oom_count(path: str, root: str = GROUP_ROOT) -> int | None:
    """The count that a file holds, or None when it is none of the kernel's or holds none."""
    if not path.startswith(root + "/") or ".." in path:
        return None
    count = f"\n{_text(path)}".partition("\noom_kill ")[2].partition("\n")[0]
    return int(count) if count.isdigit() else None


def _event_files(root: str, own_groups: str) -> list[str]:
    """Where the kernel counts: `memory.events` (version 2), `memory.oom_control` (version 1)."""
    files = []
    for line in _text(own_groups).splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        path = path.rstrip("/")
        if number == "0" and not controllers:
            files.append(f"{root}{path}/memory.events")
        elif "memory" in controllers.split(","):
            inside = f"{root}/memory{path}/memory.oom_control"
            # A container sees its own group as the root, but is told the path from outside.
            files.append(inside if os.path.exists(inside) else f"{root}/memory/memory.oom_control")
    return files


def _signals(name: str, path: str) -> set[int] | None:
    """A set of signals as proc_pid_status(5) shows it, or None where it does not."""
    for line in _text(path).splitlines():
        if line.startswith(f"{name}:"):
            mask = int(line.partition(":")[2], 16)
            return {number for number in range(1, 65) if mask >> (number - 1) & 1}
    return None


def _stat(pid: int) -> tuple[str, str, int]:
    """State letter, start time in clock ticks since boot, and parent (proc_pid_stat(5))."""
    # The second field, the command's name, may itself hold spaces and parentheses.
    fields = _text(f"/proc/{pid}/stat").rpartition(")")[2].split()
    if len(fields) < 20:
        return "", "", 0
    state = fields[0]
    if state == "Z" and int(fields[17]) > 1:
        state = "S"  # only the first thread has ended, the others run on
    return state, fields[19], int(fields[1])


def _machine() -> str:
    # Machines that boot one image often share the id, so the name belongs to it.
    return f"{_first_line('/etc/machine-id')}@{_hostname()}"


def _hostname() -> str:
    return os.uname().nodename if hasattr(os, "uname") else os.environ.get("COMPUTERNAME", "")


def _link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""


def _first_line(path: str) -> str:
    return _text(path).partition("\n")[0].strip()


def _text(path: str) -> str:
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return ""
    try:
        return os.read(descriptor, 65536).decode("utf-8", "replace")
    except OSError:
        return ""
    finally:
        os.close(descriptor)
