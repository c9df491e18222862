"""How long a server is left alone after it failed, remembered in the state folder.

The next ten thousand tasks of a job read one small file and only write their breadcrumbs, instead
of each finding out that there is no way out.
"""

from __future__ import annotations

import json
import os
import time

from migas import log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypedDict

    class ServerState(TypedDict, total=False):
        """What is known of one server; times are seconds since the epoch."""

        until: float
        failures: int
        kind: str
        reason: str
        last_success: float
        last_failure: float


FIRST_SECONDS = 60.0
LONGEST_SECONDS = 3600.0
_MAX_STATE_BYTES = 64 * 1024
_MAX_SERVERS = 100


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
        self._path = os.path.join(root, "servers.json")
        self._now = now
        self._jitter = jitter

    def seconds_left(self, endpoint: str, *, by_hand: bool = False) -> float:
        """For how many seconds a server must still be left alone.

        Args:
            endpoint: The server.
            by_hand: A person asks: only a server's own plea for silence (429) counts.
        """
        state = self.states().get(endpoint, {})
        if by_hand and state.get("kind") != "silenced":
            return 0.0
        left = state.get("until", 0.0) - self._now()
        # A clock that was set back must not silence a server for years.
        return left if 0 < left <= 2 * LONGEST_SECONDS else 0.0

    def failed(self, endpoint: str, kind: str, reason: str) -> None:
        """Note that a server could not be used.

        Args:
            endpoint: The server.
            kind: As in `transport.NoAnswerError`.
            reason: A sentence for people.
        """
        states = self.states()
        state = states.get(endpoint, {})
        failures = min(int(state.get("failures", 0)), 30)
        longest = min(FIRST_SECONDS * 2**failures, LONGEST_SECONDS)
        if kind == "no route":
            wait = longest
        elif kind == "silenced":
            wait = FIRST_SECONDS + self._draw() * longest
        else:
            wait = self._draw() * longest
        states[endpoint] = {
            "until": self._now() + wait,
            "failures": failures + 1,
            "kind": kind,
            "reason": reason[:200],
            "last_success": state.get("last_success", 0.0),
            "last_failure": self._now(),
        }
        self._write(states)

    def succeeded(self, endpoint: str) -> None:
        """Note that a server took a breadcrumb."""
        states = self.states()
        states[endpoint] = {
            "last_success": self._now(),
            "last_failure": states.get(endpoint, {}).get("last_failure", 0.0),
        }
        self._write(states)

    def states(self) -> dict[str, ServerState]:
        """What is known of each server, empty when nothing is or the file makes no sense."""
        try:
            descriptor = os.open(self._path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
        except OSError:
            return {}
        try:
            states = json.loads(os.read(descriptor, _MAX_STATE_BYTES))
        except (OSError, ValueError, RecursionError):
            return {}
        finally:
            os.close(descriptor)
        if not isinstance(states, dict):
            return {}
        return {name: state for name, state in states.items() if _is_valid(state)}

    def _draw(self) -> float:
        if self._jitter is not None:
            return self._jitter()
        import random  # 5 ms that a program which only asks does not pay

        return random.random()  # noqa: S311  no secret is drawn

    def _write(self, states: dict[str, ServerState]) -> None:
        newest = dict(list(states.items())[-_MAX_SERVERS:])
        draft = f"{self._path}.{os.urandom(8).hex()}"
        try:
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                os.write(descriptor, json.dumps(newest).encode())
            finally:
                os.close(descriptor)
            os.replace(draft, self._path)
        except OSError as error:
            log.debug("what was learned of the servers cannot be kept: %s", error)


def _is_valid(state: object) -> bool:
    return isinstance(state, dict) and all(
        isinstance(state.get(name, 0), float | int)
        for name in ("until", "failures", "last_success", "last_failure")
    )
