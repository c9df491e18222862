"""Breadcrumbs on disk: one small file each, which moves from folder to folder by atomic renames.

`open/` holds what is sent if nobody hears of a run again, `ready/` what waits to be sent,
`sending/` what a courier has claimed, `aside/` what is not ours or not valid. No step needs a lock,
so threads, processes and hosts that share a home over NFS may all work here at once. What a claim
must know is in its name, because a rename keeps the file's old times.
"""

from __future__ import annotations

import os
import time

from migas import log
from migas.host import files, process
from migas.spool import layout
from migas.spool.record import (
    MAX_RECORD_BYTES,
    Claim,
    Entry,
    InvalidRecordError,
    OpenEntry,
    encode,
    parse,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from migas.spool.record import Record

__all__ = ["InvalidRecordError", "Spool"]

MAX_FILES = 20_000
MAX_BYTES = 16 * 1024 * 1024
# One write in 64 lists the folders, so a full spool costs a writer microseconds on average. It is
# trimmed with less than 1,000 places left; the chance that as many are written without a look is
# (63/64)^1000, about 1e-7. A trim takes a third of a second: the next one is 1,000 writes away.
_TRIM_CHANCE = 64
_TRIM_SLACK = 1000
_CONFIRM_SECONDS = 24 * 3600.0
_SLACK_BYTES = 3072
_SIZE = slice(17, 22)
_UNIQUE = slice(-21, -5)  # of the name of what waits or is open: what no other has
_HASTE_MICROS = 10_000_000
_MAX_COUNT_BYTES = 256 * 1024


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

        One of ours that cannot be is set aside and made anew.

        Raises:
            OSError: A folder cannot be made, or the root is a link, belongs to somebody else, or
                others may write in it.
        """
        if self._prepared_by == os.getpid():
            return
        os.makedirs(os.path.dirname(self.root), mode=0o700, exist_ok=True)
        try:
            files.make_folder(self.root)
        except files.UntrustedFileError as error:
            raise PermissionError(str(error)) from None
        for name in layout.FOLDERS:
            path = self.folder(name)
            try:
                files.make_folder(path)
            except files.UntrustedFileError:
                os.rename(path, self.folder(layout.aside_name(name)))
                files.make_folder(path)
        self._prepared_by = os.getpid()

    def exists(self) -> bool:
        """Whether anything was ever spooled here; asking makes nothing."""
        return os.path.isdir(self.folder(layout.READY))

    def folder(self, name: str, *below: str) -> str:
        """The path of one of the folders, or of something in it."""
        return os.sep.join((self.root, name, *below))

    def open(self, record: Record) -> str:
        """Write what is sent if nobody hears of the run again.

        It is written where it stays, as nobody looks into it while its process lives, and from
        another host it may be looked at while it is being written.

        Returns:
            The file's path, which names the run from now on.

        Raises:
            OSError: It cannot be written.
        """
        text = encode(record)
        path = self.folder(layout.OPEN, OpenEntry.name_for(record, len(text)))
        self._write_new(path, text)
        return path

    def replace_open(self, path: str, record: Record) -> None:
        """Write over what an open record says; one that is gone stays so.

        Raises:
            OSError: It cannot be written.
        """
        files.overwrite(path, encode(record))

    def finish(self, path: str, record: Record) -> str:
        """Write over an open record how the run ended, and put it among what waits.

        Killed at any moment in between, the run has exactly one file that tells of it. No new file
        is made: that would cost a quarter of a millisecond, and fail on a full disk.

        Returns:
            The file's path from now on.

        Raises:
            OSError: It cannot be written.
        """
        try:
            size = files.overwrite(path, encode(record))
            # What no other open record has in its name, no other that waits has.
            name = Entry.name_for(record, size, path[_UNIQUE])
            finished = self.folder(layout.READY, name)
            os.rename(path, finished)
        except FileNotFoundError:
            # The folder was cleaned away; or a courier took the run for lost, or was faster with
            # this very text, and what is sent twice is counted once.
            return self.put(record)
        self._trim_sometimes(name)
        return finished

    def put(self, record: Record) -> str:
        """Write a breadcrumb that belongs to no open record.

        Returns:
            The file's path.

        Raises:
            OSError: It cannot be written.
        """
        text = encode(record)
        name = Entry.name_for(record, len(text))
        path = self.folder(layout.READY, name)
        os.rename(self._draft(text, name[_UNIQUE]), path)
        self._trim_sometimes(name)
        return path

    def hasten(self, path: str) -> None:
        """Have a waiting breadcrumb count as older: an `R` that is held back is due then."""
        folder, name = os.path.split(path)
        micros, mark, rest = name.partition("-")
        older = f"{int(micros) - _HASTE_MICROS:016d}{mark}{rest}"
        try:
            os.rename(path, os.path.join(folder, older))
        except OSError:
            return  # sent already

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
            OSError: It is gone, or the system cannot read it now.
        """
        try:
            return parse(files.read(path, MAX_RECORD_BYTES))
        except files.UntrustedFileError as error:
            raise InvalidRecordError(str(error)) from None

    def entries(self) -> list[Entry]:
        """What waits to be sent, oldest first."""
        found = (Entry.parse(name) for name in self.names(layout.READY))
        return sorted((entry for entry in found if entry is not None), key=_name)

    def open_entries(self) -> list[OpenEntry]:
        """The open records of all runs, oldest first."""
        found = (OpenEntry.parse(name) for name in self.names(layout.OPEN))
        return sorted((entry for entry in found if entry is not None), key=_name)

    def open_paths(self) -> list[str]:
        """The files of the open records of all runs, oldest first."""
        return [self.folder(layout.OPEN, entry.name) for entry in self.open_entries()]

    def claim(self, name: str) -> str | None:
        """Take a waiting breadcrumb for this process.

        Returns:
            Its path from now on, or None when another courier was faster.
        """
        return self._claim(self.folder(layout.READY, name), name)

    def claim_open(self, path: str, record: Record) -> str | None:
        """Take an open record whose process is gone; given back, it waits like any other.

        Returns:
            Its path from now on, or None when another courier was faster.
        """
        return self._claim(path, Entry.name_for(record, len(encode(record))))

    def rewrite_claimed(self, claimed: str, record: Record) -> None:
        """Replace what a claimed record says.

        Raises:
            OSError: It cannot be written.
        """
        os.replace(self._draft(encode(record), os.urandom(8).hex()), claimed)

    def give_back(self, claimed: str) -> None:
        """Put a claimed breadcrumb back among what waits; one that is gone already is fine."""
        claim = Claim.parse(os.path.basename(claimed))
        if claim is None:
            return
        try:
            os.rename(claimed, self.folder(layout.READY, claim.name))
        except FileNotFoundError:
            pass

    def set_aside(self, path: str) -> None:
        """Move what is not ours or not valid out of the way, unread."""
        try:
            os.rename(path, self.folder(layout.ASIDE, f"{time.time_ns()}-{os.urandom(4).hex()}"))
            self.count_dropped("set aside", 1)
        except OSError:
            return

    def trim(self, *, slack: int = 0) -> int:
        """Keep the caps on number, bytes and age: the oldest go first, and are counted.

        Open records count, too, but go last, and never for their age: a live run may be old.

        Args:
            slack: How many files to stay below the caps, so that the next check may wait.

        Returns:
            How many breadcrumbs went.
        """
        waiting, open_ = self.entries(), self.open_entries()
        surplus = len(waiting) + len(open_) - (MAX_FILES - slack)
        size = sum(entry.size for entry in waiting) + sum(entry.size for entry in open_)
        size -= MAX_BYTES - slack * _SLACK_BYTES
        too_old = self._too_old(waiting)
        dropped = 0
        for folder, entries in ((layout.READY, waiting), (layout.OPEN, open_)):
            for entry in entries:
                is_old = folder == layout.READY and dropped < too_old
                if surplus <= 0 and size <= 0 and not is_old:
                    break
                self.discard(self.folder(folder, entry.name))
                surplus -= 1
                size -= entry.size
                dropped += 1
        for reason, number in (("too old", too_old), ("over the caps", dropped - too_old)):
            if number:
                self.count_dropped(reason, number)
        return dropped

    def _too_old(self, waiting: list[Entry]) -> int:
        """How many of what waits, the oldest first, have become too old.

        That is believed when it was so a day ago, too: by a clock that is set 40 days ahead
        everything is old, until somebody sets it right.
        """
        now, seen = time.time(), self.folder(layout.OLD)
        oldest_allowed = (now - layout.MAX_AGE) * 1e6
        number = sum(entry.micros < oldest_allowed for entry in waiting)
        try:
            since = float(files.read(seen, 100))
        except (OSError, ValueError):
            since = float("inf")
        if not number and since < float("inf"):
            self.discard(seen)
        elif number and not since <= now:
            try:
                files.replace(seen, str(now).encode())
            except OSError as error:
                log.debug("it cannot be noted that breadcrumbs are old: %s", error)
        elif number and now - since >= _CONFIRM_SECONDS:
            self.discard(seen)
            return number
        return 0

    def count_dropped(self, reason: str, number: int) -> None:
        """Note that breadcrumbs were given up, so that nobody takes them for delivered."""
        line = f"{int(time.time())} {number} {reason}\n".encode()
        try:
            files.append(self.folder(layout.DROPPED), line, _MAX_COUNT_BYTES)
        except OSError:
            return

    def dropped(self) -> dict[str, int]:
        """How many breadcrumbs were given up, by reason."""
        counts: dict[str, int] = {}
        try:
            lines = (
                files.read(self.folder(layout.DROPPED), 2 * _MAX_COUNT_BYTES).decode().splitlines()
            )
            for line in lines:
                _when, number, reason = line.split(" ", 2)
                counts[reason] = counts.get(reason, 0) + int(number)
        except (OSError, ValueError):
            return counts
        return counts

    def count(self) -> dict[str, int]:
        """How many files lie in each folder."""
        return {
            folder: sum(not name.startswith(".") for name in self.names(folder))
            for folder in (layout.OPEN, layout.READY, layout.SENDING, layout.ASIDE)
        }

    def names(self, folder: str) -> list[str]:
        """The names in one of the folders, in no order; none where it cannot be read."""
        return files.names(self.folder(folder))

    def _claim(self, path: str, name: str) -> str | None:
        claimed = self.folder(layout.SENDING, Claim.name_for(name, process.facts()))
        try:
            os.rename(path, claimed)
        except OSError:
            return None
        return claimed

    def _draft(self, text: bytes, unique: str) -> str:
        """Write a file that nobody reads until it is renamed."""
        path = self.folder(layout.READY, f".{unique}")
        self._write_new(path, text)
        return path

    def _write_new(self, path: str, text: bytes) -> None:
        self.prepare()
        try:
            files.write_new(path, text)
        except FileNotFoundError:
            # Somebody has cleaned up since: a state folder in /tmp may vanish under a long run.
            self._prepared_by = 0
            self.prepare()
            files.write_new(path, text)

    def _trim_sometimes(self, written: str) -> None:
        if int(written[_UNIQUE], 16) % _TRIM_CHANCE == 0 and self._is_nearly_full():
            # Twice: else the next few writes would find it nearly full again.
            self.trim(slack=2 * _TRIM_SLACK)

    def _is_nearly_full(self) -> bool:
        """A look at the names alone, a tenth of what `trim` costs."""
        waiting, open_ = self.names(layout.READY), self.names(layout.OPEN)
        number = len(waiting) + len(open_) + _TRIM_SLACK
        if number > MAX_FILES or number * _SLACK_BYTES < MAX_BYTES:
            return number > MAX_FILES
        size = sum(int(name[_SIZE]) for name in waiting if name[_SIZE].isdigit())
        return size + (len(open_) + _TRIM_SLACK) * _SLACK_BYTES > MAX_BYTES


def _name(entry: Entry | OpenEntry) -> str:
    return entry.name
