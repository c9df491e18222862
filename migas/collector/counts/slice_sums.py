"""Sums of slices: the statement for each kind of question is built once, and then given values.

A page asks a dozen of these questions. To build a statement anew, with its conditions and the sums
of each of its ranges of days, takes longer than SQLite takes to answer most of them.
"""

from __future__ import annotations

from functools import lru_cache
from operator import add
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import BigInteger, bindparam, cast, func, literal_column, select, union_all

from migas.collector.counts.reading import Reading
from migas.collector.counts.slices import STATUSES, starts_in
from migas.collector.database.tables import slices
from migas.collector.database.value_lists import is_one_of
from migas.collector.days import day_number

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from sqlalchemy import ColumnElement, CompoundSelect, Select

    from migas.collector.counts.filters import Filter, SliceTerm
    from migas.collector.counts.slices import Span
    from migas.collector.days import Period

MAX_KEPT = 256
"""So many statements are kept; those with a filter that leaves very many profiles are not alike."""

Division = Literal["day", "version", "profile", "is_todays"]
"""What sums are told apart by."""

_DIVISIONS: dict[Division, ColumnElement[Any]] = {
    "day": slices.c.day,
    "version": slices.c.version,
    "profile": slices.c.profile,
    "is_todays": (slices.c.day >= bindparam("today")).label("is_todays"),
}
_SOME_VERSIONS = is_one_of(slices.c.version, "versions")


class SliceSums(Reading):
    """Sums of slices."""

    async def slice_sums(
        self, project: str, period: Period, only: Filter, *by: Division
    ) -> dict[tuple[Any, ...], list[int]]:
        """Sums of the slices of a filter.

        Args:
            project: `owner/repo`.
            period: Which days.
            only: Which sessions.
            by: What they are told apart by. With `day` among it a day stands for all that are in
                its bar of the period's chart.

        Returns:
            By values of these, numbers in the order of `STATUSES`, 0 where the filter leaves none.
        """
        total: dict[tuple[Any, ...], list[int]] = {}
        for row in await self.sums_on(project, starts_in(period, charted="day" in by), only, by):
            key, numbers = row[: len(by)], row[len(by) :]
            if None not in numbers:  # as where nothing is found
                known = total.get(key)
                total[key] = list(map(add, known, numbers)) if known else list(numbers)
        return total

    async def sums_on(
        self,
        project: str,
        days: Iterable[tuple[Span, Collection[int]]],
        only: Filter,
        by: Sequence[Division],
        *more: ColumnElement[Any],
        versions: Collection[str] | None = None,
        is_chained: bool = False,
    ) -> Sequence[tuple[Any, ...]]:
        """The same in parts that are still to be added up.

        Args:
            project: `owner/repo`.
            days: Which slices: spans, each once, and on which days since 1970 these begin.
            only: Which sessions.
            by: What they are told apart by; its values come first in each row, then the numbers.
            more: What else is asked of each group, behind the numbers. Whoever asks again asks with
                the same.
            versions: Only those that are named here.
            is_chained: As `Reading.chained` has it.

        Returns:
            Rows, of which a group may have one for each span and several for what is taken away.
            Numbers may be below 0 there: only their sum is not.

        Raises:
            ValueError: More is asked of what is told as all without some, and would be of these.
        """
        if not only.statuses:
            return []
        days = list(days)
        values: dict[str, Any] = {"project": project, **only.slice_values}
        if versions is not None:
            values["versions"] = list(versions)
        if "is_todays" in by:
            values["today"] = day_number(self.clock.today())
        spans = tuple(span for span, _ in days)
        terms = only.slice_terms(project, by)
        if more and any(term.is_taken_away for term in terms):
            raise ValueError(
                f"{len(more)} more columns cannot be asked for beside what is taken away"
            )
        values |= {f"days_{number}": starts for number, (_, starts) in enumerate(days)}
        ask = self.chained if is_chained else self.many
        question = _sums(
            tuple(by), more, only.statuses, terms, spans, are_named=versions is not None
        )
        return await ask(question, values)


@lru_cache(MAX_KEPT)
def _sums(
    by: tuple[Division, ...],
    more: tuple[ColumnElement[Any], ...],
    statuses: tuple[str, ...],
    terms: tuple[SliceTerm, ...],
    spans: tuple[Span, ...],
    *,
    are_named: bool,
) -> CompoundSelect[Any]:
    columns = [_DIVISIONS[name] for name in by]
    mine = (slices.c.project == bindparam("project"), *((_SOME_VERSIONS,) if are_named else ()))
    parts: list[Select[Any]] = []
    for term in terms:
        sums = [
            (_sum(slices.c[name], term) if letter in statuses else literal_column("0")).label(name)
            for letter, name in STATUSES.items()
        ]
        counts = select(*columns, *sums, *more).where(*mine, *term.where).group_by(*columns)
        # Days that are named lead straight to the rows of what else is asked for.
        parts += (
            counts.where(
                slices.c.span == term.span_sign * span, is_one_of(slices.c.day, f"days_{number}")
            )
            for number, span in enumerate(spans)
        )
    return union_all(*parts)


def _sum(column: ColumnElement[int], term: SliceTerm) -> ColumnElement[int]:
    # PostgreSQL would answer with a number of another, slower type.
    total = cast(func.sum(column), BigInteger)
    return -total if term.is_taken_away else total
