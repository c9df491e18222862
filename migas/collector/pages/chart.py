"""Drawings as SVG: a chart's bars, line, scale, labels and marks, in numbers that a template sets.

Nothing is drawn by a script, so that a chart is there without one, on paper and in either scheme.
Along the time everything is told in percent of the width, which only the browser knows.
"""

from __future__ import annotations

import datetime as dt
from calendar import monthrange
from dataclasses import dataclass
from functools import cached_property
from math import ceil, floor, log10
from typing import TYPE_CHECKING, NamedTuple

from migas.collector.pages.words import MONTHS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from migas.collector.counts.releases import Arrival
    from migas.collector.days import Period

SPARK_WIDTH, SPARK_HEIGHT = 120, 28

MAX_LABELS = 7
MAX_GRID_LINES = 5
MAX_DOTS = 40

_UNITS = ((86400, "d"), (3600, "h"), (60, "min"))

_DAYS_OF = {"day": 1, "week": 7}

_LABEL = 7
"""How many percent of the width the name of a release takes."""


@dataclass(frozen=True)
class Axis:
    """The days, weeks or months of a chart.

    Args:
        starts: The first day of each.
        by: What they are: `day`, `week` or `month`.
        unfinished: Whether the last one is not over.
        came: The releases in some of them, and on which days.
    """

    starts: Sequence[dt.date]
    by: str
    unfinished: bool
    came: Mapping[dt.date, Sequence[Arrival]]

    @classmethod
    def of(
        cls, period: Period, today: dt.date, came: Mapping[dt.date, Sequence[Arrival]] | None = None
    ) -> Axis:
        """The axis of a period, with the releases that came in it."""
        return cls(period.buckets(), period.by, period.last >= today, came or {})

    @cached_property
    def labels(self) -> list[tuple[str, str, str]]:
        """Under the chart: where (in percent), how the text is anchored, and a day or a month."""
        is_long = self.by == "month" or (self.starts[-1] - self.starts[0]).days > 300
        places = [(self._middle(place), start) for place, start in enumerate(self.starts)]
        if is_long and self.by != "month":
            places = list(self._months())
        found = []
        for at, start in places[:: ceil(len(places) / MAX_LABELS)]:
            anchor = "start" if at < 5 else "end" if at > 95 else "middle"
            # "Nov 25" would be a day of November as well, and the whole year too long for a phone.
            year = f"{start:\N{RIGHT SINGLE QUOTATION MARK}%y}"
            month = MONTHS[start.month]
            text = f"{month} {year}" if is_long else f"{start.day} {month}"
            found.append((f"{0 if anchor == 'start' else at:.2f}", anchor, text))
        return found

    def _months(self) -> Iterator[tuple[float, dt.date]]:
        """Where, in percent, each month begins of a chart by days or weeks."""
        for place, start in enumerate(self.starts):
            day = (start.replace(day=1) + dt.timedelta(days=31)).replace(day=1)
            day = start if start.day == 1 else day
            number = (day - start).days
            if number < _DAYS_OF[self.by]:
                yield 100 * (place + number / _DAYS_OF[self.by]) / len(self.starts), day

    @cached_property
    def marks(self) -> list[tuple[str, str, int, str]]:
        """Releases: where (in percent), how the text is anchored, in which row, which versions.

        Each stands on its day, wherever in a week or month that is.
        """
        ends = [-1.0, -1.0]
        found = []
        for place, start in enumerate(self.starts):
            days = _DAYS_OF.get(self.by) or monthrange(start.year, start.month)[1]
            by_day: dict[dt.date, list[str]] = {}
            for version, day in self.came.get(start, ()):
                by_day.setdefault(day, []).append(version)
            for day, versions in sorted(by_day.items()):
                at = 100 * (place + (day - start).days / days) / len(self.starts)
                # Two that come soon after each other are told one below the other.
                row = 0 if at >= ends[0] or ends[0] <= ends[1] else 1
                ends[row] = at + _LABEL * len(versions)
                anchor = "end" if ends[row] > 100 else "start"
                found.append((f"{at:.2f}", anchor, row, ", ".join(versions)))
        return found

    def _middle(self, place: int) -> float:
        return 100 * (place + 0.5) / len(self.starts)


class Chart(NamedTuple):
    """What is drawn over an axis, in a box as wide as that has days, weeks or months, and 100 high.

    `bands` are pairs of a class and an SVG path, `scale` heights (percent from above) and what
    they stand for.
    """

    axis: Axis
    bands: Sequence[tuple[str, str]]
    scale: Sequence[tuple[float, str]]


def stacked(axis: Axis, bands: Mapping[str, Sequence[int]]) -> Chart:
    """Bars of counts, the first kind at the bottom.

    Args:
        axis: Over which time.
        bands: By their class, as many counts as the axis has days, weeks or months.
    """
    sums = [sum(numbers) for numbers in zip(*bands.values(), strict=True)]
    step = _step(max(4, *sums))
    top = step * ceil(max(4, *sums) / step)
    lines = [(100 - 100 * at / top, _short(at)) for at in range(0, top + 1, step)]
    return Chart(axis, _stack(bands, [top] * len(sums)), lines)


def shared_out(axis: Axis, bands: Mapping[str, Sequence[int]]) -> Chart:
    """Bars that all are as high as the chart, and show which share each kind has."""
    sums = [sum(numbers) for numbers in zip(*bands.values(), strict=True)]
    lines = [(100.0 - at, f"{at}%") for at in (0, 25, 50, 75, 100)]
    return Chart(axis, _stack(bands, sums), lines)


def rate_line(axis: Axis, rates: Sequence[float | None]) -> Chart:
    """A line through percentages; where one is missing, the next one follows on the one before."""
    known = [rate for rate in rates if rate is not None]
    # A rate is honest on a scale that ends at 100; it begins where there is something to see.
    bottom = max(0, min(90, floor((min(known, default=0) - 2) / 10) * 10))
    step = 5 if bottom >= 80 else 10 if bottom >= 50 else 25
    bottom -= bottom % step
    lines = [(100 * (100 - at) / (100 - bottom), f"{at}%") for at in range(bottom, 101, step)]
    return Chart(axis, _line("line", rates, bottom, 100), lines)


def duration_lines(axis: Axis, lines: Mapping[str, Sequence[float | None]]) -> Chart:
    """Lines through durations in seconds, as `rate_line` draws one; by their class.

    Args:
        axis: Over which time.
        lines: By their class, as many as the axis has days, weeks or months; None for no run.
    """
    most = max((value for line in lines.values() for value in line if value is not None), default=0)
    unit, name = next(((size, name) for size, name in _UNITS if most >= 2 * size), (1, "s"))
    top = max(1, ceil(most / unit))
    step = _step(top)
    top = step * ceil(top / step)
    scale = [(100 - 100 * at / top, f"{at} {name}") for at in range(0, top + 1, step)]
    bands = [
        band for kind, line in lines.items() for band in _line(f"line {kind}", line, 0, top * unit)
    ]
    return Chart(axis, bands, scale)


def spark(values: Sequence[int], *, is_open: bool = False) -> str:
    """A line through daily counts, as an SVG path in a box of `SPARK_WIDTH` by `SPARK_HEIGHT`.

    Args:
        values: The counts.
        is_open: Whether the last day is not over, and would look like a fall: it is left out.
    """
    values = values[:-1] if is_open else values
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


def _line(
    kind: str, values: Sequence[float | None], bottom: float, top: float
) -> list[tuple[str, str]]:
    """A path through values, those between that are missing left out, and dots where few are."""
    points = [
        f"{place + 0.5:.1f},{100 * (top - value) / (top - bottom):.2f}"
        for place, value in enumerate(values)
        if value is not None
    ]
    bands = [(kind, "M" + "L".join(points))] if points else []
    if 0 < len(points) < MAX_DOTS:
        # A line of hardly a length is a dot: round ends make it one.
        bands.append((f"{kind} dots", "".join(f"M{point}h.001" for point in points)))
    return bands


def _stack(bands: Mapping[str, Sequence[int]], tops: Sequence[int]) -> list[tuple[str, str]]:
    """A path for each kind, its bars on top of those before it; `tops` are as high as the box."""
    below = [0] * len(tops)
    paths = []
    for kind, counts in bands.items():
        parts = []
        for place, (count, top) in enumerate(zip(counts, tops, strict=True)):
            if count:
                foot = 100 - 100 * below[place] / top
                parts.append(
                    f"M{place + 0.12:.2f},{foot:.2f}v{-100 * count / top:.2f}h.76V{foot:.2f}z"
                )
                below[place] += count
        paths.append((kind, "".join(parts)))
    return paths


def _step(top: int) -> int:
    """How far the lines of a grid are apart, in a number that people like."""
    least = top / MAX_GRID_LINES
    power = 10 ** max(0, floor(log10(least)))
    return next(int(nice * power) for nice in (1, 2, 5, 10) if nice * power >= least)


def _short(number: int) -> str:
    """A count as in 950, 2.5k and 3M."""
    for size, letter in ((10**6, "M"), (10**3, "k")):
        if number >= size:
            return f"{number / size:.1f}".removesuffix(".0") + letter
    return str(number)
