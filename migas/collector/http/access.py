"""Which collector a request is for, where it comes from, and what its token opens."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from fastapi import HTTPException

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from migas.collector.collector import Collector
    from migas.collector.tokens import Access, Tokens


_OF_PROXIES = (
    "forwarded",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-real-ip",
)
"""What a proxy says of itself or of whom it speaks for; who stands behind it may be anywhere."""


class UnauthorizedError(HTTPException):
    """A request has no token, or one that opens nothing here; the message is the wire's."""

    def __init__(self, message: str) -> None:
        super().__init__(401, message, {"WWW-Authenticate": "Bearer"})


async def access_of(tokens: Tokens, headers: Mapping[str, str], *, root: bool = False) -> Access:
    """What the bearer token of a request opens.

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


def is_local(request: Request) -> bool:
    """Whether a request comes from this machine and was addressed to it by a loopback name.

    The name matters as well: a stranger's site may have its own name resolve to 127.0.0.1, and
    its scripts would then read these pages as if they were its own.
    """
    client = request.client.host if request.client else ""
    host, _port = host_and_port(request.headers.get("host", ""))
    return (
        is_loopback(client)
        and (host == "localhost" or is_loopback(host))
        and not any(name in request.headers for name in _OF_PROXIES)
    )


def is_open(request: Request) -> bool:
    """Whether a request may read everything without a token, as its collector is open to it."""
    return collector_of(request).projects.open_registration and is_local(request)


def host_and_port(netloc: str) -> tuple[str, int | None]:
    """A host, in small letters and without brackets, and its port."""
    if any(sign in netloc for sign in "@/?#\\"):  # it would be more than a host
        return "", None
    try:
        parts = urlsplit(f"//{netloc}")
        return parts.hostname or "", parts.port
    except ValueError:
        return "", None


def is_loopback(host: str) -> bool:
    """Whether a host is an address that means the machine itself."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
