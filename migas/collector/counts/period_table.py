"""A period beside others: the one before it, and the same a year ago."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

from migas.collector.counts.columns import numbers_of, rate_of, took
from migas.collector.counts.durations import longer
from migas.collector.counts.outcomes import Outcomes, completes_more
from migas.collector.counts.rows import PeriodRow

if TYPE_CHECKING:
    import datetime as dt
    from collections import Counter

    from migas.collector.counts.filters import Filter
    from migas.collector.counts.people import UserCounts
    from migas.collector.counts.reports import Reports
    from migas.collector.days import Period

_NAMES = ("now", "before", "a year ago")


class _Told(NamedTuple):
    """What is told of a period."""

    outcomes: Outcomes
    users: UserCounts
    lasted: Counter[int]


async def beside_each_other(
    reports: Reports, project: str, period: Period, only: Filter, today: dt.date
) -> list[PeriodRow]:
    """Sessions, users and durations of a period, of the one before it, and of a year ago.

    Args:
        reports: Where the figures come from.
        project: `owner/repo`.
        period: Which days.
        only: Which sessions.
        today: The present day, which is not over.
    """
    periods = period.beside(today)
    told = await asyncio.gather(*(_told_of(reports, project, of, only) for of in periods))
    now = told[0]
    return [
        PeriodRow(
            name,
            of.first,
            of.last,
            *numbers_of(then.outcomes),
            *rate_of(_rated(then, only)),
            ("", "more", "fewer")[completes_more(_rated(now, only), _rated(then, only))],
            then.users.active,
            then.users.new,
            round(then.users.margin, 2),
            *took(then.lasted),
            ("", "slower", "faster")[longer(now.lasted, then.lasted)],
        )
        for name, of, then in zip(_NAMES, periods, told, strict=False)
    ]


async def _told_of(ask: Reports, project: str, period: Period, only: Filter) -> _Told:
    asked = project, period, only
    return _Told(*await asyncio.gather(ask.outcomes(*asked), ask.users(*asked), ask.lasted(*asked)))


def _rated(told: _Told, only: Filter) -> Outcomes:
    """What has a rate: nothing of sessions that all ended in one way, or failed with one error."""
    return Outcomes() if only.outcome or only.error else told.outcomes
