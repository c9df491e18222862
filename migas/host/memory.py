"""How often the kernel has killed for want of memory, by control group (cgroups(7))."""

from __future__ import annotations

import os

GROUP_ROOT = "/sys/fs/cgroup"
OWN_GROUPS = "/proc/self/cgroup"

_files: dict[str, list[str]] = {}


def oom_kills(root: str = GROUP_ROOT, own_groups: str = OWN_GROUPS) -> dict[str, int]:
    """The counts of this process's control groups, by the file that holds each."""
    key = f"{os.getpid()} {root} {own_groups}"
    if key not in _files:
        _files[key] = [path for path in _event_files(root, own_groups) if os.path.exists(path)]
    counts = {path: oom_count(path, root) for path in _files[key]}
    return {path: count for path, count in counts.items() if count is not None}


def oom_count(path: str, root: str = GROUP_ROOT) -> int | None:
    """The count that a file holds, or None when it is none of the kernel's or holds none."""
    if not path.startswith(root + "/") or ".." in path:
        return None
    try:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            text = os.read(descriptor, 4096)
        finally:
            os.close(descriptor)
    except OSError:
        return None
    for line in text.splitlines():
        name, _, count = line.partition(b" ")
        if name == b"oom_kill" and count.isdigit():
            return int(count)
    return None


def _event_files(root: str, own_groups: str) -> list[str]:
    """Where the kernel counts: `memory.events` (version 2), `memory.oom_control` (version 1)."""
    try:
        with open(own_groups, encoding="utf-8", errors="replace") as groups:
            lines = groups.read(65536).splitlines()
    except OSError:
        return []
    files = []
    for line in lines:
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
