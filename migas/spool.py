"""Breadcrumbs on disk: one small file each, which moves from folder to folder by atomic renames.

`open/` holds what is sent if nobody hears of a run again, `ready/` what waits to be sent,
`sending/` what a courier has claimed, `aside/` what is not ours or not valid. No step needs a lock,
so threads, processes and hosts that share a home over NFS may all work here at once. What a claim
must know is in its name, because a rename keeps the file's old times.
"""

from __future__ import annotations

import binascii
import json
import os
import stat
import time

from migas import process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TypedDict

    from migas.breadcrumb import Breadcrumb
    from migas.process import ProcessFacts

    class Record(TypedDict, total=False):
        """What one file holds."""

        endpoint: str
        breadcrumb: Breadcrumb
        not_before: float
        """Seconds since the epoch before which a server would confuse it with its `R`."""
        process: ProcessFacts
        """The process whose run this is; only while it lies in `open/`."""
        oom_kills: dict[str, int]
        """Out-of-memory kills by control group when the run opened; only in `open/`."""


MAX_FILES = 20_000
MAX_BYTES = 16 * 1024 * 1024
MAX_AGE = 30 * 24 * 3600.0
"""Seconds after which a breadcrumb is no news to anyone."""

CLAIM_SECONDS = 600.0
"""Seconds after which a claim that nobody finished goes back."""

MAX_RECORD_BYTES = 16 * 1024
DRAFT_SECONDS = 3600.0

# A writer lists the folder only once in 64 times, so a full spool costs it microseconds on average;
# it then makes room for so many more that the caps hold all the same (63/64 to the 1000th: 1e-7).
_TRIM_CHANCE = 64
_TRIM_SLACK = 1000
_SLACK_BYTES = 3072
_ID_BYTES = 8
_FOLDERS = ("open", "ready", "sending", "aside", "marks")
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
_CLAIM_MARK = "~"


class InvalidRecordError(ValueError):
    """A file that is not ours or holds no breadcrumb."""


class Entry:
    """A waiting breadcrumb as its file name tells it, without opening the file."""

    __slots__ = ("is_running", "millis", "name", "server", "session", "size")

    def __init__(self, name: str) -> None:
        millis, size, kind, server, session, _id = name.partition(".")[0].split("-")
        self.name = name
        self.millis = int(millis)
        self.size = int(size)
        self.is_running = kind == "R"
        self.server = server
        self.session = session

    @classmethod
    def parse(cls, name: str) -> Entry | None:
        """The entry of a file name, or None for a name that is not one of ours."""
        try:
            return cls(name)
        except ValueError:
            return None


class Spool:
    """The folders below one root.

    Args:
        root: The state folder; it and what lies in it are made on first use, with mode 0700.
    """

    def __init__(self, root: str) -> None:
        self.root = root
        self._prepared_by = 0

    def prepare(self) -> None:
        """Make the folders, or see that those that exist can be trusted.

        Raises:
            OSError: A folder cannot be made, is a link, belongs to somebody else, or others may
                write in it.
        """
        if self._prepared_by == os.getpid():
            return
        _make_private(self.root, parents=True)
        for folder in _FOLDERS:
            _make_private(os.path.join(self.root, folder))
        self._prepared_by = os.getpid()

    def exists(self) -> bool:
        """Whether anything was ever spooled here; asking makes nothing."""
        return os.path.isdir(self.folder("ready"))

    def folder(self, name: str, *below: str) -> str:
        """The path of one of the folders, or of something in it."""
        return os.path.join(self.root, name, *below)

    def open(self, record: Record) -> str:
        """Write what is sent if nobody hears of the run again.

        Returns:
            The file's path, which names the run from now on.

        Raises:
            OSError: It cannot be written.
        """
        self.prepare()
        name = f"{_now_millis():013d}-{os.getpid()}-{os.urandom(_ID_BYTES).hex()}.json"
        path = self.folder("open", name)
        _write_new(path, _encode(record))
        return path

    def replace_open(self, path: str, record: Record) -> None:
        """Replace what an open record says, in one step.

        Raises:
            OSError: It cannot be written.
        """
        draft = self._draft(record)
        os.replace(draft, path)

    def finish(self, path: str, record: Record) -> None:
        """Replace an open record by how the run ended and put it among what waits.

        Killed at any moment in between, the run has exactly one file that tells of it.

        Raises:
            OSError: It cannot be written; the open record then still stands.
        """
        self.replace_open(path, record)
        try:
            os.rename(path, self.folder("ready", _entry_name(record)))
        except FileNotFoundError:
            return  # a courier saw the final text and was faster
        self._trim_sometimes()

    def put(self, record: Record) -> None:
        """Write a breadcrumb that belongs to no open record.

        Raises:
            OSError: It cannot be written.
        """
        self.prepare()
        os.rename(self._draft(record), self.folder("ready", _entry_name(record)))
        self._trim_sometimes()

    def discard(self, path: str) -> None:
        """Remove a record; one that is gone already is fine."""
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass

    def read(self, path: str) -> Record:
        """Read a record, trusting nothing about the file.

        Raises:
            InvalidRecordError: It is a link, somebody else's, writable by others, too large, or
                holds no breadcrumb.
            FileNotFoundError: It is gone.
        """
        try:
            descriptor = os.open(path, os.O_RDONLY | _NO_FOLLOW | getattr(os, "O_NONBLOCK", 0))
        except FileNotFoundError:
            raise
        except OSError as error:
            raise InvalidRecordError(f"{path} cannot be opened: {error}") from None
        try:
            facts = os.fstat(descriptor)
            if not stat.S_ISREG(facts.st_mode) or not _is_private(facts):
                raise InvalidRecordError(f"{path} is not a private file of this user")
            if facts.st_size > MAX_RECORD_BYTES:
                raise InvalidRecordError(f"{path} holds {facts.st_size} bytes, too many")
            text = os.read(descriptor, MAX_RECORD_BYTES + 1)
        finally:
            os.close(descriptor)
        return parse(text)

    def entries(self) -> list[Entry]:
        """What waits to be sent, oldest first."""
        entries = []
        for name in self._names("ready"):
            entry = Entry.parse(name)
            if entry is not None:
                entries.append(entry)
        entries.sort(key=lambda entry: entry.name)
        return entries

    def foreign_names(self) -> list[str]:
        """Names among what waits that are not ours, drafts in the making aside."""
        names = self._names("ready")
        return [name for name in names if not name.startswith(".") and Entry.parse(name) is None]

    def open_paths(self) -> list[str]:
        """The open records of all runs, oldest first."""
        return [
            self.folder("open", name)
            for name in sorted(self._names("open"))
            if not name.startswith(".")
        ]

    def claim(self, name: str) -> str | None:
        """Take a waiting breadcrumb for this process.

        Returns:
            Its path from now on, or None when another courier was faster.
        """
        return self._claim(self.folder("ready", name), name)

    def claim_open(self, path: str, record: Record) -> str | None:
        """Take an open record whose process is gone; given back, it waits like any other.

        Returns:
            Its path from now on, or None when another courier was faster.
        """
        return self._claim(path, _entry_name(record))

    def rewrite_claimed(self, claimed: str, record: Record) -> None:
        """Replace what a claimed record says.

        Raises:
            OSError: It cannot be written.
        """
        os.replace(self._draft(record), claimed)

    def give_back(self, claimed: str) -> None:
        """Put a claimed breadcrumb back among what waits; one that is gone already is fine."""
        name = os.path.basename(claimed).partition(_CLAIM_MARK)[0]
        try:
            os.rename(claimed, self.folder("ready", name))
        except FileNotFoundError:
            pass

    def give_back_abandoned(self, *, dead_owners: bool = False) -> None:
        """Put back what couriers claimed and never finished.

        Args:
            dead_owners: Do not wait `CLAIM_SECONDS` where the owner is known to be dead.
        """
        here = process.facts()
        for name in self._names("sending"):
            try:
                _entry, millis, place, pid, started = name.split(_CLAIM_MARK)
                claimed_at, owner = int(millis) / 1000, int(pid)
            except ValueError:
                self.set_aside(self.folder("sending", name))
                continue
            is_old = not 0 <= time.time() - claimed_at < CLAIM_SECONDS
            is_dead = (
                dead_owners
                and place == process.place(here)
                and not process.is_alive({**here, "pid": owner, "started": started})
            )
            if is_old or is_dead:
                self.give_back(self.folder("sending", name))

    def set_aside(self, path: str) -> None:
        """Move what is not ours or not valid out of the way, unread."""
        try:
            os.rename(path, self.folder("aside", f"{_now_millis()}-{os.urandom(4).hex()}"))
            self.count_dropped("set aside", 1)
        except OSError:
            return

    def trim(self, *, slack: int = 0) -> int:
        """Keep the caps on number, bytes and age: the oldest go first, and are counted.

        Args:
            slack: How many files to stay below the caps, so that the next check may wait.

        Returns:
            How many breadcrumbs went.
        """
        entries = self.entries()
        oldest_allowed = (time.time() - MAX_AGE) * 1000
        excess_files = len(entries) - (MAX_FILES - slack)
        excess_bytes = sum(entry.size for entry in entries) - (MAX_BYTES - slack * _SLACK_BYTES)
        dropped = 0
        for entry in entries:
            if excess_files <= 0 and excess_bytes <= 0 and entry.millis >= oldest_allowed:
                break
            self.discard(self.folder("ready", entry.name))
            excess_files -= 1
            excess_bytes -= entry.size
            dropped += 1
        if dropped:
            self.count_dropped("over the caps", dropped)
        return dropped

    def tidy(self) -> None:
        """Remove drafts whose writers died, and what was set aside long ago."""
        for folder in ("ready", "open", "aside", "marks"):
            limit = MAX_AGE if folder in ("aside", "marks") else DRAFT_SECONDS
            for name in self._names(folder):
                path = self.folder(folder, name)
                if name.startswith(".") or folder in ("aside", "marks"):
                    try:
                        if time.time() - os.lstat(path).st_mtime > limit:
                            os.unlink(path)
                    except OSError:
                        continue

    def count_dropped(self, reason: str, number: int) -> None:
        """Note that breadcrumbs were given up, so that nobody takes them for delivered."""
        line = f"{int(time.time())} {number} {reason}\n".encode()
        try:
            descriptor = os.open(
                self.folder("dropped"), os.O_WRONLY | os.O_CREAT | os.O_APPEND | _NO_FOLLOW, 0o600
            )
            try:
                if os.fstat(descriptor).st_size < MAX_BYTES // 64:
                    os.write(descriptor, line)
            finally:
                os.close(descriptor)
        except OSError:
            return

    def dropped(self) -> dict[str, int]:
        """How many breadcrumbs were given up, by reason."""
        counts: dict[str, int] = {}
        try:
            with open(self.folder("dropped"), encoding="utf-8", errors="replace") as lines:
                for line in lines:
                    _when, number, reason = line.rstrip("\n").split(" ", 2)
                    counts[reason] = counts.get(reason, 0) + int(number)
        except (OSError, ValueError):
            return counts
        return counts

    def count(self) -> dict[str, int]:
        """How many files lie in each folder."""
        return {
            folder: sum(not name.startswith(".") for name in self._names(folder))
            for folder in ("open", "ready", "sending", "aside")
        }

    def _claim(self, path: str, name: str) -> str | None:
        here = process.facts()
        owner = (str(_now_millis()), process.place(here), str(here["pid"]), here["started"])
        claimed = self.folder("sending", _CLAIM_MARK.join((name, *owner)))
        try:
            os.rename(path, claimed)
        except OSError:
            return None
        return claimed

    def _names(self, folder: str) -> Iterator[str]:
        try:
            with os.scandir(self.folder(folder)) as found:
                names = [entry.name for entry in found]
        except OSError:
            return iter(())
        return iter(names)

    def _draft(self, record: Record) -> str:
        path = self.folder("ready", f".{os.urandom(_ID_BYTES).hex()}")
        _write_new(path, _encode(record))
        return path

    def _trim_sometimes(self) -> None:
        if os.urandom(1)[0] % _TRIM_CHANCE == 0:
            self.trim(slack=_TRIM_SLACK)


def _entry_name(record: Record) -> str:
    crumb = record["breadcrumb"]
    kind = "R" if crumb.get("status", "R") == "R" else "E"
    session = crumb.get("session_id", "").replace("-", "") or "none"
    size = len(_encode(record))
    server = server_key(record["endpoint"])
    unique = os.urandom(_ID_BYTES).hex()
    return f"{_now_millis():013d}-{size:05d}-{kind}-{server}-{session}-{unique}.json"


def server_key(endpoint: str) -> str:
    """A server's short name inside file names, so that a silenced one's files stay unopened."""
    return f"{binascii.crc32(endpoint.encode('utf-8', 'replace')):08x}"


def _encode(record: Record) -> bytes:
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode()


def parse(text: bytes) -> Record:
    """The record that a text holds.

    Raises:
        InvalidRecordError: It holds none.
    """
    try:
        record = json.loads(text)
        crumb = record["breadcrumb"]
        is_valid = (
            isinstance(record["endpoint"], str)
            and all(isinstance(value, str | bool) for value in crumb.values())
            and isinstance(crumb["project"], str)
            and isinstance(record.get("not_before", 0.0), float | int)
            and isinstance(record.get("oom_kills", {}), dict)
            and isinstance(record.get("process", {}), dict)
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        is_valid = False
    if not is_valid:
        raise InvalidRecordError("The text holds no breadcrumb")
    return record  # type: ignore[no-any-return]


def _now_millis() -> int:
    return time.time_ns() // 1_000_000


def _write_new(path: str, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_FOLLOW, 0o600)
    try:
        if os.write(descriptor, content) != len(content):
            raise OSError(f"{path} could not be written whole")
    except BaseException:
        os.unlink(path)
        raise
    finally:
        os.close(descriptor)


def _make_private(folder: str, *, parents: bool = False) -> None:
    if parents:
        os.makedirs(os.path.dirname(folder), mode=0o700, exist_ok=True)
    try:
        os.mkdir(folder, 0o700)
    except FileExistsError:
        facts = os.lstat(folder)
        if not stat.S_ISDIR(facts.st_mode) or not _is_private(facts):
            raise PermissionError(
                f"{folder} must be a folder of this user in which nobody else may write"
            ) from None


def _is_private(facts: os.stat_result) -> bool:
    if not hasattr(os, "geteuid"):
        return True
    return facts.st_uid == os.geteuid() and not facts.st_mode & 0o022
