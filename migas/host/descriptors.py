"""Descriptors in somebody else's program: ours, which it may close, and its standard output."""

from __future__ import annotations

import os
import stat

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_HIGH_NUMBER = 700
# Beyond 64 Linux must enlarge the process's table, for which it waits ten milliseconds when the
# program has threads.
_HIGHEST_CHEAP_NUMBER = 48


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
        """Give it up if no file can be opened any more, so that one can."""
        if self._kept is not None:
            try:
                os.close(os.open(os.devnull, os.O_RDONLY))
            except OSError:
                self.give_up()

    def give_up(self) -> None:
        """Close it."""
        kept, self._kept = self._kept, None
        if kept is not None:
            kept.close()
