"""Signing in: a token, given once in a form, becomes a cookie that is not the token.

The cookie holds the token's public part, when it ends, and an authentication code under the hash
that the database keeps of the token. So it needs no table and no key of its own, any collector
over the same database accepts it, and it ends with its life or when the token is revoked.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import TYPE_CHECKING

from sqlalchemy import select

from migas.collector.tables import tokens
from migas.collector.tokens import Access

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from migas.collector.storage import Storage

LIFE = 12 * 3600
"""Seconds after which one has to sign in again."""

_COOKIE = re.compile(r"([0-9a-f]{1,16})\.([0-9]{1,12})\.([0-9a-f]{64})", re.ASCII)
_PURPOSE = b"migas page session"


async def access_of(request: Request, storage: Storage) -> Access | None:
    """What the sender of a request has signed in for; None without a valid cookie."""
    found = _COOKIE.fullmatch(request.cookies.get(_name(request), ""))
    if found is None or int(found[2]) <= storage.now():
        return None
    kept = await _kept(storage, found[1])
    if kept is None or not hmac.compare_digest(_code(kept[0], found[1], found[2]), found[3]):
        return None
    return Access(found[1], kept[1])


async def sign_in(request: Request, response: Response, storage: Storage, token: str) -> bool:
    """Put a cookie on an answer, if a token opens anything.

    Returns:
        Whether it does; a malformed, unknown, wrong or revoked token is just no.
    """
    access = await storage.tokens.verify(token)
    kept = None if access is None else await _kept(storage, access.token_id)
    if access is None or kept is None:
        return False
    end = str(storage.now() + LIFE)
    value = f"{access.token_id}.{end}.{_code(kept[0], access.token_id, end)}"
    response.set_cookie(
        _name(request),
        value,
        max_age=LIFE,
        secure=_is_encrypted(request),
        httponly=True,
        samesite="strict",
    )
    return True


def sign_out(request: Request, response: Response) -> None:
    """Take the cookie back."""
    response.delete_cookie(
        _name(request), secure=_is_encrypted(request), httponly=True, samesite="strict"
    )


def _name(request: Request) -> str:
    # A browser takes `__Host-` from this very host alone, and only over TLS: no neighbouring
    # host and no plain connection can plant a cookie of that name.
    return "__Host-migas" if _is_encrypted(request) else "migas"


def _is_encrypted(request: Request) -> bool:
    return bool(request.scope["scheme"] == "https")


def _code(key: bytes, token_id: str, end: str) -> str:
    message = b"\0".join((_PURPOSE, token_id.encode(), end.encode()))
    return hmac.new(key, message, hashlib.sha256).hexdigest()


async def _kept(storage: Storage, token_id: str) -> tuple[bytes, str | None] | None:
    """The hash and the project of a token that is not revoked."""
    query = select(tokens.c.hash, tokens.c.project).where(
        tokens.c.id == token_id, tokens.c.revoked.is_(None)
    )
    async with storage.reading() as connection:
        row = (await connection.execute(query)).one_or_none()
    return None if row is None else (row.hash, row.project)
