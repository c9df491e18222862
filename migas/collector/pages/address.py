"""The addresses of a project's pages: the period and the filters that a link keeps or changes."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from migas.collector.days import MAX_DAYS
from migas.collector.pages.periods import query_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from migas.collector.counts.filters import Filter
    from migas.collector.days import Period


@dataclass(frozen=True)
class Address:
    """Where a visitor is, for links from there.

    Args:
        root: The path of a shared host below which all is, or nothing.
        project: `owner/repo`.
        period: The period that is shown.
        only: The sessions that are shown.
        asked: What else this page is asked for; links to other pages do without it.
    """

    root: str
    project: str
    period: Period
    only: Filter
    asked: Mapping[str, str] = field(default_factory=dict)

    @property
    def fields(self) -> dict[str, str]:
        """What a form keeps that asks for other dates."""
        return self.only.values | {**self.asked}

    @property
    def query(self) -> dict[str, str]:
        """What a form keeps that asks for something else of the same sessions."""
        return self._days | self.only.values

    def to(self, path: str, **more: str | None) -> str:
        """Another page of the project over the same sessions, or those of `more` filters.

        Args:
            path: What follows the project's own address.
            more: Filters that are added, changed or, by None, taken away.
        """
        return self._page(path, self._days | self.only.changed(**more))

    def to_year(self, path: str) -> str:
        """Another page of the project over the last year, of the same sessions otherwise."""
        return self._page(path, {"period": "1y"} | self.only.values)

    def during(self, preset: str) -> str:
        """This page over another period."""
        return f"?{urlencode({'period': preset} | self.fields)}"

    def between(self, first: dt.date, last: dt.date) -> str:
        """This page over all days from one to another, or over as many of the last as can be."""
        first = max(first, last - dt.timedelta(days=MAX_DAYS - 1))
        return f"?{urlencode({'from': first.isoformat(), 'to': last.isoformat()} | self.fields)}"

    def by_month(self, today: dt.date) -> str:
        """This page over the last twelve months, each of them whole but for the present one."""
        first = today.replace(year=today.year - 1, day=1) + dt.timedelta(days=31)
        dates = {"from": first.replace(day=1).isoformat(), "by": "month"}
        return f"?{urlencode(dates | self.fields)}"

    def by(self, step: str) -> str:
        """This page with a bar for each day, week or month."""
        return f"?{urlencode(self._days | {'by': step} | self.fields)}"

    def narrowed(self, name: str, value: str) -> str:
        """This page with one more filter, or another value of it."""
        return self._query(self.only.changed(**{name: value}))

    def widened(self, name: str) -> str:
        """This page without a filter."""
        return self._query(self.only.changed(**{name: None}))

    def unfiltered(self) -> str:
        """This page without any filter."""
        return self._query({})

    @cached_property
    def _days(self) -> dict[str, str]:
        return query_of(self.period)

    def _page(self, path: str, query: Mapping[str, str]) -> str:
        return f"{self.root}/p/{quote(self.project)}{path and f'/{path}'}?{urlencode(query)}"

    def _query(self, values: dict[str, str]) -> str:
        return f"?{urlencode(self._days | values | {**self.asked})}"
