"""Which collector a request is for, which token it brings, and what that one opens."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from migas.collector.collector import Collector
    from migas.collector.tokens import Access, Tokens


class UnauthorizedError(Exception):
    """A request has no token, or one that opens nothing here; the message is the wire's."""


async def access_of(tokens: Tokens, headers: Mapping[str, str], *, root: bool = False) -> Access:
    """What the bearer token of a request opens.

    Args:
        tokens: Those that were issued.
        headers: The request's.
        root: Whether only a root token will do.

    Raises:
        UnauthorizedError: There is no token, or one that opens nothing.
    """
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise UnauthorizedError("Missing or malformed Authorization header.")
    access = await tokens.verify(token.strip())
    if access is None or (root and not access.is_root):
        raise UnauthorizedError("Invalid or insufficient token.")
    return access


def collector_of(request: Request) -> Collector:
    """The collector that answers a request."""
    collector: Collector = request.app.state.collector
    return collector
