"""How many sessions failed with an error: counts of days and of weeks, added up.

A frequent error has a count for nearly every day and version. So those of all versions together are
asked for where that is enough, and those of whole weeks where no single day is asked for.
"""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import BigInteger, bindparam, cast, func, select, union_all

from migas.collector.counts.reading import Reading
from migas.collector.counts.sessions import ERROR, ERRORS_WEEKLY, VERSIONS_WEEKLY
from migas.collector.counts.slices import WEEKS, starts_in
from migas.collector.database.tables import OF_VERSIONS_WEEKLY, daily
from migas.collector.database.value_lists import is_one_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from sqlalchemy import ColumnElement, CompoundSelect, Select

    from migas.collector.counts.slices import Span
    from migas.collector.days import Period

MAX_RANGES = 100
"""So many ranges of days are asked for in one question; SQLite joins no more than 500 SELECTs."""

MAX_KEPT = 32
"""So many statements are kept; each is as long as it has ranges of days."""

By = Literal["day", "error", "version"]


class ErrorCounts(Reading):
    """Sessions that failed with an error."""

    async def failed(
        self,
        project: str,
        period: Period,
        names: Collection[str],
        by: Sequence[By],
        version: str | None = None,
    ) -> Counter[tuple[Any, ...]]:
        """How many sessions of a period failed with some errors.

        Args:
            project: `owner/repo`.
            period: Which days.
            names: Of the errors.
            by: What they are told apart by. A day, since 1970, stands for all that are in its bar
                of the period's chart.
            version: The only one that is asked for; by default all are.
        """
        days = starts_in(period, charted="day" in by, spans=WEEKS)
        asked = [(span, starts, names) for span, starts in days]
        rows = await self._counted(project, asked, by, version)
        total: Counter[tuple[Any, ...]] = Counter()
        for *key, number in rows:
            total[tuple(key)] += number
        return total

    async def failed_on(
        self, project: str, asked: Mapping[tuple[int, int], Collection[str]]
    ) -> dict[tuple[Any, ...], int]:
        """How many sessions failed on each day, by that, the error and the version.

        Args:
            project: `owner/repo`.
            asked: The first and the last of some days, and of which errors they are asked for.
        """
        by: tuple[By, ...] = ("day", "error", "version")
        ranges: list[tuple[Span, Collection[int], Collection[str]]] = [
            (1, range(first, last + 1), names) for (first, last), names in asked.items()
        ]
        found: dict[tuple[Any, ...], int] = {}
        for start in range(0, len(ranges), MAX_RANGES):
            rows = await self._counted(project, ranges[start : start + MAX_RANGES], by, None)
            found.update((tuple(key), number) for *key, number in rows)  # some were asked for twice
        return found

    async def _counted(
        self,
        project: str,
        asked: Sequence[tuple[Span, Collection[int], Collection[str]]],
        by: Sequence[By],
        version: str | None,
    ) -> Sequence[tuple[Any, ...]]:
        """Counts of some spans, which begin on some days, and of some errors."""
        values: dict[str, Any] = {"project": project}
        if version is not None:
            values["version"] = version
        for number, (_, starts, names) in enumerate(asked):
            values |= {f"days_{number}": list(starts), f"names_{number}": list(names)}
        spans = tuple(span for span, _, _ in asked)
        return await self.chained(_failed(tuple(by), spans, version is not None), values)


@lru_cache(MAX_KEPT)
def _failed(by: tuple[By, ...], spans: tuple[Span, ...], of_version: bool) -> CompoundSelect[Any]:
    return union_all(*(_on(number, span, by, of_version) for number, span in enumerate(spans)))


def _on(number: int, span: Span, by: Sequence[By], of_version: bool) -> Select[Any]:
    """Counts of one span; the parameters of its days and errors have its number."""
    kind, error, version = daily.c.kind == ERROR, daily.c.value, daily.c.detail
    day: ColumnElement[int] = daily.c.day
    if span != 1 and of_version:
        kind, error, version = daily.c.kind == VERSIONS_WEEKLY, daily.c.detail, daily.c.value
    elif span != 1 and "version" in by:
        kind, error, version = OF_VERSIONS_WEEKLY, daily.c.detail, daily.c.value
        # The index leads to all weeks of an error. By its key SQLite would go to all of a week.
        day = daily.c.day + 0
    elif span != 1:
        kind = daily.c.kind == ERRORS_WEEKLY
    columns = {"day": daily.c.day, "error": error, "version": version}
    asked = [columns[name] for name in by]
    total = cast(func.sum(daily.c.sessions), BigInteger)
    counts = select(*asked, total).where(
        daily.c.project == bindparam("project"),
        kind,
        is_one_of(error, f"names_{number}"),
        is_one_of(day, f"days_{number}"),
    )
    if of_version:
        counts = counts.where(version == bindparam("version"))
    return counts.group_by(*asked).having(total > 0)
