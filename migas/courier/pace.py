"""How fast a server may be asked: as fast as it answers, until it says that this was too much.

A migas server takes 1,000 requests a minute from one address and counts those that it refuses. It
does not say so beforehand, and who else is behind the address is unknown. So the first 429 tells
how much was too much, and from then on requests are spread evenly, below that.
"""

from __future__ import annotations

from collections import deque

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

WINDOW_SECONDS = 60.0
_SHARE = 0.8
_LEAST = 5.0
_GROWTH = 1.1
_CUT = 0.5


class Pace:
    """The pace at which one server is asked. Times are seconds of one clock.

    Args:
        recent: When how many requests were sent already, by others for the same spool.
    """

    def __init__(self, recent: Iterable[tuple[float, int]] = ()) -> None:
        self._sent: deque[tuple[float, int]] = deque(recent)
        self._per_window: float | None = None
        self._since = 0.0

    def seconds_to_wait(self, now: float) -> float:
        """How long to wait before the next request."""
        if self._per_window is None or not self._sent:
            return 0.0
        if now - self._since > WINDOW_SECONDS:
            # A minute without a refusal: others may have left.
            self._per_window *= _GROWTH
            self._since = now
        return max(self._sent[-1][0] + WINDOW_SECONDS / self._per_window - now, 0.0)

    def sent(self, now: float) -> None:
        """Note a request."""
        self._sent.append((now, 1))
        while self._sent[0][0] < now - WINDOW_SECONDS:
            self._sent.popleft()

    def refused(self, now: float) -> None:
        """Note that the server found the requests of the last minute too many."""
        if self._per_window is None:
            self._per_window = _SHARE * sum(number for _when, number in self._sent)
        else:
            self._per_window *= _CUT
        self._per_window = max(self._per_window, _LEAST)
        self._since = now
