"""What an error's page shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from migas.collector.counts.adoption import arrivals, uses
from migas.collector.counts.chance import VERY_CONFIDENT, compared
from migas.collector.counts.comparison import newest_two
from migas.collector.counts.outcomes import total, totals
from migas.collector.counts.usage import FACETS
from migas.collector.pages.shown import MAX_SHARES, bars, frequent

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping, Sequence

    from migas.collector.collector import Collector
    from migas.collector.counts.comparison import Comparison
    from migas.collector.counts.failures import ErrorSummary, Message
    from migas.collector.counts.filters import Filter
    from migas.collector.days import Period

MAX_MESSAGES = 10
MAX_REMARKABLE = 4


class Likelihood(NamedTuple):
    """How often an error meets sessions that have a value, beside how often it meets any.

    `times` is the one rate by the other one, and `verdict` 1 or -1 where it is above or below
    that of the other sessions by more than chance.
    """

    value: str
    failed: int
    sessions: int
    times: float
    verdict: int


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
    came: Mapping[dt.date, Sequence[str]]


async def error(
    collector: Collector, name: str, period: Period, only: Filter, fingerprint: str
) -> ErrorPage:
    """Everything that an error's page shows of a period, and of the sessions of a filter."""
    ask = collector.reports
    its_own = only.with_(error=fingerprint)
    found = await ask.errors(name, period, its_own, 1)
    hit = await ask.timeline(name, period, its_own)
    everything = await ask.timeline(name, period, only)
    shares = await ask.shares(name, period, its_own)
    all_shares = await ask.shares(name, period, only)
    met, by_version = (
        totals((row.version, row.outcomes) for row in timeline) for timeline in (hit, everything)
    )
    numbers = [{version: of.total for version, of in by.items()} for by in (met, by_version)]
    tables = {"version": _likelihoods(*numbers)} | {
        facet: _likelihoods(shares[facet], all_shares[facet]) for facet in FACETS
    }
    remarkable = [(kind, row) for kind, rows in tables.items() for row in rows if row.verdict > 0]
    return ErrorPage(
        found[0] if found else None,
        total(by_version.values()).total,
        bars(((row.day, row.outcomes.total) for row in hit), period),
        tables,
        sorted(remarkable, key=lambda pair: -pair[1].times)[:MAX_REMARKABLE],
        await ask.messages(name, period, its_own, MAX_MESSAGES),
        newest_two(by_version, (await collector.projects.release(name)).named),
        arrivals(uses(everything), period),
    )


def _likelihoods(failed: Mapping[str, int], sessions: Mapping[str, int]) -> list[Likelihood]:
    """The values that an error meets most often, and how often it could have met them."""
    hit, everything = sum(failed.values()), sum(sessions.values())
    found = []
    for value, number in frequent(failed)[:MAX_SHARES]:
        had = max(sessions.get(value, 0), number)  # between two questions some may have come
        times = (number / had) / (hit / everything) if everything else 0.0
        verdict = compared((number, had), (hit - number, everything - had), VERY_CONFIDENT)
        found.append(Likelihood(value, number, had, times, verdict))
    return found
