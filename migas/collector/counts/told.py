"""What breadcrumbs tell of sessions, and the numbers that stand for it wherever they are counted.

A breadcrumb names its user and what it ran on. In sessions and counts there are a number of the one
and a number of the other, which take a fraction of the room and compare in one step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from migas.collector.counts.sessions import Session
from migas.collector.counts.slices import NO_USER, RanOn, profile_of
from migas.collector.counts.visits import number_of_user

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Told(NamedTuple):
    """A session as one of its breadcrumbs tells it, without numbers."""

    session: Session
    ran_on: RanOn
    user_id: str | None


_SAID = Session._fields[: Session._fields.index("profile")]

COLUMNS = (*_SAID, *RanOn._fields, "user_id")
"""What `told` reads from a row, in this order."""

Described = set[tuple[Any, ...]]
"""Rows of `profiles`."""


def told(values: tuple[Any, ...]) -> Told:
    """What a row of `COLUMNS` tells."""
    said = len(_SAID)
    return Told(Session(*values[:said]), RanOn(*values[said:-1]), values[-1])


def numbered(
    every: Iterable[Told], types: Mapping[str | None, str]
) -> tuple[list[Session], Described]:
    """Sessions with numbers, and the profiles that some of these stand for.

    Args:
        every: What breadcrumbs tell.
        types: The types of users, theirs among them.
    """
    found: list[Session] = []
    described: Described = set()
    for session, ran_on, user_id in every:
        profile = profile_of(ran_on, types.get(user_id, NO_USER))
        described.add((session.project, *profile))
        number = None if user_id is None else number_of_user(user_id)
        found.append(session._replace(profile=profile.number, user_number=number))
    return found, described
