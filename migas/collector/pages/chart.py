"""The numbers that the page's script draws, and the small drawings that need no script."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from migas.collector.pages.figures import Bar, Project

SPARK_WIDTH, SPARK_HEIGHT = 120, 28


def chart_data(project: Project) -> dict[str, object]:
    """What `charts.js` draws.

    Returns:
        `days` (seconds since 1970 at which each bar begins, UTC), `step` (seconds between them),
        the four outcomes as lists of as many counts, and `rate` (percent, or None).
    """
    bars = project.bars
    return {
        "days": [_seconds(bar) for bar in bars],
        "step": (7 if project.period.weekly else 1) * 86400,
        "completed": [bar.outcomes.completed for bar in bars],
        "failed": [bar.outcomes.failed for bar in bars],
        "suspended": [bar.outcomes.suspended for bar in bars],
        "running": [bar.outcomes.running for bar in bars],
        "rate": [None if (rate := bar.outcomes.rate) is None else round(rate, 2) for bar in bars],
    }


def spark(values: Sequence[int]) -> str:
    """A line through daily counts, as an SVG path in a box of `SPARK_WIDTH` by `SPARK_HEIGHT`."""
    if not values:
        return ""
    top = max(1, *values)
    step = SPARK_WIDTH / max(len(values) - 1, 1)
    points = [
        f"{number * step:.1f},{(SPARK_HEIGHT - 2) * (1 - value / top) + 1:.1f}"
        for number, value in enumerate(values)
    ]
    return "M" + "L".join(points)


def width(part: int, whole: int) -> str:
    """A bar's width as an SVG attribute; a count that is not 0 can always be seen."""
    if part <= 0 or whole <= 0:
        return "0"
    return f"{max(100 * part / whole, 0.5):.2f}%"


def _seconds(bar: Bar) -> int:
    midnight = dt.datetime.combine(bar.day, dt.time(), dt.UTC)
    return int(midnight.timestamp())
