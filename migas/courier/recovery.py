"""Deaths that nobody reported: open records whose process is gone become the end of a run.

SIGKILL, `os._exit`, a crash or a power cut leave the open record behind. Whoever finds it on the
same machine can see that the process is gone; from elsewhere a mark tells, or long silence.
"""

from __future__ import annotations

import os
import stat
import time

from migas import log, message
from migas.courier.tidy import CLAIM_SECONDS
from migas.host import files, process
from migas.message import outcome
from migas.spool import layout, marks
from migas.spool.record import LOST, InvalidRecordError, key, place_key

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from migas.spool import Spool
    from migas.spool.record import OpenEntry, Record

SILENT_SECONDS = 48 * 3600.0
"""Seconds after the last touch at which a run on another host counts as lost."""

ELSEWHERE_SECONDS = CLAIM_SECONDS
"""How often, in seconds, couriers look after the runs of other hosts: each costs a look at a file,
and ten thousand may be open."""

_WRITING_SECONDS = 60.0


def recover(
    spool: Spool, *, by_hand: bool = False, on_progress: Callable[[], None] = lambda: None
) -> int:
    """Report every run whose process is known to be gone.

    Args:
        spool: Where.
        by_hand: A person asked: look after the runs of other hosts, too, however recently
            somebody has.
        on_progress: Called before each step that may take long.

    Returns:
        How many were found.
    """
    here = process.facts()
    place = place_key(here) if here["boot"] and here["started"] else ""
    looks_elsewhere = _is_time_to_look_elsewhere(spool, by_hand=by_hand)
    found = 0
    open_entries = spool.open_entries()
    for entry in open_entries:
        is_gone = entry.place == place and not process.is_alive(entry.pid, entry.started)
        if entry.place == place:
            if not is_gone:
                continue
        elif not looks_elsewhere and entry.machine != key(here["machine"]):
            continue
        on_progress()
        found += _recover(spool, entry, is_gone=is_gone)
    _erase_marks_without_runs(spool, place)
    return found


def _recover(spool: Spool, entry: OpenEntry, *, is_gone: bool) -> int:
    path = spool.folder(layout.OPEN, entry.name)
    try:
        record = spool.read(path)
        verdict = _verdict(spool, path, entry, record)
        if verdict is None:
            return 0
        record.setdefault("ended", _last_seen(spool, path, record))
    except InvalidRecordError as error:
        log.debug("%s", error)
        # Of a process that may live it may be looked at while it is being written.
        if is_gone or _age(path) > _WRITING_SECONDS:
            _clear_away(spool, path)
        return 0
    except OSError as error:
        log.debug("%s cannot be looked at: %s", path, error)
        return 0
    return _report(spool, path, record, verdict)


def _clear_away(spool: Spool, path: str) -> None:
    """Let go of an open record that says nothing; it must not keep others from being sent."""
    try:
        facts = os.lstat(path)
        if facts.st_size == 0 and stat.S_ISREG(facts.st_mode):
            spool.discard(path)  # its process was gone before the run had opened
        else:
            spool.set_aside(path)
    except OSError as error:
        log.debug("%s cannot be cleared away: %s", path, error)


def _verdict(spool: Spool, path: str, entry: OpenEntry, record: Record) -> dict[str, Any] | None:
    """How the run ended: empty when the record says so itself, None while it may live."""
    owner = record.get("process")
    last_seen = os.lstat(path).st_mtime
    is_near = owner is not None and process.is_same_place(owner)
    if owner is None:
        # Its text is final: the process was about to move it, and maybe is still.
        is_near = entry.place == place_key(process.facts())
        is_over = is_near or time.time() - last_seen > CLAIM_SECONDS
        return {} if is_over else None
    if is_near and process.is_alive(owner["pid"], owner["started"]):
        return None
    mark = marks.read(spool.folder(layout.MARKS), marks.file_name(owner))
    if mark is not None and not mark.is_crash:
        # Its default action was about to follow, so this is a death, seen from anywhere.
        return outcome.terminated(mark.signal, record.get("scheduler", ""))
    if is_near or time.time() - last_seen > SILENT_SECONDS:
        if mark is not None:
            return outcome.failed(f"Crashed ({mark.signal})")
        kills = record.get("oom_kills", {}) if is_near else {}
        if any((process.oom_count(path) or 0) > before for path, before in kills.items()):
            return outcome.failed("Killed (out of memory)")
        return outcome.failed(LOST)
    if process.restarted_since(owner, last_seen):
        return outcome.failed(f"{LOST} (the host restarted)")
    return None


def _last_seen(spool: Spool, path: str, record: Record) -> float:
    """When a run was last known to live: until a signal left its mark, or until the last touch."""
    owner = record.get("process")
    if owner is not None:
        name = marks.file_name(owner)
        if marks.read(spool.folder(layout.MARKS), name) is not None:
            return os.lstat(spool.folder(layout.MARKS, name)).st_mtime
    return os.lstat(path).st_mtime


def _report(spool: Spool, path: str, record: Record, verdict: dict[str, Any]) -> int:
    final: Record = {
        "endpoint": record["endpoint"],
        "ended": record["ended"],
        "breadcrumb": message.fit(message.compose({**record["breadcrumb"], **verdict})),
    }
    if "not_before" in record:
        final["not_before"] = record["not_before"]
    claimed = spool.claim_open(path, final)
    if claimed is None:
        return 0
    try:
        spool.rewrite_claimed(claimed, final)
    except OSError as error:
        log.debug("a lost run is reported as its open record says: %s", error)
    spool.give_back(claimed)
    return 1


def _is_time_to_look_elsewhere(spool: Spool, *, by_hand: bool) -> bool:
    """Whether nobody has for a while; the next one then finds that we do."""
    stamp = spool.folder(layout.LOOKED)
    try:
        age = time.time() - os.lstat(stamp).st_mtime
    except OSError:
        age = ELSEWHERE_SECONDS
    if not by_hand and abs(age) < ELSEWHERE_SECONDS:
        return False
    try:
        files.touch(stamp)
    except OSError as error:
        log.debug("%s cannot be touched: %s", stamp, error)
    return True


def _erase_marks_without_runs(spool: Spool, place: str) -> None:
    """Remove what dead processes left in the folder of marks, once none of their runs is open."""
    names = spool.names(layout.MARKS)
    if not names:
        return
    owners = {
        marks.name_of(entry.pid, entry.started, entry.place) for entry in spool.open_entries()
    }
    for name in set(names) - owners:
        path = spool.folder(layout.MARKS, name)
        pid, _, rest = name.partition("-")
        started, _, its_place = rest.partition("-")
        if its_place == place and pid.isdigit():
            is_over = not process.is_alive(int(pid), started)
        else:
            is_over = _age(path) > layout.MAX_AGE
        if is_over:
            spool.discard(path)


def _age(path: str) -> float:
    try:
        return time.time() - os.lstat(path).st_mtime
    except OSError:
        return 0.0
