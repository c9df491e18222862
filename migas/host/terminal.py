"""Standard error where a person looks at it."""

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
