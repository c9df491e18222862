"""Simulated time for real code: actors that wait on one clock, and a server with a limit.

Each actor has a thread, but only one runs at a time, and time passes only while all of them wait.
"""

from __future__ import annotations

import heapq
import itertools
import threading
from collections import deque
from typing import TYPE_CHECKING

from migas.courier.drain import Clock
from migas.transport.answers import NoAnswerError

if TYPE_CHECKING:
    from collections.abc import Callable

    from migas.message import Breadcrumb

START = 1_700_000_000.0


class World(Clock):
    """The clock of a simulation, and what is to happen when."""

    def __init__(self) -> None:
        self._time = START
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._turn = threading.Semaphore(0)
        self.waited = 0.0
        self.errors: list[BaseException] = []

    def now(self) -> float:
        return self._time

    def at(self, seconds: float, action: Callable[[], None]) -> None:
        """Have something done so many seconds after now; it takes no time."""
        heapq.heappush(self._events, (self._time + seconds, next(self._order), action))

    def sleep(self, seconds: float) -> None:
        """Wait, in an actor."""
        mine = threading.Semaphore(0)
        self.at(seconds, lambda: self._hand_over(mine))
        self._turn.release()
        mine.acquire()

    def spawn(self, seconds: float, body: Callable[[], None]) -> None:
        """Have an actor begin so many seconds after now."""
        mine = threading.Semaphore(0)

        def live() -> None:
            mine.acquire()
            try:
                body()
            except BaseException as error:
                self.errors.append(error)
            finally:
                self._turn.release()

        def begin() -> None:
            threading.Thread(target=live, daemon=True).start()
            self._hand_over(mine)

        self.at(seconds, begin)

    def run(self) -> None:
        """Let time pass until nothing is to happen any more."""
        while self._events:
            self._time, _, action = heapq.heappop(self._events)
            action()
        assert self.errors == []

    def _hand_over(self, actor: threading.Semaphore) -> None:
        actor.release()
        self._turn.acquire()


class LimitedServer:
    """A migas server as one address sees it: so many requests a minute, refused ones counted.

    Args:
        world: Whose time it is.
        limit: Requests in any 60 seconds.
        latency: Seconds that an answer takes.
    """

    def __init__(self, world: World, limit: int = 1000, latency: float = 0.02) -> None:
        self.stored: dict[str, int] = {}
        self.requests = 0
        self.refused = 0
        self.last_stored = 0.0
        self._world = world
        self._limit = limit
        self._latency = latency
        self._recent: deque[float] = deque()

    def __call__(self, endpoint: str, crumb: Breadcrumb) -> None:
        """Take a breadcrumb as a drain sends it."""
        self._world.sleep(self._latency)
        now = self._world.now()
        while self._recent and self._recent[0] <= now - 60:
            self._recent.popleft()
        self._recent.append(now)
        self.requests += 1
        if len(self._recent) > self._limit:
            self.refused += 1
            raise NoAnswerError("Too many requests", "silenced")
        session = crumb["session_id"]
        self.stored[session] = self.stored.get(session, 0) + 1
        self.last_stored = now
