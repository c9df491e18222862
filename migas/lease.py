"""The lease: one courier at a time empties a spool, and others leave at once.

It only saves work. Should two couriers ever hold it, for instance because of a clock that is wrong,
each breadcrumb is still claimed by one of them alone.
"""

from __future__ import annotations

import os
import time

from migas import process

LEASE_SECONDS = 90.0
"""Seconds without a sign of life after which the lease of another host's courier is void."""


class Lease:
    """The right to empty the spool below a root."""

    def __init__(self, root: str) -> None:
        self._path = os.path.join(root, "lease")

    def acquire(self) -> bool:
        """Take the lease, also from a holder that is dead.

        Returns:
            Whether this process holds it now.

        Raises:
            OSError: It cannot be written.
        """
        here = process.facts()
        content = f"{here['pid']} {here['started']} {here['boot']} {here['namespace']}".encode()
        for _attempt in range(2):
            try:
                descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            except FileExistsError:
                if not self._is_void():
                    return False
                self._remove_void()
                continue
            try:
                os.write(descriptor, content)
            finally:
                os.close(descriptor)
            return True
        return False

    def keep(self) -> None:
        """Give a sign of life."""
        try:
            os.utime(self._path)
        except OSError:
            return

    def release(self) -> None:
        """Let go."""
        try:
            os.unlink(self._path)
        except OSError:
            return

    def _is_void(self) -> bool:
        try:
            with open(self._path, encoding="ascii", errors="replace") as lease:
                pid, started, boot, namespace = lease.read(1000).split(" ", 3)
                age = time.time() - os.fstat(lease.fileno()).st_mtime
        except FileNotFoundError:
            return True
        except (OSError, ValueError):
            pid, started, boot, namespace = "0", "", "", ""
            age = self._age()
        here = process.facts()
        if boot and (boot, namespace) == (here["boot"], here["namespace"]) and pid.isdigit():
            return not process.is_alive({**here, "pid": int(pid), "started": started})
        return abs(age) > LEASE_SECONDS

    def _age(self) -> float:
        try:
            return time.time() - os.lstat(self._path).st_mtime
        except OSError:
            return 0.0

    def _remove_void(self) -> None:
        # By a rename, so that of several couriers that saw it one removes it.
        grave = f"{self._path}.{os.urandom(8).hex()}"
        try:
            os.rename(self._path, grave)
            os.unlink(grave)
        except OSError:
            return
