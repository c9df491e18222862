"""How long a server is left alone after it failed, remembered in the state folder.

The next ten thousand tasks of a job read one small file and only write their breadcrumbs, instead
of each finding out that there is no way out.
"""

from __future__ import annotations

import os
import time

from migas.settings import places
from migas.spool import layout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Literal, TypedDict

    Failure = Literal["no route", "timeout", "silenced", "refused", "broken off", "failed"]
    """What kept an answer away: no connection could be made, none came in time, a 429, a migas
    server's no to this very request, ourselves (which says nothing of the server), or anything
    else."""

    class ServerState(TypedDict, total=False):
        """What is known of one server; times are seconds since the epoch."""

        until: float
        """When it may be tried again."""
        silent_until: float
        """The same for what it asked for itself (429), which people respect, too."""
        failures: int
        kind: Failure
        reason: str
        last_success: float
        last_failure: float
        recent: list[tuple[float, int]]
        """When couriers of this spool had sent how many, for the last minute of them."""
        accepts: list[str]
        """Which fields that others never get it has asked for in its last answer."""


FIRST_SECONDS = 60.0
LONGEST_SECONDS = 3600.0
_MAX_SERVERS = 100
_NUMBERS = ("until", "silent_until", "failures", "last_success", "last_failure")


class Backoff:
    """What earlier couriers learned about servers.

    Args:
        root: The state folder.
        now: The clock, in seconds since the epoch.
        jitter: Draws from the unit interval, for what full jitter spreads; by default at random.
    """

    def __init__(
        self,
        root: str,
        now: Callable[[], float] = time.time,
        jitter: Callable[[], float] | None = None,
    ) -> None:
        self._root = root
        self._now = now
        self._jitter = jitter or _unit_random

    def seconds_left(self, endpoint: str, *, by_hand: bool = False) -> float:
        """For how many seconds a server must still be left alone.

        Args:
            endpoint: The server.
            by_hand: A person asks: only a server's own plea for silence (429) counts.
        """
        state = self.states().get(endpoint, {})
        until = state.get("silent_until", 0.0)
        left = (until if by_hand else max(until, state.get("until", 0.0))) - self._now()
        # A clock that was set back must not silence a server for years.
        return left if 0 < left <= 2 * LONGEST_SECONDS else 0.0

    def failed(
        self, endpoint: str, kind: Failure, reason: str, retry_after: float | None = None
    ) -> None:
        """Note that a server could not be used.

        Args:
            endpoint: The server.
            kind: As in `answers.NoAnswerError`.
            reason: A sentence for people.
            retry_after: Seconds of silence that it asked for.
        """
        now, state = self._now(), self.states().get(endpoint, {})
        failures = min(int(state.get("failures", 0)), 30)
        longest = min(FIRST_SECONDS * 2**failures, LONGEST_SECONDS)
        silence = state.get("silent_until", 0.0)
        if kind == "no route":
            wait = longest
        elif kind == "silenced":
            # All who were refused at the same moment must not come back at the same moment.
            asked = min(max(retry_after or 0.0, FIRST_SECONDS), LONGEST_SECONDS)
            silence = now + asked
            wait = asked + self._jitter() * longest
        else:
            wait = self._jitter() * longest
        told: ServerState = {
            "until": now + wait,
            "silent_until": silence,
            "failures": failures + 1,
            "kind": kind,
            "reason": reason[:200],
            "last_success": state.get("last_success", 0.0),
            "last_failure": now,
            "recent": self._recent(state),
            "accepts": state.get("accepts", []),
        }
        self._note(endpoint, told)

    def refused(self, endpoint: str, reason: str) -> None:
        """Note that a server will never take a breadcrumb; it may be asked for others at once.

        Args:
            endpoint: The server.
            reason: A sentence for people.
        """
        state, now = self.states().get(endpoint, {}), self._now()
        self._note(endpoint, {**state, "last_failure": now, "reason": reason[:200]})

    def succeeded(self, endpoint: str, number: int = 1) -> None:
        """Note that a server took breadcrumbs.

        Args:
            endpoint: The server.
            number: How many since this was last noted.
        """
        now, state = self._now(), self.states().get(endpoint, {})
        told: ServerState = {
            "last_success": now,
            "last_failure": state.get("last_failure", 0.0),
            "recent": [*self._recent(state), (now, number)],
            "accepts": state.get("accepts", []),
        }
        self._note(endpoint, told)

    def accepts(self, endpoint: str) -> tuple[str, ...]:
        """Which fields that others never get a server has asked for."""
        return tuple(self.states().get(endpoint, {}).get("accepts", ()))

    def asked(self, endpoint: str, accepts: tuple[str, ...]) -> None:
        """Note which fields a server asks for in its answers; none, where it does no more."""
        state = self.states().get(endpoint, {})
        self._note(endpoint, {**state, "accepts": list(accepts)})

    def recent(self, endpoint: str) -> list[tuple[float, int]]:
        """When couriers of this spool sent how many to a server within the last minute."""
        return self._recent(self.states().get(endpoint, {}))

    def _recent(self, state: ServerState) -> list[tuple[float, int]]:
        now = self._now()
        return [
            (float(when), int(number))
            for when, number in state.get("recent", ())
            if abs(now - when) <= FIRST_SECONDS
        ]

    def states(self) -> dict[str, ServerState]:
        """What is known of each server, empty when nothing is or the file makes no sense."""
        states = layout.read(self._root, layout.SERVERS)
        return {name: state for name, state in states.items() if _is_valid(state)}

    def _note(self, endpoint: str, state: ServerState) -> None:
        """Keep what is known of a server, the last one of which anything was heard."""
        others = {name: kept for name, kept in self.states().items() if name != endpoint}
        layout.write(self._root, layout.SERVERS, {**others, endpoint: state}, _MAX_SERVERS)


def of_this_user() -> Backoff | None:
    """What this user's couriers learned; None where no home directory is known."""
    try:
        return Backoff(places.state_folder())
    except RuntimeError:
        return None


def _unit_random() -> float:
    """A number below 1; the `random` module would take 5 ms to import."""
    return int.from_bytes(os.urandom(4), "big") / 2**32


def _is_valid(state: object) -> bool:
    if not isinstance(state, dict):
        return False
    recent, accepts = state.get("recent", []), state.get("accepts", [])
    if not isinstance(accepts, list) or not all(isinstance(name, str) for name in accepts):
        return False
    return all(_is_number(state.get(name, 0)) for name in _NUMBERS) and (
        isinstance(recent, list)
        and all(
            isinstance(one, list) and len(one) == 2 and all(map(_is_number, one)) for one in recent
        )
    )


def _is_number(value: object) -> bool:
    return isinstance(value, float | int) and abs(value) < float("inf")
