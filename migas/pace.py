"""How fast a server may be asked: as fast as it answers, until it says that this was too much.

A migas server takes 1,000 requests a minute from one address and counts those that it refuses. It
does not say so beforehand, and who else is behind the address is unknown. So the first 429 tells
how much was too much, and from then on requests are spread evenly, below that.
"""

from __future__ import annotations

from collections import deque

WINDOW_SECONDS = 60.0
_SHARE = 0.8
_LEAST = 10.0
_GROWTH = 1.1


class Pace:
    """The pace at which one server is asked. Times are seconds of one clock."""

    def __init__(self) -> None:
        self._sent: deque[float] = deque()
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
        return max(self._sent[-1] + WINDOW_SECONDS / self._per_window - now, 0.0)

    def sent(self, now: float) -> None:
        """Note a request."""
        self._sent.append(now)
        while self._sent[0] < now - WINDOW_SECONDS:
            self._sent.popleft()

    def refused(self, now: float) -> None:
        """Note that the server found the requests of the last minute too many."""
        self._per_window = max(len(self._sent) * _SHARE, _LEAST)
        self._since = now
