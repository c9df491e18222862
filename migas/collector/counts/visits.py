"""Visits: on which days a user was seen with a version and a profile, and when with an error.

They cannot be added up as counts can: where the only session of a day goes, or the last one, others
have to be looked for. Of a project with very many users a part tells how many all are; a hash says
which part a user is in, for ids are chosen by strangers.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from migas.collector.counts.slices import profile_of
from migas.collector.days import block_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from migas.collector.counts.sessions import Session

SAMPLES = 256
"""In so many equal parts are users."""

Key = tuple[Any, ...]
"""What a row of `visits` or `error_users` is about: all but its days."""


class Moves(NamedTuple):
    """The last days on which something was `seen`, and those that may be so no more, `lost`."""

    seen: dict[Key, int]
    lost: dict[Key, int]


@lru_cache(4096)  # Who sends something sends more soon.
def sample_of(user_id: str) -> int:
    """The part a user is in, from 0 to `SAMPLES` - 1."""
    return hashlib.blake2b(user_id.encode(), digest_size=1).digest()[0]


def ended(status: str) -> str:
    """What stands in the place of a version for all that ended in one way; no version has a colon.

    Args:
        status: The letter of its outcome.
    """
    return f":{status}"


def visit(session: Session, types: Mapping[str | None, str]) -> tuple[Key, ...]:
    """What a session is a visit to: a profile with its version, without one, and with its end.

    The arguments are those of `profile_of`.
    """
    project, user = session.project, session.user_id
    if user is None:
        return ()
    profile = profile_of(session, types).number
    alike = (profile, sample_of(user), user, block_of(session.day))
    keys: tuple[Key, ...] = (project, session.version, *alike), (project, "", *alike)
    # Nearly every session ends: that it has run before would be taken back each time.
    return keys if session.status == "R" else (*keys, (project, ended(session.status), *alike))


def visit_moves(
    changes: Sequence[tuple[Session | None, Session | None]], types: Mapping[str | None, str]
) -> tuple[dict[Key, int], set[Key]]:
    """What becomes of `visits` when sessions change.

    Args:
        changes: Pairs of what a session was and what it is; None where there is none.
        types: The types of users, theirs among them.

    Returns:
        The days that were seen, as bits, and the keys of which a day may not be seen any more.
    """
    seen: dict[Key, int] = {}
    lost: set[Key] = set()
    for before, after in changes:
        keys = visit(after, types) if after else ()
        if after:
            bit = 1 << (after.day - block_of(after.day))
            for key in keys:
                seen[key] = seen.get(key, 0) | bit
        if before:
            same_day = after is not None and after.day == before.day
            lost.update(key for key in visit(before, types) if not (same_day and key in keys))
    return seen, lost


def failure(session: Session) -> tuple[Key, ...]:
    """Which error a session shows which user, if it does."""
    if session.user_id is None or session.fingerprint is None:
        return ()
    return ((session.project, session.fingerprint, session.user_id),)


def moves(
    changes: Sequence[tuple[Session | None, Session | None]],
    keys_of: Callable[[Session], tuple[Key, ...]],
) -> Moves:
    """What becomes of a table of last days when sessions change.

    Args:
        changes: Pairs of what a session was and what it is; None where there is none.
        keys_of: What a session is about.
    """
    seen, lost = Moves({}, {})
    for before, after in changes:
        keys = keys_of(after) if after else ()
        if after:
            day = after.day
            for key in keys:
                if day > seen.get(key, -1):
                    seen[key] = day
        if before:
            day = before.day
            for key in keys_of(before):
                if not (after and key in keys and day <= after.day):
                    lost[key] = max(lost.get(key, day), day)
    return Moves(seen, lost)
