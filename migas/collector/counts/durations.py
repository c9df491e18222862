"""How long runs take: quantiles of many durations from counts in buckets that grow with them.

The buckets are those of DDSketch (Masson, Rim and Lee, 2019): each is wider than the one before by
the same factor, so that a quantile read from them is off by 2 % at most, whatever its size, and
the buckets of days, weeks and versions can be added up. Only runs that completed are counted: one
that fails is over sooner, and a release that fails more often is no faster for it.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate
from math import ceil, log, sqrt
from typing import TYPE_CHECKING, NamedTuple

from migas.collector.counts.chance import CONFIDENT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from migas.collector.counts.sessions import Session

GROWTH = 1.04
"""By what factor a bucket is wider than the one before it."""

SHORTEST = 0.05
"""Seconds below which a duration is nothing: senders tell them to a tenth."""

SHORTEST_BUCKET = ceil(log(SHORTEST) / log(GROWTH)) - 1
"""That of no time at all."""

BUCKETS = 512
"""So many there are: the last one is of nine months, and nobody tells more than 31 days."""


class DurationCount(NamedTuple):
    """What a row of `durations` counts: the runs of a version, by how long they took.

    Without a `version` it counts those of all versions together: so that no chart over time has to
    add up a hundred of them.
    """

    project: str
    version: str
    day: int
    profile: int
    bucket: int


def bucket(seconds: float) -> int:
    """The number of the bucket of a duration."""
    if seconds < SHORTEST:
        return SHORTEST_BUCKET
    return min(ceil(log(seconds) / log(GROWTH)), SHORTEST_BUCKET + BUCKETS - 1)


def middle(number: int) -> float:
    """The seconds that are off from no duration in a bucket by more than 2 %."""
    return 2 * GROWTH**number / (GROWTH + 1) if number > SHORTEST_BUCKET else 0.0


def timed(session: Session) -> tuple[DurationCount, ...]:
    """Where the duration of a session is counted, once in each.

    If it has no profile, no collector has counted it here.
    """
    if session.status != "C" or session.duration is None or session.profile is None:
        return ()
    count = DurationCount(
        session.project, session.version, session.day, session.profile, bucket(session.duration)
    )
    return count, count._replace(version="")


def quantile(counts: Mapping[int, int], share: float) -> float | None:
    """The seconds within which a share of runs was over; see `quantiles`."""
    (found,) = quantiles(counts, share)
    return found


def quantiles(counts: Mapping[int, int], *shares: float) -> list[float | None]:
    """The seconds within which shares of runs were over, within 2 %; None where there are none.

    It is the shortest duration within which at least so many were, not one between two of them
    (the first definition of Hyndman and Fan, Sample quantiles in statistical packages, 1996): of
    two runs nine of ten were over when both were.

    Args:
        counts: How many durations lie in which bucket.
        shares: From 0 to 1.
    """
    if not counts:
        return [None] * len(shares)
    numbers = sorted(counts)
    up_to = list(accumulate(map(counts.__getitem__, numbers)))
    return [middle(numbers[bisect_left(up_to, share * up_to[-1])]) for share in shares]


def longer(one: Mapping[int, int], other: Mapping[int, int]) -> int:
    """Whether durations are longer than other ones by more than chance, and by more than 2 %.

    The test is that of Mann and Whitney (1947) with its normal approximation, corrected for ties,
    which durations in one bucket are (Lehmann, Nonparametrics, 1975). It asks which of two runs
    takes longer, so no rare and endless run decides it. Of each version it is asked as its
    completion rate is: beside the one before it, as `CONFIDENT` as there.

    Returns:
        1 when they are longer, -1 when they are shorter, 0 when chance may explain it.
    """
    size, other_size = sum(one.values()), sum(other.values())
    if not size or not other_size or quantile(one, 0.5) == quantile(other, 0.5):
        return 0
    won, below, ties = 0.0, 0, 0
    for number in sorted({*one, *other}):
        here, there = one.get(number, 0), other.get(number, 0)
        won += here * (below + there / 2)
        below += there
        ties += (here + there) ** 3 - (here + there)
    both = size + other_size
    spread = size * other_size / 12 * (both + 1 - ties / (both * max(both - 1, 1)))
    difference = won - size * other_size / 2
    if spread <= 0 or abs(difference) <= CONFIDENT * sqrt(spread):
        return 0
    return 1 if difference > 0 else -1
