"""The lease: one courier at a time empties a spool, and others leave at once.

It only saves work. Should two couriers ever hold it, for instance because of a clock that is wrong,
each breadcrumb is still claimed by one of them alone.
"""

from __future__ import annotations

import os
import time

from migas import log
from migas.host import files, process
from migas.spool import layout

LEASE_SECONDS = 90.0
"""Seconds without a sign of life after which the lease of another host's courier is void."""

WRITING_SECONDS = 5.0
"""Seconds after which the writer of a lease that says nothing has died over it."""

_KEEP_SECONDS = 10.0
_MAX_BYTES = 1000


class Lease:
    """A right that one process at a time has in a state folder.

    Args:
        root: The state folder.
        name: The right's.
    """

    def __init__(self, root: str, name: str = layout.LEASE) -> None:
        self._path = os.path.join(root, name)
        self._content = b""
        self._kept = 0.0

    def acquire(self) -> bool:
        """Take the lease, also from a holder that is dead.

        Where it cannot be written, as on a full disk, this process goes on without: a breadcrumb
        is claimed by a rename, which needs no space.

        Returns:
            Whether to go on.
        """
        here = process.facts()
        facts = (str(here["pid"]), here["started"], here["boot"], here["namespace"])
        # The last word tells this very lease from an earlier one of the same process.
        content = "\n".join((*facts, os.urandom(8).hex())).encode()
        for _attempt in range(2):
            try:
                files.write_new(self._path, content)
            except FileExistsError:
                if not self._remove_void():
                    return False
                continue
            except OSError as error:
                log.debug("working without a lease: %s", error)
                return True
            self._content = content
            self._kept = time.monotonic()
            return True
        return False

    def keep(self) -> None:
        """Give a sign of life now and then."""
        if self._content and time.monotonic() - self._kept > _KEEP_SECONDS:
            self._kept = time.monotonic()
            try:
                os.utime(self._path)
            except OSError:
                return

    def release(self) -> None:
        """Let go of what is still ours."""
        content, self._content = self._content, b""
        try:
            if content and files.read(self._path, _MAX_BYTES) == content:
                os.unlink(self._path)
        except (OSError, files.UntrustedFileError):
            return

    def is_held(self) -> bool:
        """Whether anybody alive holds it."""
        try:
            facts = os.lstat(self._path)
            content = files.read(self._path, _MAX_BYTES)
        except FileNotFoundError:
            return False
        except (OSError, files.UntrustedFileError):
            return True
        return not _is_void(content, facts.st_mtime)

    def _remove_void(self) -> bool:
        """Remove the lease of a holder that is gone; whether the way is free now."""
        try:
            facts = os.lstat(self._path)
            content = files.read(self._path, _MAX_BYTES)
        except FileNotFoundError:
            return True
        except files.UntrustedFileError:
            content = b""
        except OSError:
            return False
        if not _is_void(content, facts.st_mtime):
            return False
        # By a rename, so that of several couriers that saw it one removes it.
        grave = f"{self._path}.{os.urandom(8).hex()}"
        try:
            os.rename(self._path, grave)
            if os.lstat(grave).st_ino != facts.st_ino:
                os.rename(grave, self._path)  # another courier was faster, and this is its lease
                return False
            os.unlink(grave)
        except OSError:
            return False
        return True


def _is_void(content: bytes, touched: float) -> bool:
    here = process.facts()
    try:
        pid, started, boot, namespace, _unique = content.decode("ascii", "replace").split("\n")
        if here["boot"] and (boot, namespace) == (here["boot"], here["namespace"]):
            return not process.is_alive(int(pid), started)
    except ValueError:
        return abs(time.time() - touched) > WRITING_SECONDS
    return abs(time.time() - touched) > LEASE_SECONDS
