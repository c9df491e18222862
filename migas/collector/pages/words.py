"""How numbers, days and strangers' texts are written on a page."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from migas.collector.nouns import counted as counted  # noqa: PLC0414  pages have it, too

if TYPE_CHECKING:
    import datetime as dt

LABELS = {
    ("ci", "yes"): "CI",
    ("ci", "no"): "not CI",
    ("container", "unknown"): "none, or not known",
    ("user", "general"): "people",
    ("user", "dev"): "developers",
    ("user", "ci"): "machines that test",
    ("outcome", "running"): "no end reported",
}
"""What is shown for some values that sessions have in common."""

# To ask `strftime` takes as long as ten looks into a list, and a page has hundreds of dates.
MONTHS = ["", "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

EN_DASH = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"

LONG_CHARS = 240
LONG_LINES = 6
"""A text longer than this is folded, by whichever of the two it reaches first."""

_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters but tab and newline
    "\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb"  # direction, zero width
    "\u2028\u2029\U000e0000-\U000e007f"  # separators, tags
    "\u00ad\u115f\u1160\u2800\u3164\uffa0]"  # soft hyphen, letters that look like nothing
)


def visible(text: str | None) -> str:
    r"""A text from a breadcrumb, with what hides or reorders characters written as an escape.

    Right-to-left scripts and composed emoji stay as they are; U+202E becomes `\u202e`.
    """
    return _INVISIBLE.sub(_escape, text or "")


def labelled(value: str, kind: str) -> str:
    """A value that sessions have in common, as people call it."""
    return LABELS.get((kind, value), value)


def times(factor: float) -> str:
    """How many times as often, as in `3.1` and `0.04`."""
    return f"{factor:.1f}" if factor >= 0.995 else f"{factor:.2g}"


def head(text: str) -> str:
    """The beginning of a long text, whole when it is short."""
    short = "\n".join(text.split("\n", LONG_LINES)[:LONG_LINES])[:LONG_CHARS]
    return text if short == text else short.rstrip() + "…"


def number(value: int) -> str:
    """A count with its thousands set apart, as in 12,345."""
    return f"{value:,}"


def percent(part: int, whole: int) -> str:
    """A share with one decimal; 0% and 100% only where nothing or everything is meant.

    Returns:
        As in `93.4%`, and an en dash when there is nothing to have a share of.
    """
    if whole <= 0:
        return EN_DASH
    if part in (0, whole):
        return "100%" if part else "0%"
    return f"{min(max(100 * part / whole, 0.1), 99.9):.1f}%"


def interval(bounds: tuple[float, float] | None) -> str:
    """Two percentages with an en dash between them; the dash alone when there are none."""
    return EN_DASH if bounds is None else f"{bounds[0]:.1f}{EN_DASH}{bounds[1]:.1f}%"


def change(now: float | None, then: float | None) -> str:
    """By how much a number has grown, as in `+1.2%` and `-40%`; empty where there was none.

    What has grown tenfold is `over +900%`.

    Args:
        now: The number.
        then: What it was before.
    """
    if not then or now is None:
        return ""
    by = 100 * (now - then) / then
    if by > 900:
        return "over +900%"
    digits = 1 if abs(by) < 9.95 else 0
    return f"{by:+,.{digits}f}%".replace("-", MINUS)


def lasting(seconds: float | None) -> str:
    """How long something took, as in `0.4 s`, `12 s`, `3 min 20 s`, `5 h 12 min` and `2 d 4 h`."""
    if seconds is None:
        return EN_DASH
    if seconds < 59.5:
        return _with_unit(f"{seconds:.1f}" if seconds < 9.95 else f"{seconds:.0f}", "s")
    seconds = round(seconds)
    if seconds < 3600:
        return _two(seconds, 60, "min", "s")
    minutes = round(seconds / 60)
    return (
        _two(minutes, 60, "h", "min") if minutes < 1440 else _two(round(minutes / 60), 24, "d", "h")
    )


def _two(number: int, each: int, larger: str, smaller: str) -> str:
    whole, rest = divmod(number, each)
    first = _with_unit(whole, larger)
    return f"{first} {_with_unit(rest, smaller)}" if rest else first


def _with_unit(number: float | str, unit: str) -> str:
    """A number that no narrow column parts from its unit."""
    return f"{number}\N{NO-BREAK SPACE}{unit}"


def month(date: dt.date) -> str:
    """The month of a day, as in `Oct 2026`."""
    return f"{MONTHS[date.month]} {date.year}"


def day(date: dt.date) -> str:
    """A day, as in `5 Oct 2026`."""
    return f"{date.day} {month(date)}"


def start(date: dt.date, by: str) -> str:
    """A day, week or month by its first day, a week as in `5 Oct 2026 (2026-W41)` of ISO 8601."""
    if by == "month":
        return month(date)
    year, week, _ = date.isocalendar()
    return f"{day(date)} ({year}-W{week:02})" if by == "week" else day(date)


def span(first: dt.date, last: dt.date) -> str:
    """Two days and what lies between them, without saying the same year twice."""
    if first == last:
        return day(first)
    if first.year != last.year:
        return f"{day(first)} {EN_DASH} {day(last)}"
    start = f"{first.day}" if first.month == last.month else f"{first.day} {MONTHS[first.month]}"
    return f"{start} {EN_DASH} {day(last)}"


def moment(time: dt.datetime) -> str:
    """A time, as in `5 Oct 2026, 14:03`."""
    return f"{day(time.date())}, {time:%H:%M}"


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()
