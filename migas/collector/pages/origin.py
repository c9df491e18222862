"""Which forms a page believes, and where it sends a browser afterwards."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from migas.collector.http.access import host_and_port

if TYPE_CHECKING:
    from starlette.requests import Request

_QUERY = r"\?(?:[A-Za-z0-9=&+._~-]|%[2-9A-Fa-f][0-9A-Fa-f])*"  # no control character
_NEXT = re.compile(
    rf"/(p/[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+(/periods|/users|/compare|/api|/errors/[0-9a-f]+)?)?({_QUERY})?",
    re.ASCII,
)
_DEFAULT_PORTS = {"http": 80, "https": 443}


def is_same_origin(request: Request) -> bool:
    """Whether a form was sent by a page of ours, as far as a browser says; if it does not, no."""
    scheme, _, name = request.headers.get("origin", "").partition("://")
    default = _DEFAULT_PORTS.get(scheme)
    ours = host_and_port(request.headers.get("host", ""))
    theirs = host_and_port(name)
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
