"""The numbers that the page's script draws, and the small drawings that need no script."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migas.collector.days import SECONDS_A_DAY, day_number

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping, Sequence

    from migas.collector.counts.outcomes import Outcomes
    from migas.collector.days import Period

SPARK_WIDTH, SPARK_HEIGHT = 120, 28


def chart_data(
    bars: Mapping[dt.date, Outcomes],
    rated: Mapping[dt.date, Outcomes],
    period: Period,
    today: dt.date,
) -> dict[str, object]:
    """What `charts.js` draws.

    Args:
        bars: How the sessions of each day or week ended.
        rated: The same of those sessions whose rate is drawn.
        period: Which days they are.
        today: The present day, which is not over.

    Returns:
        `days` (seconds since 1970 at which each bar begins, UTC), `step` (seconds between them),
        the four outcomes as lists of as many counts, `rate` (percent, or None), and `open`: whether
        the last bar is that of a time which is not over.
    """
    rates = [outcomes.rate for outcomes in rated.values()]
    return {
        "days": [day_number(day) * SECONDS_A_DAY for day in bars],
        "step": {"day": 1, "week": 7, "month": 30}[period.by] * SECONDS_A_DAY,
        "rate": [None if rate is None else round(rate, 2) for rate in rates],
        "open": period.last >= today,
    } | {
        name: [getattr(outcomes, name) for outcomes in bars.values()]
        for name in ("completed", "failed", "suspended", "running")
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


def line(values: Sequence[float | None], top: float) -> str:
    """A line through some values, with gaps where there is none, in the box of `spark`.

    Args:
        values: From 0 to `top`.
        top: What is as high as the box.
    """
    step = SPARK_WIDTH / max(len(values) - 1, 1)
    path, pen = "", "M"
    for number, value in enumerate(values):
        if value is None:
            pen = "M"
            continue
        height = (SPARK_HEIGHT - 2) * (1 - value / (top or 1)) + 1
        # A point alone is drawn as a short stroke, or it would not be seen.
        path += f"{pen}{number * step:.1f},{height:.1f}" + ("h0.6" if pen == "M" else "")
        pen = "L"
    return path


def columns(values: Sequence[int], top: int = 0) -> str:
    """A column for each count, as an SVG path in a box as wide as there are counts and 100 high.

    Args:
        values: The counts.
        top: The count that is as high as the box; the greatest of these without one.
    """
    top = max(1, top, *values)
    return "".join(
        f"M{number + 0.12:.2f},100v{-100 * value / top:.2f}h0.76V100z"
        for number, value in enumerate(values)
        if value
    )


def width(part: int, whole: int) -> str:
    """A bar's width as an SVG attribute; a count that is not 0 can always be seen."""
    if part <= 0 or whole <= 0:
        return "0"
    return f"{max(100 * part / whole, 0.5):.2f}%"
