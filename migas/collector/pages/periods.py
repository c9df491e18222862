"""Which days a page is about, read from its address."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import TYPE_CHECKING

from migas.collector.days import Period, Step

if TYPE_CHECKING:
    from collections.abc import Mapping

PRESETS = {
    "7d": ("7 days", 7),
    "30d": ("30 days", 30),
    "90d": ("90 days", 90),
    "1y": ("1 year", 365),
}
"""The periods that are a link away: a name in the address, one for people, a number of days."""

PARAMETERS = ("period", "from", "to", "since", "until", "by")
"""What an address may have of a period."""

DEFAULT = "30d"
STEPS: tuple[Step, ...] = ("day", "week", "month")

_PRESET_NAMES, _STEP_NAMES = ", ".join(PRESETS), ", a ".join(STEPS)

WEEKLY_FROM_DAYS = 120
"""Beyond this many days a bar for each is too thin to be pointed at."""


def parse(query: Mapping[str, str], today: dt.date) -> Period:
    """Read a period from a page's query: `period`, or `from` and `to`, and `by` (one of `STEPS`).

    The dates may have the names that programs give them, too: `since` and `until`.

    Args:
        query: The address's parameters, as anybody may have written them.
        today: The present day in UTC; no period reaches beyond it.

    Returns:
        The period asked for; the default one with a `mistake` where they make none.
    """
    asked = query.get("period") or DEFAULT
    preset = asked if asked in PRESETS else DEFAULT
    period = replace(Period.ending(today, PRESETS[preset][1]), preset=preset)
    first, last = (
        query.get(name) or query.get(other, "")
        for name, other in (("from", "since"), ("to", "until"))
    )
    if first or last:
        try:
            period = _between(first, last, today)
        except ValueError as mistake:
            period = replace(period, mistake=str(mistake))
    elif preset != asked:
        period = replace(period, mistake=f"There is no such period; there are {_PRESET_NAMES}.")
    step = next((step for step in STEPS if step == query.get("by")), None)
    if query.get("by") and step is None:
        period = replace(
            period, mistake=f"{period.mistake} A bar is one of these: a {_STEP_NAMES}.".strip()
        )
    return replace(period, by=step or _step(period.days))


def query_of(period: Period) -> dict[str, str]:
    """The parameters with which `parse` finds a period again."""
    by = {} if period.by == _step(period.days) else {"by": period.by}
    if period.preset is not None:
        return {"period": period.preset, **by}
    return {"from": period.first.isoformat(), "to": period.last.isoformat(), **by}


def _step(days: int) -> Step:
    """What is counted together where nobody says so."""
    return "week" if days > WEEKLY_FROM_DAYS else "day"


def _between(first_text: str, last_text: str, today: dt.date) -> Period:
    """The period between two dates; what it is without one of them, `Period.asked` says."""
    try:
        first = dt.date.fromisoformat(first_text) if first_text else None
        last = dt.date.fromisoformat(last_text) if last_text else None
    except ValueError:
        raise ValueError("Those are not two dates like 2026-01-31.") from None
    return Period.asked(first, last, today)
