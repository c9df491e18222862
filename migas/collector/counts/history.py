"""When an error was first and last seen, and whether a release brought it, or brought it back."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from migas.collector.counts.chance import SELDOM, was_missing
from migas.collector.projects.versions import newest_first, version_order

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Collection, Mapping, Sequence


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


def history(
    seen: Collection[Seen], failed: Mapping[str, int], exposed: Mapping[str, int]
) -> History:
    """An error's past.

    Args:
        seen: When and where it was seen, the first and the last time among it.
        failed: How many sessions of each version failed with it.
        exposed: How many each version had, ended in whichever way.
    """
    if not seen:
        return History(None, None, "", "")
    oldest_first = reversed(newest_first({*exposed, *failed}))
    versions = [name for name in oldest_first if version_order(name)[0]]
    mark, since = _mark([(name, failed.get(name, 0), exposed.get(name, 0)) for name in versions])
    return History(min(seen), max(seen), mark, since)


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
            if missing and _was_missing(failures, exposed, missing):
                return "back", versions[start][0]
            start = number
            failures, exposed, missing = failures + failed, exposed + missing + sessions, 0
        else:
            missing += sessions
    if _was_missing(failures, exposed, missing):
        return "new", versions[start][0]
    return "", ""


def _was_missing(failures: int, exposed: int, missing: int) -> bool:
    """Whether an error was missing in some sessions by more than chance.

    Of many errors one of twenty is marked for nothing then, and costs a look. It is not asked for
    more: a release that broke something would have to hit many more users before it shows.
    """
    return was_missing(failures, exposed, missing, SELDOM)
