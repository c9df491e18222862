"""Deaths that nobody reported: open records whose process is gone become the end of a run.

SIGKILL, `os._exit`, a crash or a power cut leave the open record behind. Whoever finds it on the
same machine can see that the process is gone; from elsewhere only long silence tells.
"""

from __future__ import annotations

import os
import time

from migas import breadcrumb, log, marks, outcome, process
from migas.spool import InvalidRecordError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from migas.process import ProcessFacts
    from migas.spool import Record, Spool

TOUCH_SECONDS = 3600.0
"""How often a living run touches its open record."""

SILENT_SECONDS = 48 * 3600.0
"""Seconds after the last touch at which a run on another host counts as lost."""

LOST = "Lost"

_OWN_GROUP = "/proc/self/cgroup"
_GROUP_ROOT = "/sys/fs/cgroup"


def recover(spool: Spool) -> int:
    """Report every run whose process is known to be gone.

    Returns:
        How many were found.
    """
    found = 0
    for path in spool.open_paths():
        try:
            record = spool.read(path)
            verdict = _verdict(spool, path, record)
        except FileNotFoundError:
            continue
        except InvalidRecordError as error:
            log.debug("%s", error)
            spool.set_aside(path)
            continue
        if verdict is not None:
            found += _report(spool, path, record, verdict)
    return found


def oom_kills() -> dict[str, int]:
    """How often the kernel has killed for want of memory in this process's control groups."""
    counts: dict[str, int] = {}
    for path in _event_files():
        count = _oom_count(path)
        if count is not None:
            counts[path] = count
    return counts


def _verdict(spool: Spool, path: str, record: Record) -> dict[str, Any] | None:
    """How the run ended: empty when the record says so itself, None while it may live."""
    owner = record.get("process")
    if owner is None:
        return {}  # its text is final: the process died just before moving it
    if process.is_same_place(owner):
        return None if process.is_alive(owner) else _cause_of_death(spool, record, owner)
    if process.restarted_since(owner):
        return {"status": "F", "status_desc": f"{LOST} (the host restarted)"}
    if time.time() - os.lstat(path).st_mtime > SILENT_SECONDS:
        return {"status": "F", "status_desc": LOST}
    return None


def _cause_of_death(spool: Spool, record: Record, owner: ProcessFacts) -> dict[str, Any]:
    mark = marks.read(spool.folder("marks"), owner)
    if mark is not None:
        crash = mark.removeprefix("crash:")
        if crash != mark:
            return {"status": "F", "status_desc": f"Crashed ({crash})"}
        return outcome.terminated(mark)
    for path, before in record.get("oom_kills", {}).items():
        count = _oom_count(path)
        if count is not None and count > before:
            return {"status": "F", "status_desc": "Killed (out of memory)"}
    return {"status": "F", "status_desc": LOST}


def _report(spool: Spool, path: str, record: Record, verdict: dict[str, Any]) -> int:
    final: Record = {
        "endpoint": record["endpoint"],
        "breadcrumb": breadcrumb.fit(breadcrumb.compose({**record["breadcrumb"], **verdict})),
    }
    claimed = spool.claim_open(path, final)
    if claimed is None:
        return 0
    try:
        spool.rewrite_claimed(claimed, final)
    except OSError as error:
        log.debug("a lost run is reported as its open record says: %s", error)
    spool.give_back(claimed)
    return 1


def erase_marks_without_runs(spool: Spool) -> None:
    """Remove what dead processes left in the folder of marks, once none of their runs is open."""
    owners = set()
    for path in spool.open_paths():
        try:
            owner = spool.read(path).get("process")
        except (OSError, InvalidRecordError):
            continue
        if owner is not None:
            owners.add(f"{owner['pid']}-{owner['started']}")
    folder = spool.folder("marks")
    here = process.facts()
    for name in os.listdir(folder):
        pid, _, rest = name.partition("-")
        started, _, rest = rest.partition("-")
        if rest.rpartition(".")[0] != process.place(here) or f"{pid}-{started}" in owners:
            continue  # another host's or container's are left to time
        if pid.isdigit() and not process.is_alive({**here, "pid": int(pid), "started": started}):
            spool.discard(os.path.join(folder, name))


def _event_files() -> list[str]:
    """Where the kernel counts: `memory.events` (cgroup v2), `memory.oom_control` (v1)."""
    try:
        with open(_OWN_GROUP, encoding="utf-8", errors="replace") as groups:
            lines = groups.read(65536).splitlines()
    except OSError:
        return []
    files = []
    for line in lines:
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            files.append(f"{_GROUP_ROOT}{path.rstrip('/')}/memory.events")
        elif "memory" in controllers.split(","):
            files.append(f"{_GROUP_ROOT}/memory{path.rstrip('/')}/memory.oom_control")
    return files


def _oom_count(path: str) -> int | None:
    # The path comes from a record: only the kernel's own counters are read.
    if not path.startswith(_GROUP_ROOT + "/") or ".." in path:
        return None
    try:
        with open(path, encoding="ascii", errors="replace") as events:
            for line in events.read(4096).splitlines():
                name, _, count = line.partition(" ")
                if name == "oom_kill" and count.isdigit():
                    return int(count)
    except OSError:
        return None
    return None
