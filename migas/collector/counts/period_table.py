"""A period beside others: the one before it, and the same a year ago."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

from migas.collector.counts.chance import compared
from migas.collector.counts.columns import numbers_of, rate_of, took
from migas.collector.counts.durations import longer
from migas.collector.counts.outcomes import Outcomes
from migas.collector.counts.rows import PeriodRow
from migas.collector.days import Period, day_number, day_of

if TYPE_CHECKING:
    import datetime as dt
    from collections import Counter

    from migas.collector.counts.filters import Filter
    from migas.collector.counts.people import UserCounts
    from migas.collector.counts.reports import Reports


class _Told(NamedTuple):
    """What is told of a period: how all sessions ended and those of finished days, and the rest."""

    outcomes: Outcomes
    finished: Outcomes
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
    asked = {"now": period, "before": period.before, "a year ago": period.year_ago}
    told = await asyncio.gather(
        *(_told_of(reports, project, of, only, today) for of in asked.values())
    )
    now = told[0]
    return [
        PeriodRow(
            name,
            of.first,
            of.last,
            *numbers_of(then.outcomes),
            *rate_of(then.finished),
            _change(now.finished, then.finished),
            then.users.active,
            then.users.new,
            round(then.users.margin, 2),
            *took(then.lasted),
            ("", "slower", "faster")[longer(now.lasted, then.lasted)],
        )
        for (name, of), then in zip(asked.items(), told, strict=True)
    ]


async def _told_of(
    ask: Reports, project: str, period: Period, only: Filter, today: dt.date
) -> _Told:
    outcomes = await ask.outcomes(project, period, only)
    finished, ended = period, outcomes
    if period.last == today and period.days > 1:
        # Runs that fail, and the short ones, are over sooner: a day that is not over shows them.
        yesterday = Period(period.first, day_of(day_number(today) - 1))
        if (before_today := await ask.outcomes(project, yesterday, only)).total:
            finished, ended = yesterday, before_today
    users, lasted = await asyncio.gather(
        ask.users(project, period, only), ask.lasted(project, finished, only)
    )
    # Of sessions that all ended in one way no share completed, or every one: that is no rate.
    return _Told(outcomes, Outcomes() if only.outcome else ended, users, lasted)


def _change(now: Outcomes, then: Outcomes) -> str:
    verdict = compared((now.completed, now.ended), (then.completed, then.ended))
    return ("", "more", "fewer")[verdict]
