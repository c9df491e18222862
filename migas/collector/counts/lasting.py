"""How long runs took, by time and by version, as counts in buckets."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from sqlalchemy import BigInteger, bindparam, cast, func, select, union_all

from migas.collector.counts.durations import bucket
from migas.collector.counts.reading import ALL, DAY, listed
from migas.collector.counts.slices import starts_in
from migas.collector.counts.usage import Usage
from migas.collector.database.tables import durations, sessions
from migas.collector.days import day_of

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import date

    from sqlalchemy import CompoundSelect

    from migas.collector.counts.filters import Filter
    from migas.collector.days import Period


MAX_KEPT = 64
"""So many statements are kept."""

_ASKED = {
    "version": durations.c.version == bindparam("version"),
    "versions": durations.c.version.in_(bindparam("versions", expanding=True)),
}

MAX_TIMED = 50_000
"""Of no more sessions is each one's duration read where no count has the answer."""


class Durations(NamedTuple):
    """How many runs took how long, by `bucket`: of days, weeks or months, and of versions."""

    by_time: defaultdict[date, Counter[int]]
    by_version: defaultdict[str, Counter[int]]


class Lasting(Usage):
    """How long the runs of a project took."""

    async def durations(
        self,
        project: str,
        period: Period,
        only: Filter = ALL,
        versions: Collection[str] | None = None,
    ) -> Durations | None:
        """How long the runs took that completed.

        Args:
            project: `owner/repo`.
            period: Which days.
            only: Which sessions.
            versions: Those that are told apart; all without them.

        Returns:
            None where that takes too long: of many sessions, by another filter than version.
        """
        found = Durations(defaultdict(Counter), defaultdict(Counter))
        asked = only.with_(outcome=None).values
        if only.outcome not in (None, "completed") or only.error:
            return found
        if asked.keys() - {"version"}:
            few = (await self.outcomes(project, period)).total <= MAX_TIMED
            return await self._durations_one_by_one(project, period, only) if few else None
        of = {} if only.version is None else {"version": only.version}
        named = of if versions is None else {**of, "versions": list(versions)}
        of_days, of_versions = await asyncio.gather(
            self._buckets(project, period, "day", of),
            self._buckets(project, period, "version", named),
        )
        for day, *counts in of_days:
            found.by_time[period.bucket(day_of(day))].update(dict(zip(*counts, strict=True)))
        for name, *counts in of_versions:
            found.by_version[name].update(dict(zip(*counts, strict=True)))
        return found

    async def _buckets(
        self, project: str, period: Period, by: Literal["day", "version"], values: dict[str, Any]
    ) -> Sequence[tuple[Any, Sequence[int], Sequence[int]]]:
        """Buckets of durations and their counts, by day or version, a value of it in several rows.

        The values are those of one `version`, or of some `versions`, or of both.
        """
        days = starts_in(period, charted=by == "day")
        # Only who asks for a version needs counts of each.
        sign = 1 if by == "version" or values else -1
        spans = tuple(sign * span for span, _ in days)
        starts = {f"days_{number}": starts for number, (_, starts) in enumerate(days)}
        query = _listed(self.connections.dialect, by, spans, tuple(values))
        return await self.many(query, {"project": project, **starts, **values})

    async def _durations_one_by_one(self, project: str, period: Period, only: Filter) -> Durations:
        found = Durations(defaultdict(Counter), defaultdict(Counter))
        query = select(DAY, sessions.c.version, sessions.c.duration).where(
            *only.with_(outcome="completed").within(project, period),
            sessions.c.duration.isnot(None),
        )
        for day, version, seconds in await self.scanned(query):
            number = bucket(seconds)
            found.by_time[period.bucket(day_of(day))][number] += 1
            found.by_version[version][number] += 1
        return found


@lru_cache(MAX_KEPT)
def _listed(
    dialect: str, by: Literal["day", "version"], spans: tuple[int, ...], asked: tuple[str, ...]
) -> CompoundSelect[Any]:
    total = cast(func.sum(durations.c.sessions), BigInteger)
    columns = (durations.c[by].label("value"), durations.c.bucket)
    counts = select(*columns, total.label("runs")).where(
        durations.c.project == bindparam("project"), *(_ASKED[name] for name in asked)
    )
    # Days that are named lead straight to the rows of a version.
    parts = [
        counts.where(
            durations.c.span == span,
            durations.c.day.in_(bindparam(f"days_{number}", expanding=True)),
        )
        .group_by(*columns)
        .having(total > 0)
        .subquery()
        for number, span in enumerate(spans)
    ]
    return union_all(
        *(
            select(
                part.c.value, listed(part.c.bucket, dialect), listed(part.c.runs, dialect)
            ).group_by(part.c.value)
            for part in parts
        )
    )
