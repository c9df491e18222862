"""Files and folders that nobody but this user can write: made and read without following a link."""

from __future__ import annotations

import errno
import os
import stat

_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
_NO_WAIT = getattr(os, "O_NONBLOCK", 0)
_OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH

# What opening a link, somebody else's file or a socket fails with. Anything else, such as a network
# file system's stale handle, says nothing about the file.
_TELLING = (errno.ELOOP, errno.EMLINK, errno.EACCES, errno.EPERM, errno.ENXIO)


class UntrustedFileError(ValueError):
    """A file that somebody else made, or could have changed."""


def make_folder(path: str) -> None:
    """Make a folder with mode 0700, or see that the one that exists can be trusted.

    Raises:
        UntrustedFileError: It is a link or no folder, belongs to somebody else, or others may
            write in it.
        OSError: It cannot be made.
    """
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        facts = os.lstat(path)
        if not stat.S_ISDIR(facts.st_mode) or not _is_own(facts):
            raise UntrustedFileError(
                f"{path} must be a folder of this user in which nobody else may write"
            ) from None


def write_new(path: str, content: bytes) -> None:
    """Write a file that does not exist yet, mode 0600; on failure there is none.

    Raises:
        OSError: It exists, or cannot be written whole.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_FOLLOW, 0o600)
    try:
        if os.write(descriptor, content) != len(content):
            raise OSError(errno.ENOSPC, "The file could not be written whole", path)
    except BaseException:
        os.unlink(path)
        raise
    finally:
        os.close(descriptor)


def overwrite(path: str, content: bytes) -> int:
    """Write over the whole of an existing file with one call, shorter texts filled with spaces.

    A kill finds the old text or the new one: no signal interrupts the writing of one page.

    Returns:
        The file's size in bytes.

    Raises:
        OSError: It is gone, or cannot be written; what was there still stands.
    """
    descriptor = os.open(path, os.O_RDWR | _NO_FOLLOW | _NO_WAIT)
    try:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise OSError(errno.EINVAL, "It is no regular file", path)
        # Only a longer text needs space that there may not be.
        old = os.read(descriptor, facts.st_size) if len(content) > facts.st_size else b""
        content = content.ljust(facts.st_size)
        os.lseek(descriptor, 0, os.SEEK_SET)
        if os.write(descriptor, content) != len(content):
            os.lseek(descriptor, 0, os.SEEK_SET)
            os.write(descriptor, old)
            os.ftruncate(descriptor, len(old))
            raise OSError(errno.ENOSPC, "The file could not be written whole", path)
    finally:
        os.close(descriptor)
    return len(content)


def replace(path: str, content: bytes) -> None:
    """Write a file whether or not it exists, in one step for whoever reads it.

    Raises:
        OSError: It cannot be written; what was there still stands.
    """
    draft = f"{path}.{os.urandom(8).hex()}"
    write_new(draft, content)
    os.replace(draft, path)


def append(path: str, content: bytes, limit: int) -> None:
    """Add to a file that is at most `limit` bytes large; what comes then is not written.

    Raises:
        OSError: It cannot be written.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | _NO_FOLLOW | _NO_WAIT
    descriptor = os.open(path, flags, 0o600)
    try:
        if os.fstat(descriptor).st_size < limit:
            os.write(descriptor, content)
    finally:
        os.close(descriptor)


def read(path: str, limit: int) -> bytes:
    """Read a file, trusting nothing about it.

    Args:
        path: Where.
        limit: The largest size in bytes that makes sense.

    Raises:
        UntrustedFileError: It is a link or no regular file, somebody else's, writable by others,
            or larger.
        OSError: It is gone, or cannot be read for a reason of the system's.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | _NO_FOLLOW | _NO_WAIT)
    except OSError as error:
        if error.errno in _TELLING:
            raise UntrustedFileError(f"{path} cannot be opened: {error.strerror}") from None
        raise
    try:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode) or not _is_own(facts):
            raise UntrustedFileError(f"{path} is not a private file of this user")
        if facts.st_size > limit:
            raise UntrustedFileError(f"{path} holds {facts.st_size} bytes, more than {limit}")
        return os.read(descriptor, limit)
    finally:
        os.close(descriptor)


def names(folder: str) -> list[str]:
    """The names in a folder, in no order; none where it cannot be read."""
    try:
        return os.listdir(folder)
    except OSError:
        return []


def touch(path: str) -> None:
    """Make a file younger, or make it.

    Raises:
        OSError: It cannot be made or touched.
    """
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | _NO_FOLLOW | _NO_WAIT, 0o600))
    os.utime(path)


def _is_own(facts: os.stat_result) -> bool:
    if not hasattr(os, "geteuid"):
        return True
    return facts.st_uid == os.geteuid() and not facts.st_mode & _OTHERS_MAY_WRITE
