"""What chance alone explains: the interval of a share, and whether two shares really differ.

Wilson's score interval is right for few sessions and for shares near 0 and 1, where the usual one
is not; Newcombe's (1998, method 10) is the same for a difference of two.

There are two standards, each as deviations and as a probability. Who looks at one pair, a version
or a period beside the one before it, is answered as is usual: `CONFIDENT`, `SELDOM`. Where many are
looked at and the odd one is set off, as in a table of values, among versions that strangers name,
or day after day for news, that would set off one of twenty for nothing: `VERY_CONFIDENT`, `RARELY`.
"""

from __future__ import annotations

from math import sqrt

CONFIDENT = 1.96
"""Standard deviations on either side of a mean between which 95 of 100 cases lie."""

VERY_CONFIDENT = 3.29
"""The same for 999 of 1,000: for whoever looks at many shares, of which one always stands out."""

SELDOM, RARELY = 0.05, 0.001
"""What is no likelier is no chance: the same two standards as probabilities."""


def wilson(part: int, whole: int, deviations: float = CONFIDENT) -> tuple[float, float]:
    """Between which shares the true one lies, where `part` of `whole` were seen; both in 0 to 1."""
    if whole <= 0:
        return 0.0, 1.0
    share, square = part / whole, deviations**2
    middle = share + square / (2 * whole)
    reach = deviations * sqrt(share * (1 - share) / whole + square / (4 * whole**2))
    scale = 1 + square / whole
    # Rounding must not leave the share itself outside.
    return max(0.0, min(share, (middle - reach) / scale)), min(
        1.0, max(share, (middle + reach) / scale)
    )


def compared(one: tuple[int, int], other: tuple[int, int], deviations: float = CONFIDENT) -> int:
    """Whether one share is above another one by more than chance.

    Args:
        one: How many of how many.
        other: The same of what it is compared with.
        deviations: How confident the answer has to be.

    Returns:
        1 when it is above, -1 when it is below, 0 when chance may explain the difference.
    """
    if min(one[1], other[1]) <= 0:
        return 0
    here, there = one[0] / one[1], other[0] / other[1]
    low, high = wilson(*one, deviations)
    other_low, other_high = wilson(*other, deviations)
    if here - there > sqrt((here - low) ** 2 + (other_high - there) ** 2):
        return 1
    if there - here > sqrt((high - here) ** 2 + (there - other_low) ** 2):
        return -1
    return 0


def was_missing(seen: int, since: int, before: int, likely: float) -> bool:
    """Whether something was missing before a time by more than chance, however rare it is.

    Were it as frequent before as since, each time it was seen could as well have been before.

    Args:
        seen: How often it was seen since, and never before.
        since: In how many sessions it could have been seen since.
        before: In how many it could have been before.
        likely: `SELDOM` or `RARELY`.
    """
    everything = since + before
    return bool(everything) and (since / everything) ** seen <= likely
