"""Descriptors that we keep open in somebody else's program, which may close all that it finds."""

from __future__ import annotations

import os

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

# High enough to be out of the way, and below 64: to go beyond, Linux must enlarge the process's
# table, which takes ten milliseconds when the program has threads.
_HIGH_NUMBER = 48


def out_of_the_way(descriptor: int) -> int:
    """Move a descriptor to a number that a program neither expects nor reuses, where possible.

    Returns:
        The descriptor to use from now on; the given one is closed if it is another.
    """
    if fcntl is None:
        return descriptor
    try:
        moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _HIGH_NUMBER)
    except (OSError, ValueError):
        return descriptor
    os.close(descriptor)
    return moved


class OwnDescriptor:
    """A descriptor that is used only as long as it is still what we opened.

    Args:
        descriptor: It moves to another number.
    """

    def __init__(self, descriptor: int) -> None:
        self._number = out_of_the_way(descriptor)
        self._identity = self._look()

    @property
    def number(self) -> int | None:
        """The descriptor's number, or None when the program has closed or replaced it."""
        is_same = self._identity is not None and self._look() == self._identity
        return self._number if is_same else None

    def close(self) -> None:
        """Close what is still ours."""
        number, self._identity = self.number, None
        if number is not None:
            os.close(number)

    def _look(self) -> tuple[int, int] | None:
        try:
            facts = os.fstat(self._number)
        except OSError:
            return None
        return facts.st_dev, facts.st_ino
