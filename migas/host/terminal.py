"""What a person sees: standard error where somebody looks at it, and texts that cannot steer it."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO


def standard_error() -> TextIO | None:
    """Standard error if it is a terminal, else None."""
    try:
        return sys.stderr if sys.stderr is not None and sys.stderr.isatty() else None
    except Exception:  # noqa: BLE001  stderr may be closed or be anything
        return None


def printable(text: str) -> str:
    """A text of strangers without what could steer a terminal; its lines stay."""
    return "".join(char for char in text if char.isprintable() or char == "\n")
