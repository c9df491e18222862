"""Questions to a database: the ground that all classes of questions stand on."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import JSON, BigInteger, bindparam, func, select

from migas.collector.counts.filters import Filter
from migas.collector.counts.slices import EVERY
from migas.collector.database.tables import COUNTED_AT, profiles, slices
from migas.collector.days import BLOCK_DAYS, SECONDS_A_DAY

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from sqlalchemy import ColumnElement

    from migas.collector.clock import Clock
    from migas.collector.database.connections import Connections


ALL = Filter()
"""No filter: every session."""
DAY = COUNTED_AT // SECONDS_A_DAY
"""The day on which a session counts, since 1970."""

MAX_NAMED = 1000
"""So many profiles are named to the database one by one."""

MAX_ASKED = 2
"""So many questions of many rows are asked at a time, and so many that are part of a chain: more
would only share the processors, and keep those waiting that have to come first."""

MAX_COUNTING = 2
"""So many questions that look at breadcrumbs or sessions one by one are answered at a time."""


_BY_PROFILE = (
    select(
        slices.c.profile,
        func.sum(slices.c.completed + slices.c.failed + slices.c.suspended + slices.c.running)
        .cast(BigInteger)
        .label("sessions"),
    )
    .where(
        slices.c.project == bindparam("project"),
        slices.c.span == -BLOCK_DAYS,
        slices.c.profile > EVERY,
    )
    .group_by(slices.c.profile)
)
"""How many sessions each profile of a project has had."""


class Reading:
    """Answers from one database.

    Args:
        connections: To the database.
        clock: Tells since when a run is silent.
    """

    def __init__(self, connections: Connections, clock: Clock) -> None:
        self.connections = connections
        self.clock = clock
        self._asked = asyncio.Semaphore(MAX_ASKED)
        self._chained = asyncio.Semaphore(MAX_ASKED)
        self._counting = asyncio.Semaphore(MAX_COUNTING)

    async def resolved(self, project: str, only: Filter) -> Filter:
        """The same filter with the numbers of its profiles, unless these are very many.

        Whoever asks several questions with it looks them up once. PostgreSQL, if it were to look
        them up for each, would read all profiles' counts and throw most of them away. One that
        leaves all profiles, as that by the only language does, is none; one that leaves most
        sessions has the other profiles, too, of which there is less to read.
        """
        alike = only.profiles_alike(project)
        if alike is None or only.profiles is not None:
            return only
        of_project = select(profiles.c.profile).where(profiles.c.project == project)
        found, every, counted = await asyncio.gather(
            self.rows(alike.limit(MAX_NAMED + 1)),
            self.rows(of_project),
            self.rows(_BY_PROFILE, {"project": project}),
        )
        if found and len(found) == len(every):
            return only.on_anything
        if len(found) > MAX_NAMED:
            return only
        left = {row.profile for row in found}
        others = {row.profile for row in every} - left
        numbers: dict[int, int] = {row.profile: row.sessions for row in counted}
        left_out = sum(number for of, number in numbers.items() if of not in left)
        is_less = 2 * left_out < sum(numbers.values()) and len(others) <= MAX_NAMED
        return replace(
            only,
            profiles=tuple(sorted(left)),
            others=tuple(sorted(others)) if is_less else None,
        )

    async def profiles_of(self, project: str, only: Filter) -> Collection[int] | None:
        """The profiles that a filter leaves; None where it leaves all."""
        if only.profiles is not None:
            return frozenset(only.profiles)
        alike = only.profiles_alike(project)
        if alike is None:
            return None
        return frozenset(number for (number,) in await self.many(alike))

    async def rows(self, query: Any, values: Mapping[str, Any] | None = None) -> Sequence[Any]:
        """The answer to a question of few rows.

        Args:
            query: A SELECT.
            values: Those of its parameters, by their names.
        """
        return await self.connections.rows(query, values)

    async def many(self, query: Any, values: Mapping[str, Any] | None = None) -> Sequence[Any]:
        """The answer to a question of many rows, of numbers and texts; the values have no names.

        Args:
            query: A SELECT.
            values: Those of its parameters, by their names.
        """
        async with self._asked:
            return await self.connections.many(query, values)

    async def chained(self, query: Any, values: Mapping[str, Any] | None = None) -> Sequence[Any]:
        """The same for one of several that ask with what the one before has found.

        The longest chain is how long a page takes: those that stand alone do not go before it.
        """
        async with self._chained:
            return await self.connections.many(query, values)

    async def scanned(self, query: Any) -> Sequence[Any]:
        """The same for one that looks at breadcrumbs or sessions one by one."""
        async with self._counting:
            return await self.connections.many(query)


def listed(column: ColumnElement[Any], dialect: str) -> ColumnElement[Any]:
    """All values of a column in a group, as a list, for `Reading.many` and `Reading.scanned`.

    Where each row of a group has the next value of several columns, so have their lists.

    Args:
        column: The values.
        dialect: `sqlite` or `postgresql`.
    """
    if dialect == "postgresql":
        return func.array_agg(column)
    return func.json_group_array(column, type_=JSON)


def hexadecimal(packed: ColumnElement[bytes], dialect: str) -> ColumnElement[str]:
    """Bytes as a text of digits, for `Reading.many` and `Reading.scanned`."""
    return func.encode(packed, "hex") if dialect == "postgresql" else func.hex(packed)
