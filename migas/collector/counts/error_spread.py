"""How the failures of some errors are spread over versions and days, and which is newest."""

from __future__ import annotations

import asyncio
from collections import Counter
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, func, select

from migas.collector.counts.most_hit import Hits, MostHit
from migas.collector.counts.reading import DAY, listed
from migas.collector.counts.sessions import error_name
from migas.collector.database.tables import COUNTED_AT, FAILED, sessions
from migas.collector.database.value_lists import is_one_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import date

    from sqlalchemy import ColumnElement, ScalarSelect, Select

    from migas.collector.counts.filters import Filter
    from migas.collector.days import Period


MAX_KEPT = 16
"""So many statements are kept."""

MAX_VALUES = 10_000
"""So many values, the profiles of each error, one question names: SQLite takes 32,766 of them."""

MAX_LISTED = 200_000
"""So many failures are counted here rather than by the database, which would sort them."""

_AT_ONCE = 50

_Spread = tuple[int, int, "Mapping[str, int]", "Mapping[int, int]"]
"""An error, the number of a breadcrumb, and how many sessions failed by version and by day."""


class ErrorSpread(MostHit):
    """Where and when the errors of a project happen."""

    async def spread(
        self, project: str, period: Period, only: Filter, top: Sequence[Hits]
    ) -> tuple[dict[int, dict[str, int]] | None, dict[int, Counter[date]], dict[int, int]]:
        """By error: sessions of each version, sessions of each bar, and the last breadcrumb.

        Args:
            project: `owner/repo`.
            period: Which days.
            only: Which sessions.
            top: The errors, with what they met of these.

        Returns:
            No versions where the filter asks for nothing else than a version, an error and what
            failed: these are counted for all.
        """
        fingerprints = [hits.fingerprint for hits in top]
        bar = cache(period.bar_of)
        days: dict[int, Counter[date]] = {of: Counter() for of in fingerprints}
        if only.values.keys() - {"version", "error", "outcome"}:
            versions: dict[int, Counter[str]] = {of: Counter() for of in fingerprints}
            newest: dict[int, int] = {}
            those = (*only.within(project, period), is_one_of(sessions.c.fingerprint, fingerprints))
            are_many = sum(hits.sessions for hits in top) > MAX_LISTED
            if are_many and (most := await self._spread_of_most(project, period, only, top)):
                return most
            ask = self._grouped if are_many else self._listed
            for of, last_idx, of_versions, of_days in await ask(those):
                newest[of] = max(last_idx, newest.get(of, last_idx))
                versions[of].update(of_versions)
                for day, number in of_days.items():
                    days[of][bar(day)] += number
            return dict(versions), days, newest
        names = {error_name(of): of for of in fingerprints}
        counted, newest = await asyncio.gather(
            self.failed(project, period, names, ("error", "day"), only.version),
            self._newest(project, top),
        )
        for (name, day), number in counted.items():
            days[names[name]][bar(day)] += number
        return None, days, newest

    async def _spread_of_most(
        self, project: str, period: Period, only: Filter, top: Sequence[Hits]
    ) -> tuple[dict[int, dict[str, int]], dict[int, Counter[date]], dict[int, int]] | None:
        """The same of a filter that leaves most: all that is counted, without what it leaves out.

        None where it leaves less than half of all sessions, or of those with these errors, or where
        its profiles are very many or not all known.
        """
        if only.profiles is None or only.others is None:
            return None
        if len(top) * len(only.profiles) > MAX_VALUES:
            return None
        fingerprints = [hits.fingerprint for hits in top]
        names = {error_name(of): of for of in fingerprints}
        bar = cache(period.bar_of)
        everywhere = only.on_anything.within(project, period, by_time=False)
        those = (*everywhere, is_one_of(sessions.c.fingerprint, fingerprints))
        by_day = await self.failed(project, period, names, ("error", "day"), only.version)
        if 2 * sum(hits.sessions for hits in top) < by_day.total():
            return None  # with these errors the others failed more often than all in all
        by_version, elsewhere, are_untold, newest = await asyncio.gather(
            self.failed(project, period, names, ("error", "version"), only.version),
            self._listed((*those, is_one_of(sessions.c.profile, only.others))),
            self._have_no_profile(those),
            self._newest_of(fingerprints, only.within(project, period, by_time=True)),
        )
        if are_untold:
            return None
        days: dict[int, Counter[date]] = {of: Counter() for of in fingerprints}
        versions: dict[int, Counter[str]] = {of: Counter() for of in fingerprints}
        for (name, day), counted in by_day.items():
            days[names[name]][bar(day)] += counted
        for (name, version), counted in by_version.items():
            versions[names[name]][version] += counted
        for of, _, of_versions, of_days in elsewhere:
            versions[of].subtract(of_versions)
            for day, counted in of_days.items():
                days[of][bar(day)] -= counted
        return (
            {of: +numbers for of, numbers in versions.items()},
            {of: +numbers for of, numbers in days.items()},
            newest,
        )

    async def _newest_of(
        self, fingerprints: Sequence[int], those: Sequence[ColumnElement[bool]]
    ) -> dict[int, int]:
        """The breadcrumb of the session of each error that counts last among some sessions."""
        each = [_last(*those, sessions.c.fingerprint == of) for of in fingerprints]
        (found,) = await self.rows(select(*(of.label(f"of_{n}") for n, of in enumerate(each))))
        return {of: last for of, last in zip(fingerprints, found, strict=True) if last is not None}

    async def _listed(self, those: Sequence[ColumnElement[bool]]) -> Iterable[_Spread]:
        """By error, counts of what a database lists without sorting it."""
        lists = (listed(of, self.connections.dialect) for of in (sessions.c.version, DAY))
        of, last = sessions.c.fingerprint, func.max(sessions.c.last_idx)
        rows = await self.scanned(select(of, last, *lists).where(*those).group_by(of))

        def counted() -> Iterable[_Spread]:
            return [(of, last, Counter(names), Counter(days)) for of, last, names, days in rows]

        # In a thread, for others are answered meanwhile.
        return await asyncio.to_thread(counted)

    async def _grouped(self, those: Sequence[ColumnElement[bool]]) -> Iterable[_Spread]:
        """The same, an error several times, where lists would be too long."""
        by = (sessions.c.fingerprint, sessions.c.version, DAY)
        last = func.max(sessions.c.last_idx)
        rows = await self.scanned(select(*by, last, func.count()).where(*those).group_by(*by))
        return [(of, last, {version: n}, {day: n}) for of, version, day, last, n in rows]

    async def _newest(self, project: str, top: Sequence[Hits]) -> dict[int, int]:
        """The breadcrumb of the session of each error that counts last."""
        known = {hits.fingerprint: hits.newest for hits in top if hits.newest is not None}
        fingerprints = [hits.fingerprint for hits in top if hits.newest is None]
        found: dict[int, int | None] = {}
        for start in range(0, len(fingerprints), _AT_ONCE):
            some = fingerprints[start : start + _AT_ONCE]
            values = {"project": project, **{f"of_{number}": of for number, of in enumerate(some)}}
            (row,) = await self.rows(_newest(len(some)), values)
            found |= zip(some, row, strict=True)
        return known | {of: last for of, last in found.items() if last is not None}


@lru_cache(MAX_KEPT)
def _newest(number: int) -> Select[Any]:
    """The breadcrumbs of the sessions of so many errors that count last, in one row."""
    mine = sessions.c.project == bindparam("project")
    names = [f"of_{of}" for of in range(number)]
    return select(
        *(_last(mine, sessions.c.fingerprint == bindparam(name)).label(name) for name in names)
    )


def _last(*those: ColumnElement[bool]) -> ScalarSelect[Any]:
    """The breadcrumb of the session that counts last of those that failed."""
    query = select(sessions.c.last_idx).where(*those, FAILED)
    ordered = query.order_by(COUNTED_AT.desc(), sessions.c.last_idx.desc())
    return ordered.limit(1).scalar_subquery()
