"""Values by how often they are met, in the one order in which pages and tables have them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def frequent(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """Values and their numbers, the most frequent first."""
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
