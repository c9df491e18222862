"""Files of ours on somebody else's machine, and descriptors in somebody else's program.

Files and folders are such that nobody but this user can write them, made and read without following
a link. Descriptors the program may close, and reuse their numbers.
"""

from __future__ import annotations

import errno
import os
import stat

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
_NO_WAIT = getattr(os, "O_NONBLOCK", 0)
_OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH

# What opening a link, somebody else's file or a socket fails with. Anything else, such as a network
# file system's stale handle, says nothing about the file.
_TELLING = (errno.ELOOP, errno.EMLINK, errno.EACCES, errno.EPERM, errno.ENXIO)

_HIGH_NUMBER = 700
# Beyond 64 Linux must enlarge the process's table, for which it waits ten milliseconds when the
# program has threads.
_HIGHEST_CHEAP_NUMBER = 48


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
        try:
            if os.write(descriptor, content) != len(content):
                raise OSError(errno.ENOSPC, "The file could not be written whole", path)
        finally:
            os.close(descriptor)  # on a network it may be this that finds no space
    except BaseException:
        os.unlink(path)
        raise


def overwrite(path: str, content: bytes) -> int:
    """Write over the whole of an existing file with one call, shorter texts filled with spaces.

    A kill finds the old text or the new one: no signal interrupts the writing of one page. Returns
    the file's size in bytes.

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
        if old:
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


def _is_pipe(facts: os.stat_result | None) -> bool:
    return facts is not None and (stat.S_ISFIFO(facts.st_mode) or stat.S_ISSOCK(facts.st_mode))


def _standard_output() -> os.stat_result | None:
    try:
        return os.fstat(1)
    except OSError:
        return None


_BEGAN_WITH_PIPE = _is_pipe(_standard_output())


def standard_output_is_broken() -> bool:
    """Whether standard output is a pipe or a connection whose reader has gone away.

    A pipe in whose place is the null device by now was broken, too: Python's documentation has
    programs do so, as its interpreter complains about what it cannot write at its end.
    """
    now = _standard_output()
    if not _is_pipe(now):
        return _BEGAN_WITH_PIPE and now is not None and _is_null_device(now)
    import select

    if not hasattr(select, "poll"):
        return False
    poll = select.poll()
    poll.register(1, 0)
    return any(events & (select.POLLERR | select.POLLHUP) for _descriptor, events in poll.poll(0))


def _is_null_device(facts: os.stat_result) -> bool:
    try:
        return os.path.samestat(facts, os.stat(os.devnull))
    except OSError:
        return False


def out_of_the_way(descriptor: int) -> int:
    """Move a descriptor to a number that a program neither expects nor reuses, where possible.

    Returns:
        The descriptor to use from now on; the given one is closed if it is another.
    """
    if fcntl is None:
        return descriptor
    try:
        number = _HIGHEST_CHEAP_NUMBER if _has_threads() else _HIGH_NUMBER
        moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, number)
    except (OSError, ValueError):
        return descriptor
    os.close(descriptor)
    return moved


def _has_threads() -> bool:
    try:
        return len(os.listdir("/proc/self/task")) > 1
    except OSError:
        return True


class OwnDescriptor:
    """A descriptor that is used only as long as it is still what we opened.

    Args:
        descriptor: It moves to another number.

    Attributes:
        opened: That number, whoever may have it by now.
    """

    def __init__(self, descriptor: int) -> None:
        self.opened = out_of_the_way(descriptor)
        self._identity = self._look()

    @property
    def number(self) -> int | None:
        """The descriptor's number, or None when the program has closed or replaced it."""
        is_same = self._identity is not None and self._look() == self._identity
        return self.opened if is_same else None

    def close(self) -> None:
        """Close what is still ours."""
        number, self._identity = self.number, None
        if number is not None:
            os.close(number)

    def _look(self) -> tuple[int, int] | None:
        try:
            facts = os.fstat(self.opened)
        except OSError:
            return None
        return facts.st_dev, facts.st_ino


class Reserve:
    """A descriptor kept for when the program has used up all that it may have open."""

    def __init__(self) -> None:
        self._kept: OwnDescriptor | None = None

    def fill(self, folder: str) -> None:
        """Keep one; a folder of ours is no other's, so that it is not mistaken for theirs.

        Where none can be kept, there is none.
        """
        if self._kept is None:
            try:
                self._kept = OwnDescriptor(os.open(folder, os.O_RDONLY))
            except OSError:
                return

    def spend_if_needed(self) -> None:
        """Give it up if no descriptor is left beside it, so that a file can be opened."""
        number = None if self._kept is None else self._kept.number
        if number is not None:
            try:
                os.close(os.dup(number))  # half of what it takes to open a file
            except OSError:
                self.give_up()

    def give_up(self) -> None:
        """Close it."""
        kept, self._kept = self._kept, None
        if kept is not None:
            kept.close()
