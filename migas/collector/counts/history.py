"""When an error was first and last seen, and whether a release brought it, or brought it back."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from migas.collector.projects.versions import version_order

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Mapping, Sequence

EXPECTED = 3.0
"""Where so many sessions were to be expected and none was seen, in 95 of 100 cases that is no
chance (the rule of three)."""


class Seen(NamedTuple):
    """A day on which an error was seen, and a version in which it was."""

    day: dt.date
    version: str


class History(NamedTuple):
    """An error's past.

    `first` and `last` are None where nothing is known of it. `mark` is `new` when version
    `since` brought the error, `back` when it brought it again after versions without it, else
    empty.
    """

    first: Seen | None
    last: Seen | None
    mark: str
    since: str


def history(rows: Iterable[tuple[dt.date, str, int]], exposed: Mapping[str, int]) -> History:
    """An error's past.

    Args:
        rows: The day, the version, and how many sessions failed with it.
        exposed: How many sessions each version had, ended in whichever way.
    """
    known = sorted(rows)
    if not known:
        return History(None, None, "", "")
    failed: dict[str, int] = {}
    for _, version, number in known:
        failed[version] = failed.get(version, 0) + number
    versions = _ordered(frozenset({*exposed, *failed}))
    mark, since = _mark([(name, failed.get(name, 0), exposed.get(name, 0)) for name in versions])
    return History(Seen(*known[0][:2]), Seen(*known[-1][:2]), mark, since)


@lru_cache(16)  # All errors of a page have the same.
def _ordered(names: frozenset[str]) -> tuple[str, ...]:
    return tuple(sorted((name for name in names if version_order(name)[0]), key=version_order))


def _mark(versions: Sequence[tuple[str, int, int]]) -> tuple[str, str]:
    """What to say of an error, given how often it was seen in versions from the oldest on."""
    seen = [number for number, (_, failed, _) in enumerate(versions) if failed]
    if not seen:
        return "", ""
    start = seen[-1]
    _, failures, exposed = versions[start]
    # Downwards from the newest version that has it, to where it is missing by more than chance.
    missing = 0
    for number in range(start - 1, -1, -1):
        _, failed, sessions = versions[number]
        if failed:
            if _expected(failures, exposed, missing) >= EXPECTED:
                return "back", versions[start][0]
            start = number
            failures, exposed, missing = failures + failed, exposed + missing + sessions, 0
        else:
            missing += sessions
    if _expected(failures, exposed, missing) >= EXPECTED:
        return "new", versions[start][0]
    return "", ""


def _expected(failures: int, exposed: int, sessions: int) -> float:
    """In how many sessions an error would be seen that is as frequent as in those exposed."""
    return sessions * failures / exposed if exposed else 0.0
