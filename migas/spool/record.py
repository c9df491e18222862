"""What one file of the spool holds, and what its name tells without opening it.

A courier passes over thousands of files of others on each visit, so whatever it must know to leave
one alone stands in the name: when, how large, whose, which process, which machine.
"""

from __future__ import annotations

import binascii
import os
import time

from migas import message
from migas.host.environment import SCHEDULERS
from migas.settings import values

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self, TypedDict

    from migas.host.process import ProcessFacts
    from migas.message import Breadcrumb

    class Record(TypedDict, total=False):
        """What one file holds."""

        endpoint: str
        breadcrumb: Breadcrumb
        not_before: float
        """Seconds since the epoch before which a server would confuse it with its `R`."""
        ended: float
        """Seconds since the epoch at which the run ended, or was last seen alive."""
        process: ProcessFacts
        """The process whose run this is; only while it lies in `open/`."""
        oom_kills: dict[str, int]
        """Out-of-memory kills by control group when the run opened; only in `open/`."""
        scheduler: str
        """The batch system that the run is in, which may end it; only in `open/`."""


MAX_RECORD_BYTES = 16 * 1024

LOST = "Lost"
"""What is said of a run of which nothing more was heard."""

_NO_SESSION = "none"
_CLAIM_MARK = "~"
_MAX_KEYS = 100
_keys: dict[str, str] = {}
"""A run asks five times, for the same three texts."""

_FACTS = ("started", "boot", "namespace", "machine")


class InvalidRecordError(ValueError):
    """A text that holds no breadcrumb."""


class _Named:
    """What a file's name tells; a kind's `__init__` raises ValueError for the name of another."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    @classmethod
    def parse(cls, name: str) -> Self | None:
        """What a name tells, or None for one that is not of this kind."""
        try:
            return cls(name)
        except ValueError:
            return None


class Entry(_Named):
    """A waiting breadcrumb, as its file name tells it."""

    __slots__ = ("is_running", "micros", "server", "session", "size")

    def __init__(self, name: str) -> None:
        super().__init__(name)
        micros, size, kind, server, session, _unique = name.removesuffix(".json").split("-")
        self.micros = int(micros)
        self.size = int(size)
        self.is_running = kind == "R"
        self.server = server
        self.session = session

    @staticmethod
    def name_for(record: Record, size: int, unique: str = "") -> str:
        """A new name for a record of that many bytes.

        A breadcrumb without a session announces nothing that an end would follow, so it counts as
        an end. What makes the name unique is drawn unless it is given.
        """
        crumb = record["breadcrumb"]
        session = crumb.get("session_id", "").replace("-", "") or _NO_SESSION
        is_running = crumb.get("status", "R") == "R" and session != _NO_SESSION
        return (
            f"{_now_micros():016d}-{size:05d}-{'R' if is_running else 'E'}-"
            f"{server_key(record['endpoint'])}-{session}-{unique or os.urandom(8).hex()}.json"
        )


class OpenEntry(_Named):
    """The open record of a run, as its file name tells it."""

    __slots__ = ("machine", "micros", "pid", "place", "size", "started")

    def __init__(self, name: str) -> None:
        super().__init__(name)
        fields = name.removesuffix(".json").split("-")
        micros, pid, size, self.started, self.place, self.machine, _unique = fields
        self.micros = int(micros)
        self.pid = int(pid)
        self.size = int(size)

    @staticmethod
    def name_for(record: Record, size: int) -> str:
        """A new name for the open record of a run of some process."""
        owner = record["process"]
        return (
            f"{_now_micros():016d}-{owner['pid']}-{size:05d}-{owner['started'] or '0'}-"
            f"{place_key(owner)}-{key(owner['machine'])}-{os.urandom(8).hex()}.json"
        )


class Claim(_Named):
    """A breadcrumb that a courier has taken, as its file name tells it."""

    __slots__ = ("micros", "pid", "place", "started")

    def __init__(self, name: str) -> None:
        entry, micros, self.place, pid, self.started = name.split(_CLAIM_MARK)
        super().__init__(Entry(entry).name)
        self.micros = int(micros)
        self.pid = int(pid)

    @staticmethod
    def name_for(name: str, owner: ProcessFacts) -> str:
        """The name under which a courier takes an entry."""
        courier = (str(_now_micros()), place_key(owner), str(owner["pid"]), owner["started"])
        return _CLAIM_MARK.join((name, *courier))


def encode(record: Record) -> bytes:
    """The text of a record."""
    return message.encode(record)


def parse(text: bytes) -> Record:
    """The record that a text holds, every field of a type that its readers expect.

    Raises:
        InvalidRecordError: It holds none.
    """
    try:
        found = message.decode(text)
        record: Record = {
            "endpoint": _endpoint(found["endpoint"]),
            "breadcrumb": message.compose(dict(found["breadcrumb"])),
        }
        if not record["breadcrumb"]["project"]:
            raise InvalidRecordError("The breadcrumb names no project")
        if "not_before" in found:
            record["not_before"] = float(found["not_before"])
        if "ended" in found:
            record["ended"] = float(found["ended"])
        if "process" in found:
            record["process"] = _process(found["process"])
        if "oom_kills" in found:
            record["oom_kills"] = {
                path: int(count) for path, count in dict(found["oom_kills"]).items()
            }
        if found.get("scheduler") in SCHEDULERS:
            record["scheduler"] = found["scheduler"]
    except InvalidRecordError:
        raise
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError):
        raise InvalidRecordError("The text holds no breadcrumb") from None
    return record


def as_sent(record: Record, now: float) -> Breadcrumb:
    """The breadcrumb of a record as it is sent now: the end is as long ago as the clock says.

    Args:
        record: What waits.
        now: Seconds since the epoch. A clock that was set back, or another host's that is ahead,
            makes the end no future one.

    Returns:
        A new breadcrumb; without its times where people have come to forbid that they are told.
    """
    crumb = record["breadcrumb"].copy()
    if not values.timing_wished():
        return message.without_timing(crumb)
    if "ended_ago" in crumb:
        crumb["ended_ago"] = round(max(now - record.get("ended", now), 0) + crumb["ended_ago"])
    return crumb


def server_key(endpoint: str) -> str:
    """A server's short name inside file names, so that a silenced one's files stay unopened."""
    return key(endpoint)


def place_key(process: ProcessFacts) -> str:
    """The short name of where a pid means something: a boot of a machine, a pid namespace."""
    return key(" ".join((process["boot"], process["namespace"], process["machine"])))


def key(text: str) -> str:
    """A short name for any text, fit for a file name."""
    found = _keys.get(text)
    if found is None:
        if len(_keys) >= _MAX_KEYS:
            _keys.clear()
        found = _keys[text] = f"{binascii.crc32(text.encode('utf-8', 'replace')):08x}"
    return found


def _endpoint(value: object) -> str:
    if not isinstance(value, str) or not value.startswith(("http://", "https://")):
        raise InvalidRecordError("The record names no server")
    return value


def _process(value: dict[str, object]) -> ProcessFacts:
    pid, texts = value["pid"], [value[name] for name in _FACTS]
    if not isinstance(pid, int) or not all(isinstance(text, str) for text in texts):
        raise InvalidRecordError("The record names no process")
    return {"pid": pid, **dict(zip(_FACTS, texts, strict=True))}  # type: ignore[typeddict-item]


def _now_micros() -> int:
    return time.time_ns() // 1000
