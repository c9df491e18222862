"""How many requests one address may make: so many in a minute, whichever process they reach.

A request that asks for several things by aliases, or whose answer is long, counts as several.

The count is kept in the database, but hardly a request asks it. The first few of a minute are
free, which is all that most addresses ever make; beyond them a process reserves a portion at a
time. So several processes together may let a few more through, `FREE` each, and a few less: what
one has reserved and does not use is missing elsewhere. Portions shrink with what is left.

No address is kept. What is counted is a hash of it, under a key that is thrown away every day.
"""

from __future__ import annotations

import hashlib
import ipaddress
import logging
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from migas.collector.database.breaker import CircuitBreaker, CircuitOpenError
from migas.collector.database.request_counts import WINDOW, RequestCounts
from migas.collector.days import SECONDS_A_DAY
from migas.collector.http import health
from migas.collector.http.middleware import FURTHER_REQUESTS, Middleware, refusal, route_path

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope, Send

    from migas.collector.clock import Clock
    from migas.collector.database.connections import Connections

FREE = 25
"""So many requests of an address in a window are answered without asking the database."""

REQUEST_BYTES = 16 * 1024
"""An answer counts as a further request for each so many bytes: short questions have long ones."""

MESSAGE = "Too many requests, wait a minute."

_log = logging.getLogger("migas.collector")


class RateLimiter:
    """Counts the requests of addresses in windows of a minute.

    The database is where they are shared; `limit` is what an address may make in a window.
    """

    def __init__(self, connections: Connections, clock: Clock, limit: int) -> None:
        self._counts = RequestCounts(connections, clock)
        self._clock = clock
        self._limit = limit
        self._window = 0
        self._accounts: dict[bytes, _Account] = {}
        self._salt: tuple[int, bytes] = (-1, b"")
        self._breaker = CircuitBreaker(clock.time)

    async def delay(self, address: str) -> int | None:
        """Count a request.

        Returns:
            None when it may be answered; else it was not counted, and this is after how many
            seconds the next one may come.
        """
        now = self._clock.time()
        window = int(now // WINDOW)
        if window != self._window:
            self._window = window
            self._accounts.clear()
        try:
            account = await self._account(address, now)
            if account.left == 0:
                await self._reserve(account, window)
        except CircuitOpenError:
            # An outage is logged where the database is needed for more than counting.
            _log.debug("a request was not counted", exc_info=True)
            return None
        if account.left == 0:
            return math.ceil((window + 1) * WINDOW - now) + 1
        account.left -= 1
        return None

    async def charge(self, address: str, requests: int) -> None:
        """Count what an answer was worth beyond one request; it is owed where too few are left."""
        try:
            account = await self._account(address, self._clock.time())
        except CircuitOpenError:
            return
        paid = min(requests, account.left)
        account.left -= paid
        account.unreported += requests - paid

    async def _reserve(self, account: _Account, window: int) -> None:
        """Ask the database for another portion, one request for all that wait for it."""
        async with self._breaker.attempt():
            now = self._clock.time()
            # An address that was refused within the last second costs no other question.
            if account.left or account.refused_at + 1 > now:
                return
            told = account.unreported
            account.left = await self._counts.reserve(account.key, window, told, self._limit)
            account.unreported -= told
            if account.left == 0:
                account.refused_at = now

    async def _account(self, address: str, now: float) -> _Account:
        day = int(now // SECONDS_A_DAY)
        if self._salt[0] != day:
            async with self._breaker.attempt():
                if self._salt[0] != day:
                    self._salt = (day, await self._counts.salt(day))
        text = network(address).encode()
        key = hashlib.blake2b(text, key=self._salt[1], digest_size=16).digest()
        if key not in self._accounts:
            free = min(FREE, self._limit)
            self._accounts[key] = _Account(key, free, free)
        return self._accounts[key]


@dataclass(slots=True)
class _Account:
    """What a process knows of one hashed address in the present window."""

    key: bytes
    left: int
    unreported: int
    refused_at: float = -math.inf


class RateLimit(Middleware):
    """Refuses the requests of an address that makes too many, before anything reads them.

    The application's `state.limiter` counts, where there is one.
    """

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        limiter: RateLimiter | None = scope["app"].state.limiter
        client = scope.get("client")
        if not limiter or client is None or route_path(scope) == health.PATH:
            await self._app(scope, receive, send)
            return
        delay = await limiter.delay(client[0])
        if delay is not None:
            refused = refusal(scope, 429, MESSAGE, {"Retry-After": str(delay)})
            await refused(scope, receive, send)
            return
        size = 0

        async def weighing_send(message: Message) -> None:
            nonlocal size
            size += len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, receive, weighing_send)
        finally:
            further = scope.get(FURTHER_REQUESTS, 0) + size // REQUEST_BYTES
            if further:
                await limiter.charge(client[0], further)


def network(address: str) -> str:
    """What counts as one address: with IPv6 a whole /64, which is what one customer gets."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed.packed[:8] + bytes(8), 64)))
    return str(parsed)
