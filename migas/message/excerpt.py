"""What is worth most of a message that quotes a traceback: its first line and the last exception.

Nipype, torch, notebooks and many more hand a worker's traceback on inside a message, which is then
too long for the wire; cut in its middle it would lose just that.
"""

from __future__ import annotations

MAX_CHARS = 1500
"""Longer messages are worth looking through."""

TRACEBACK = "Traceback (most recent call last):"


def excerpt(text: str) -> str:
    """A message as it is, or what is worth most of a long one that quotes a traceback.

    Only whole lines go, so that nothing which redaction knows is halved.
    """
    last = last_exception(text) if len(text) > MAX_CHARS else ""
    first = text.lstrip().partition("\n")[0].rstrip()
    if not last or TRACEBACK in first:
        return last or text
    return f"{first}\n…\n{last}"


def last_exception(text: str) -> str:
    """The exception in which the last traceback of a text ends, and all that follows it.

    It stands in the first line that is indented no more than the traceback's own; of a chain it is
    the last one.

    Returns:
        Text that begins with the exception's class, or an empty one where there is none.
    """
    before, found, after = text.rpartition(TRACEBACK)
    if not found:
        return ""
    import re

    line = before[before.rfind("\n") + 1 :]
    indent = re.escape(line[: len(line) - len(line.lstrip())])
    exception = re.compile(rf"^{indent}(?=\S)", re.MULTILINE).search(after, after.find("\n") + 1)
    return after[exception.end() :].rstrip() if exception else ""
