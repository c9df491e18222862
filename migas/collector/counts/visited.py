"""Which visits, to whichever version, show the users of a filter, as conditions in SQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Integer,
    Select,
    cast,
    func,
    literal,
    null,
    select,
)

from migas.collector.counts.visits import ENDINGS, in_parts
from migas.collector.database.tables import profiles, project_users, visits
from migas.collector.days import block_of, day_number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from migas.collector.counts.filters import Filter
    from migas.collector.days import Period


def visits_tell(only: Filter) -> bool:
    """Whether visits tell users of a filter: not those of an error, nor of sessions that run.

    An empty version stands for any there.
    """
    return not only.error and only.version != "" and only.outcome != "running"


def visited(project: str, only: Filter) -> list[ColumnElement[bool]]:
    """The conditions of visits by what is filtered, but for an error and a version."""
    mine = [visits.c.project == project, visits.c.version == ""]
    if only.outcome is not None:
        mine.append(visited_days(only).isnot(None))
    return mine + only.profile_conditions(project, visits.c.profile)


def visited_days(only: Filter) -> ColumnElement[int]:
    """The days of a visit by how its sessions ended; NULL where none did so."""
    if only.outcome is None:
        return visits.c.days
    return visits.c[only.outcome] if only.outcome in ENDINGS else cast(null(), BigInteger)


def during(period: Period, only: Filter) -> ColumnElement[bool]:
    """The condition of visits on one of the days of a period."""
    start, days = visits.c.start, visited_days(only)
    first, last = day_number(period.first), day_number(period.last)
    block, last_block = block_of(first), block_of(last)
    of_last = (1 << (last - last_block + 1)) - 1
    if block == last_block:
        those = of_last >> (first - block) << (first - block)
        return (start == block) & (days.bitwise_and(those) != 0)
    since = (start > block) | (days >= 1 << (first - block))
    until = (start < last_block) | (days.bitwise_and(of_last) != 0)
    return start.between(block, last_block) & since & until


def visitors_by_type(
    project: str,
    those: Sequence[ColumnElement[bool]],
    is_new: ColumnElement[int] | None,
    part: tuple[int, int],
) -> Select[Any]:
    """How many users of some visits are of which type, and how many of these are new.

    Args:
        project: `owner/repo`.
        those: The conditions of the visits.
        is_new: How many rows of `project_users` are of new users; None where nobody asks that.
        part: From which of `SAMPLES` parts of all users to which.
    """
    seen = (
        select(visits.c.user_number, func.min(visits.c.profile).label("profile"))
        .where(*those)
        .group_by(visits.c.user_number)
        .subquery()
    )
    of = (profiles.c.profile == seen.c.profile) & (profiles.c.project == project)
    if is_new is None:
        by_type = select(profiles.c.user_type, func.count(), literal(0, Integer))
        return by_type.select_from(seen.join(profiles, of)).group_by(profiles.c.user_type)
    is_seen = project_users.c.user_number == seen.c.user_number
    # PostgreSQL would read all users where it is not told that few are meant.
    known = (
        is_seen & (project_users.c.project == project) & in_parts(project_users.c.user_number, part)
    )
    return (
        select(profiles.c.user_type, func.count(), is_new)
        .select_from(seen.join(project_users, known).join(profiles, of))
        .group_by(profiles.c.user_type)
    )
