"""What of many values a page shows, and in which order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migas.collector.projects.versions import newest_first

if TYPE_CHECKING:
    from collections.abc import Mapping

    from migas.collector.counts.outcomes import Outcomes

MAX_VERSIONS = 50
"""Whoever reports runs names their versions: a page must not grow with what strangers make up."""

MAX_FAILURES = 10
MAX_SHARES = 8


def most_frequent(by_version: Mapping[str, Outcomes], latest: str) -> tuple[list[str], list[str]]:
    """The versions to show, the newest first, and the others; the named newest one is shown."""
    ranked = sorted(
        by_version, key=lambda version: (version != latest, -by_version[version].total, version)
    )
    return newest_first(ranked[:MAX_VERSIONS]), ranked[MAX_VERSIONS:]
