"""How long runs took, by time and by version, as counts in buckets."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from sqlalchemy import (
    BigInteger,
    Integer,
    SmallInteger,
    Text,
    and_,
    bindparam,
    cast,
    func,
    literal,
    null,
    or_,
    select,
    union_all,
)

from migas.collector.counts.durations import BUCKETS, SHORTEST_BUCKET
from migas.collector.counts.packed_durations import ROW_DAYS, add_to, row_of, spans_of
from migas.collector.counts.packed_groups import UnreadableError
from migas.collector.counts.reading import ALL, Reading, hexadecimal
from migas.collector.counts.slices import SPANS, cover
from migas.collector.database.tables import durations, packed_durations
from migas.collector.database.value_lists import is_one_of
from migas.collector.days import day_number

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from datetime import date

    from sqlalchemy import ColumnElement, CompoundSelect

    from migas.collector.counts.filters import Filter
    from migas.collector.counts.slices import Span
    from migas.collector.days import Period


Value = TypeVar("Value")

MAX_KEPT = 64
"""So many statements are kept; those with a filter that leaves very many profiles are not alike."""


class Durations(NamedTuple):
    """How many runs took how long, by `bucket`: of days, weeks or months, and of versions."""

    by_time: defaultdict[date, Counter[int]]
    by_version: defaultdict[str, Counter[int]]


class Lasting(Reading):
    """How long the runs of a project took."""

    async def durations(
        self,
        project: str,
        period: Period,
        only: Filter = ALL,
        versions: Collection[str] | None = None,
    ) -> Durations:
        """How long the runs took that completed.

        Args:
            project: `owner/repo`.
            period: Which days.
            only: Which sessions.
            versions: Those that are told apart; all without them.

        Raises:
            UnreadableError: Something packed cannot be unpacked.
        """
        if not _are_timed(only):
            return Durations(defaultdict(Counter), defaultdict(Counter))
        profiles = await self.profiles_of(project, only)
        over_time: dict[str, Any] = {"version": only.version or ""}
        named: dict[str, Any] = {} if only.version is None else {"version": only.version}
        if versions is not None:
            named["versions"] = list(versions)
        asked = project, period, only
        bar = cache(period.bar_of)
        return Durations(
            *await asyncio.gather(
                self._runs(asked, profiles, over_time, lambda _, day: bar(day), charted=True),
                self._runs(asked, profiles, named, lambda of, _: of, charted=False),
            )
        )

    async def lasted(self, project: str, period: Period, only: Filter = ALL) -> Counter[int]:
        """How many runs that completed took how long, all together, by `bucket`.

        Raises:
            UnreadableError: Something packed cannot be unpacked.
        """
        if not _are_timed(only):
            return Counter()
        profiles, named = await self.profiles_of(project, only), {"version": only.version or ""}
        asked = project, period, only
        found = await self._runs(asked, profiles, named, lambda *_: None, charted=False)
        return found[None]

    async def _runs(
        self,
        asked: tuple[str, Period, Filter],
        profiles: Collection[int] | None,
        named: dict[str, Any],
        told_by: Callable[[str, int], Value],
        *,
        charted: bool,
    ) -> defaultdict[Value, Counter[int]]:
        """How many runs took how long, by what is made of their version and day.

        Those are meant of one `version`, of some `versions`, or of both; of each where neither is
        named. Uncharted, a day may stand for any other of the period.
        """
        project, period, only = asked
        values: dict[str, Any] = {"project": project, **named}
        values |= {"first": day_number(period.first), "last": day_number(period.last)}
        where: tuple[ColumnElement[bool], ...] = ()
        if only.profiles is not None:
            where, values["profiles"] = (_OF_PROFILES,), only.profiles
        elif profiles is not None:
            where = tuple(only.profile_conditions(project, durations.c.profile))
        slices: defaultdict[Span, list[tuple[int, int]]] = defaultdict(list)
        spans = spans_of(named["version"]) if "version" in named else SPANS
        for span, first, last in cover(period, charted=charted, spans=spans):
            slices[span].append((first, last))
            starts = range(row_of(first, span), last + 1, ROW_DAYS[span])
            values[f"starts_{span}"] = values.get(f"starts_{span}", []) + list(starts)
        question = _question(
            self.connections.dialect,
            tuple(slices),
            tuple(named),
            where,
            by_day=charted,
            by_profile=profiles is not None,
        )
        rows = await self.many(question, values)

        def counted() -> defaultdict[Value, Counter[int]]:
            found: defaultdict[Value, list[int]] = defaultdict(lambda: [0] * BUCKETS)
            for version, start, bucket, runs, span, packed in rows:
                if packed is None:
                    found[told_by(version, start)][bucket - SHORTEST_BUCKET] += runs
                    continue
                numbers = {
                    place: found[told_by(version, start + place * span)]
                    for place in _places(start, span, slices[span])
                }
                try:
                    add_to(numbers, bytes.fromhex(packed), profiles)
                except ValueError as error:
                    raise UnreadableError(
                        f"durations of {(project, version, start)}", error
                    ) from error
            # What was taken back of what is packed may leave nothing.
            left = {key: _by_bucket(numbers) for key, numbers in found.items()}
            return defaultdict(Counter, {key: counts for key, counts in left.items() if counts})

        # In a thread, for others are answered meanwhile.
        return await asyncio.to_thread(counted)


def _are_timed(only: Filter) -> bool:
    """Whether durations are told of the sessions of a filter: those that completed."""
    return only.outcome in (None, "completed") and not only.error


_OF_PROFILES = is_one_of(durations.c.profile, "profiles")


def _places(start: int, span: Span, slices: Iterable[tuple[int, int]]) -> Iterable[int]:
    """The places in a packed row of the slices that are meant."""
    end = start + ROW_DAYS[span] - span
    for first, last in slices:
        yield from range((max(first, start) - start) // span, (min(last, end) - start) // span + 1)


def _by_bucket(numbers: Iterable[int]) -> Counter[int]:
    """Numbers of runs by bucket, those above 0, in order."""
    return Counter(
        {bucket: runs for bucket, runs in enumerate(numbers, SHORTEST_BUCKET) if runs > 0}
    )


@lru_cache(MAX_KEPT)
def _question(
    dialect: str,
    spans: tuple[int, ...],
    named: tuple[str, ...],
    where: tuple[ColumnElement[bool], ...],
    *,
    by_day: bool,
    by_profile: bool,
) -> CompoundSelect[Any]:
    """The question for rows of both tables at once, for meanwhile some may be packed.

    Its rows have a version, a day, a bucket and a number of runs; or a version, a first day, None
    twice, a span and a text of hexadecimal digits, from `packed_durations`.
    """
    table = durations.c
    day = table.day if by_day else literal(0, Integer)
    runs = cast(func.sum(table.sessions), BigInteger)
    loose = (
        select(
            table.version,
            day.label("day"),
            table.bucket,
            runs.label("runs"),
            cast(null(), SmallInteger).label("span"),
            cast(null(), Text).label("packed"),
        )
        .where(
            table.project == bindparam("project"),
            *_versions(table.version, named),
            table.day.between(bindparam("first"), bindparam("last")),
            *where,
        )
        .group_by(table.version, *((day,) if by_day else ()), table.bucket)
        .having(runs != 0)
    )
    packed = packed_durations.c
    text = hexadecimal(packed.by_profile if by_profile else packed.of_all, dialect)
    nothing = cast(null(), SmallInteger), cast(null(), BigInteger)
    many = select(packed.version, packed.start, *nothing, packed.span, text).where(
        packed.project == bindparam("project"),
        *_versions(packed.version, named),
        or_(
            *(
                and_(
                    packed.span == span,
                    is_one_of(packed.start, f"starts_{span}"),
                )
                for span in spans
            )
        ),
    )
    return union_all(loose, many)


def _versions(version: ColumnElement[str], named: tuple[str, ...]) -> Iterable[ColumnElement[bool]]:
    """The conditions of the versions that are named, or of each where none is."""
    if "version" in named:
        yield version == bindparam("version")
    if "versions" in named:
        yield is_one_of(version, "versions")
    if not named:
        yield version != ""
