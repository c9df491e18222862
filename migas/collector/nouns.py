"""Numbers and what they are of, for pages and for news."""

from __future__ import annotations


def counted(value: int, noun: str) -> str:
    """A count and its noun, as in `1 session` and `2,000 sessions`."""
    return f"{value:,} {noun}" if value == 1 else f"{value:,} {noun}s"
