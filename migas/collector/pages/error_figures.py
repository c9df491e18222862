"""What an error's page shows."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

from migas.collector.counts.comparison import newest_two
from migas.collector.counts.likelihood import by_kind
from migas.collector.counts.outcomes import total
from migas.collector.counts.releases import among
from migas.collector.pages.shown import MAX_SHARES

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Mapping, Sequence

    from migas.collector.collector import Collector
    from migas.collector.counts.comparison import Comparison
    from migas.collector.counts.failures import ErrorSummary, Message
    from migas.collector.counts.filters import Filter
    from migas.collector.counts.likelihood import Likelihood
    from migas.collector.counts.releases import Arrival
    from migas.collector.days import Period

MAX_MESSAGES = 10
MAX_REMARKABLE = 4


class ErrorPage(NamedTuple):
    """An error in one period.

    `summary` is None where no session failed with it. `bars` has the sessions of each day, week
    or month, `tables` by kind how often it meets each value, and `remarkable` those pairs of a
    kind and a value that it meets more often than others by more than chance.
    """

    summary: ErrorSummary | None
    sessions: int
    bars: Mapping[dt.date, int]
    tables: Mapping[str, Sequence[Likelihood]]
    remarkable: Sequence[tuple[str, Likelihood]]
    messages: Sequence[Message]
    comparison: Comparison | None
    came: Mapping[dt.date, Sequence[Arrival]]


async def error(
    collector: Collector, name: str, period: Period, only: Filter, fingerprint: str
) -> ErrorPage:
    """Everything that an error's page shows of a period, and of the sessions of a filter."""
    ask = collector.reports
    only = await ask.resolved(name, only)
    its_own = only.with_(error=fingerprint)
    # How often something fails is told of all sessions, however they ended.
    only = only.with_(outcome=None)
    (found, hit, messages, release), by_version, came, shares, all_shares = await asyncio.gather(
        asyncio.gather(
            ask.errors(name, period, its_own, 1),
            ask.timeline(name, period, its_own),
            ask.messages(name, period, its_own, MAX_MESSAGES),
            collector.projects.release(name),
        ),
        ask.by_version(name, period, only),
        ask.arrivals(name, period),
        ask.shares(name, period, its_own),
        ask.shares(name, period, only),
    )
    outcomes = {version: of.outcomes for version, of in by_version.items()}
    met = by_kind(hit, outcomes, shares, all_shares)
    tables = {kind: rows[:MAX_SHARES] for kind, rows in met.items()}
    remarkable = [(kind, row) for kind, rows in tables.items() for row in rows if row.verdict > 0]
    return ErrorPage(
        found[0] if found else None,
        total(outcomes.values()).total,
        _bars(((row.day, row.outcomes.total) for row in hit), period),
        tables,
        sorted(remarkable, key=lambda pair: -pair[1].times)[:MAX_REMARKABLE],
        messages,
        newest_two(outcomes, release.named),
        among(came, {version: of.total for version, of in outcomes.items()}),
    )


def _bars(days: Iterable[tuple[dt.date, int]], period: Period) -> dict[dt.date, int]:
    """Numbers of days by what is counted together, none of the period left out."""
    found = dict.fromkeys(period.buckets(), 0)
    for day, number in days:
        found[period.bucket(day)] += number
    return found
