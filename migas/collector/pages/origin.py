"""Whom a page lets in, and which forms it believes: questions about where a request comes from."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

if TYPE_CHECKING:
    from starlette.requests import Request

_QUERY = r"\?(?:[A-Za-z0-9=&+._~-]|%[2-9A-Fa-f][0-9A-Fa-f])*"  # no control character
_NEXT = re.compile(
    rf"/(p/[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+(/users|/errors/[0-9a-f]+)?)?({_QUERY})?", re.ASCII
)
_DEFAULT_PORTS = {"http": 80, "https": 443}

_OF_PROXIES = (
    "forwarded",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-real-ip",
)
"""What a proxy says of itself or of whom it speaks for; who stands behind it may be anywhere."""


def is_local(request: Request) -> bool:
    """Whether a request comes from this machine and was addressed to it by a loopback name.

    The name matters as well: a stranger's site may have its own name resolve to 127.0.0.1, and
    its scripts would then read these pages as if they were its own.
    """
    client = request.client.host if request.client else ""
    host, _port = _split(request.headers.get("host", ""))
    return (
        _is_loopback(client)
        and (host == "localhost" or _is_loopback(host))
        and not any(name in request.headers for name in _OF_PROXIES)
    )


def is_same_origin(request: Request) -> bool:
    """Whether a form was sent by a page of ours, as far as a browser says; if it does not, no."""
    scheme, _, name = request.headers.get("origin", "").partition("://")
    default = _DEFAULT_PORTS.get(scheme)
    ours = _split(request.headers.get("host", ""))
    theirs = _split(name)
    site = request.headers.get("sec-fetch-site", "same-origin")
    return (
        default is not None
        and scheme == request.scope["scheme"]
        and theirs[0] != ""
        and (theirs[0], theirs[1] or default) == (ours[0], ours[1] or default)
        and site == "same-origin"
    )


async def form(request: Request) -> dict[str, str]:
    """The fields of a form that was sent as browsers send it; the first of each name."""
    body = (await request.body()).decode("ascii", "replace")
    try:
        fields = parse_qsl(body, max_num_fields=10)
    except ValueError:
        return {}
    return dict(reversed(fields))


def next_page(address: str | None) -> str:
    """Where to go after signing in: a page of ours, whatever an address says."""
    return address if address and _NEXT.fullmatch(address) else "/"


def _split(netloc: str) -> tuple[str, int | None]:
    """A host, in small letters and without brackets, and its port."""
    try:
        parts = urlsplit(f"//{netloc}")
        return parts.hostname or "", parts.port
    except ValueError:
        return "", None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
