"""Tokens: who may read what.

A token is shown once, when it is issued. The database keeps a hash of its secret, which is random
and long, so that no search finds the secret. Nothing else the collector accepts, the pages' cookie
included, can be made from what is kept: a stolen copy of the database opens no other door.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import or_, select, update

from migas.collector.database.breaker import CircuitBreaker, CircuitOpenError
from migas.collector.database.tables import tokens

if TYPE_CHECKING:
    from migas.collector.clock import Clock
    from migas.collector.database.connections import Connections

PREFIX = "migas"
"""How a token begins, so that people and scanners of repositories know one when they see it."""

MAX_TOKEN_CHARS = 200
FEED = "feed"
"""The scope of a token that opens a project's feed: it stands in addresses, which are kept in many
places, so it opens nothing else."""

USE_SECONDS = 60
"""A use is noted at most so often: reading should not cost a write each time."""

_log = logging.getLogger("migas.collector")

_NO_HASH = bytes(32)
_ID = re.compile("[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class Access:
    """What a valid token opens.

    Args:
        token_id: The token's public part.
        project: The only project it may read; None for a root token, which may read all of them
            and administer.
    """

    token_id: str
    project: str | None

    @property
    def is_root(self) -> bool:
        """Whether it may read everything and administer."""
        return self.project is None

    def allows(self, project: str) -> bool:
        """Whether it may read a project."""
        return self.is_root or self.project == project


@dataclass(frozen=True, slots=True)
class TokenRecord:
    """A token as it may be shown to an administrator; times are seconds since 1970 in UTC."""

    id: str
    project: str | None
    description: str | None
    issued: int
    last_used: int | None
    revoked: int | None
    scope: str | None


class Tokens:
    """The tokens of one database."""

    def __init__(self, connections: Connections, clock: Clock) -> None:
        self._connections = connections
        self._clock = clock
        self._breaker = CircuitBreaker(clock.time)

    async def issue(
        self, project: str | None, description: str | None = None, scope: str | None = None
    ) -> str:
        """Make a token.

        Args:
            project: What it may read; None makes a root token.
            description: Whose it is, for people.
            scope: What of it, `FEED` say; all without one.

        Returns:
            The token, which nobody can find out again.
        """
        token_id, secret = secrets.token_hex(8), secrets.token_urlsafe(32)
        row = {
            "id": token_id,
            "project": project,
            "hash": _hash(secret),
            "description": description,
            "issued": self._clock.now(),
            "scope": scope,
        }
        async with self._connections.writing() as connection:
            await connection.execute(tokens.insert(), row)
        return f"{PREFIX}_{token_id}_{secret}"

    async def verify(self, token: str, scope: str | None = None) -> Access | None:
        """What a token of a scope opens, and a note that it was used; None if it opens nothing.

        A token with a scope opens nothing where none is asked for, and the other way round.
        """
        token_id, secret = _parts(token)
        query = select(tokens.c.hash, tokens.c.project, tokens.c.last_used).where(
            tokens.c.id == token_id,
            tokens.c.revoked.is_(None),
            tokens.c.scope.is_(None) if scope is None else tokens.c.scope == scope,
        )
        async with self._connections.reading() as connection:
            row = (await connection.execute(query)).one_or_none()
        # The same work whether there is such a token or not.
        fits = hmac.compare_digest(_NO_HASH if row is None else row.hash, _hash(secret))
        if row is None or not fits:
            return None
        await self._note_use(token_id, row.last_used)
        return Access(token_id, row.project)

    async def revoke(self, token: str) -> bool:
        """End a token, given whole or by its id; return whether there was one, still valid."""
        token_id, secret = (token, None) if _ID.fullmatch(token) else _parts(token)
        ended = update(tokens).where(tokens.c.id == token_id, tokens.c.revoked.is_(None))
        if secret is not None:
            ended = ended.where(tokens.c.hash == _hash(secret))
        async with self._connections.writing() as connection:
            return (await connection.execute(ended.values(revoked=self._clock.now()))).rowcount > 0

    async def records(self) -> list[TokenRecord]:
        """All tokens ever issued, the oldest first, without what would open anything."""
        columns = [tokens.c[name] for name in TokenRecord.__dataclass_fields__]
        query = select(*columns).order_by(tokens.c.issued, tokens.c.id)
        async with self._connections.reading() as connection:
            return [TokenRecord(*row) for row in await connection.execute(query)]

    async def _note_use(self, token_id: str, last_used: int | None) -> None:
        now = self._clock.now()
        if last_used is None or last_used <= now - USE_SECONDS:
            is_older = or_(tokens.c.last_used.is_(None), tokens.c.last_used < now)
            noted = update(tokens).where(tokens.c.id == token_id, is_older).values(last_used=now)
            try:
                async with self._breaker.attempt(), self._connections.writing() as connection:
                    await connection.execute(noted)
            except CircuitOpenError:  # reading does not depend on it
                _log.debug("a token's use was not noted", exc_info=True)


def _parts(token: str) -> tuple[str, str]:
    """The id and the secret of a token, both empty when it cannot be one."""
    prefix, _, rest = token[:MAX_TOKEN_CHARS].partition("_")
    token_id, _, secret = rest.partition("_")
    is_ours = prefix == PREFIX and _ID.fullmatch(token_id) and secret.isascii()
    return (token_id, secret) if is_ours else ("", "")


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
