"""What a project's name is."""

from __future__ import annotations

import re

from migas.collector.database.tables import MAX_PROJECT_CHARS

NO_PROJECT_NAME = "Invalid project format (expected owner/repo)."
"""What the wire says of a name without the one slash."""

# A name is part of addresses, where `.` and `..` are no names.
_PROJECT = re.compile(r"(?!\.\.?/)[A-Za-z0-9_.-]+/(?!\.\.?\Z)[A-Za-z0-9_.-]+")


def is_project_name(text: str) -> bool:
    """Whether a text has the form `owner/repo`, as names on code-hosting sites are written."""
    return len(text) <= MAX_PROJECT_CHARS and _PROJECT.fullmatch(text) is not None
