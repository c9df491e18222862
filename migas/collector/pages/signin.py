"""Signing in: a token, given once in a form, becomes a cookie that holds it for half a day.

The cookie is the token, when it ends, and an authentication code of that end under the token. It
needs no table and no key of its own, and any collector over the same database accepts it. Nothing
that the database keeps is enough to make one. No script can read it, no other site can send it,
and it ends with its life or when the token is revoked.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import TYPE_CHECKING, Any

from migas.collector.http.middleware import root_path

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from migas.collector.collector import Collector
    from migas.collector.tokens import Access

LIFE = 12 * 3600
"""Seconds after which one has to sign in again."""

_COOKIE = re.compile(r"([A-Za-z0-9_-]{1,200})\.([0-9]{1,12})\.([0-9a-f]{64})", re.ASCII)
_PURPOSE = "migas page session"


async def access_of(request: Request, collector: Collector) -> Access | None:
    """What the sender of a request has signed in for; None without a valid cookie."""
    found = _COOKIE.fullmatch(request.cookies.get(_name(request), ""))
    if found is None or int(found[2]) <= collector.clock.now():
        return None
    if not hmac.compare_digest(_code(found[1], found[2]), found[3]):
        return None
    return await collector.tokens.verify(found[1])


async def sign_in(request: Request, response: Response, collector: Collector, token: str) -> bool:
    """Put a cookie on an answer, if a token opens anything.

    Returns:
        Whether it does; a malformed, unknown, wrong or revoked token is just no.
    """
    if await collector.tokens.verify(token) is None:
        return False
    end = str(collector.clock.now() + LIFE)
    value = f"{token}.{end}.{_code(token, end)}"
    response.set_cookie(value=value, max_age=LIFE, **_cookie(request))
    return True


def sign_out(request: Request, response: Response) -> None:
    """Have this browser delete its cookie.

    Nothing else changes: the token stays valid, and so does a copy of the cookie until its end.
    What ends those is `migas token revoke`.
    """
    response.delete_cookie(**_cookie(request))


def _name(request: Request) -> str:
    # A browser takes `__Host-` from this very host alone, and only over TLS: no neighbouring
    # host and no plain connection can plant a cookie of that name. It must go to all of the host,
    # though: below a path of one, `__Secure-` is the most there is, and the name has the path.
    # Else a collector beside this one, or above it, would answer to the same name.
    root = root_path(request.scope)
    prefix = ("__Secure-" if root else "__Host-") if _is_encrypted(request) else ""
    return f"{prefix}migas{root.replace('/', '-')}"


def _cookie(request: Request) -> dict[str, Any]:
    """What a cookie is told by when it is set and when it is deleted."""
    return {
        "key": _name(request),
        "path": root_path(request.scope) or "/",
        "secure": _is_encrypted(request),
        "httponly": True,
        "samesite": "strict",
    }


def _is_encrypted(request: Request) -> bool:
    return bool(request.scope["scheme"] == "https")


def _code(token: str, end: str) -> str:
    message = f"{_PURPOSE}\0{end}".encode()
    return hmac.new(token.encode(), message, hashlib.sha256).hexdigest()
