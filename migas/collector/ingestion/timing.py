"""When a run ended and how long it took, as far as its client's word can be believed.

It comes in headers beside a breadcrumb, from clients that were told by one that it is welcome. So
it is the same for every way in, and the bodies of requests and GraphQL's schema stay the wire's.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import NamedTuple

from migas.collector.days import SECONDS_A_DAY

MAX_SECONDS = 31 * SECONDS_A_DAY
"""A spool keeps a breadcrumb for 30 days, and one more until it believes its clock."""


class Timing(NamedTuple):
    """How many seconds ago a run ended, and how many it took; None where that is not known."""

    ended_ago: float | None = None
    duration: float | None = None

    @classmethod
    def told(cls, ended_ago: str | None, duration: str | None) -> Timing:
        """What a client says, less what cannot be: the rest of a breadcrumb is good all the same.

        Args:
            ended_ago: Seconds, 0 to 31 days: a run that has ended did not end in the future.
            duration: Seconds, as many.
        """
        return cls(_seconds(ended_ago), _seconds(duration))


UNTOLD = Timing()

TOLD: ContextVar[Timing] = ContextVar("TOLD", default=UNTOLD)
"""What the request says that is being answered."""


def _seconds(text: str | None) -> float | None:
    try:
        seconds = float(text or "")
    except ValueError:
        return None
    return seconds if 0 <= seconds <= MAX_SECONDS else None  # false for NaN, too
