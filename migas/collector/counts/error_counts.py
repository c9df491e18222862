"""How many sessions failed with an error: counts of days and of weeks, added up.

A frequent error has a count for nearly every day and version. So those of all versions together are
asked for where that is enough, and those of whole weeks where no single day is asked for.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import BigInteger, cast, func, select, union_all

from migas.collector.counts.reading import Reading
from migas.collector.counts.sessions import ERROR, ERRORS_WEEKLY, VERSIONS_WEEKLY
from migas.collector.counts.slices import WEEKS, starts_in
from migas.collector.database.tables import daily

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from sqlalchemy import Select

    from migas.collector.counts.slices import Span
    from migas.collector.days import Period

MAX_RANGES = 100
"""So many ranges of days are asked for in one question; SQLite joins no more than 500 SELECTs."""

By = Literal["day", "error", "version"]

_COLUMNS = {"day": daily.c.day, "error": daily.c.value, "version": daily.c.detail}


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
        rows = await self.many(union_all(*_failed(project, days, names, by, version)))
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
        queries = [
            query
            for days, names in asked.items()
            for query in _failed(project, [(1, range(days[0], days[1] + 1))], names, by, None)
        ]
        found: dict[tuple[Any, ...], int] = {}
        for start in range(0, len(queries), MAX_RANGES):
            rows = await self.many(union_all(*queries[start : start + MAX_RANGES]))
            found.update((tuple(key), number) for *key, number in rows)  # some were asked for twice
        return found


def _failed(
    project: str,
    days: Iterable[tuple[Span, Collection[int]]],
    names: Collection[str],
    by: Sequence[By],
    version: str | None,
) -> list[Select[Any]]:
    weekly = VERSIONS_WEEKLY if "version" in by or version is not None else ERRORS_WEEKLY
    total = cast(func.sum(daily.c.sessions), BigInteger)
    columns = [_COLUMNS[name] for name in by]
    mine = [daily.c.project == project, daily.c.value.in_(names)]
    if version is not None:
        mine.append(daily.c.detail == version)
    return [
        # Days that are named lead straight to the counts of an error.
        select(*columns, total)
        .where(
            *mine,
            daily.c.kind == (ERROR if span == 1 else weekly),
            daily.c.day.in_(starts),
        )
        .group_by(*columns)
        .having(total > 0)
        for span, starts in days
    ]
