"""`/p/<owner>/<repo>/feed.atom`: a project's news for feed readers (RFC 4287).

A feed reader sends no header of ours, so the token stands in the address. Addresses are written
down in many places; hence one that opens this feed alone, and no other token does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote
from uuid import NAMESPACE_URL, uuid5
from xml.etree import ElementTree as ET

from fastapi import APIRouter
from starlette.requests import Request  # noqa: TC002  FastAPI reads the annotations
from starlette.responses import Response

import migas
from migas.collector.days import moment
from migas.collector.http.access import UnauthorizedError, collector_of
from migas.collector.pages.responses import cached
from migas.collector.tokens import FEED

if TYPE_CHECKING:
    from collections.abc import Iterable

    from migas.collector.news.news import Item

FRESH_SECONDS = 300

router = APIRouter(include_in_schema=False, default_response_class=Response)


@router.head("/p/{owner}/{repo}/feed.atom")
@router.get("/p/{owner}/{repo}/feed.atom")
async def feed(request: Request, owner: str, repo: str) -> Response:
    """The news of a project; the same answer whether it is not there or the token not for it."""
    collector, project = collector_of(request), f"{owner}/{repo}"
    access = await collector.tokens.verify(request.query_params.get("token", ""), FEED)
    if access is None or not access.allows(project):
        raise UnauthorizedError("A feed is opened by a token of its own, in its address.")
    items = await collector.news.latest(project)
    root = str(request.base_url).rstrip("/")
    body = atom(project, f"{root}/p/{quote(project)}", items)
    return cached(request, body, "application/atom+xml", f"private, max-age={FRESH_SECONDS}")


def atom(project: str, page: str, items: Iterable[Item]) -> bytes:
    """A feed as Atom has it.

    Args:
        project: `owner/repo`.
        page: The URL of the project's page.
        items: What was found, the newest first; their texts have no control characters.
    """
    items = list(items)
    top = ET.Element("feed", xmlns="http://www.w3.org/2005/Atom")
    _add(top, "id", uuid5(NAMESPACE_URL, page).urn)
    _add(top, "title", f"{project}: what changed")
    _add(top, "updated", moment(items[0].found if items else 0).isoformat())
    _add(_add(top, "author"), "name", "migas")
    _add(top, "generator", "migas", version=migas.__version__)
    _add(top, "link", rel="alternate", type="text/html", href=page)
    _add(top, "link", rel="self", type="application/atom+xml", href=f"{page}/feed.atom")
    for item in items:
        entry = _add(top, "entry")
        _add(entry, "id", f"urn:uuid:{item.id}")
        _add(entry, "title", item.text, type="text")
        _add(entry, "updated", moment(item.found).isoformat())
        _add(entry, "category", term=item.kind)
        href = f"{page}/{item.page}" if item.page else page
        _add(entry, "link", rel="alternate", type="text/html", href=href)
        _add(entry, "summary", item.text, type="text")
    text: bytes = ET.tostring(top, encoding="utf-8", xml_declaration=True)
    return text


def _add(parent: ET.Element, name: str, text: str | None = None, **values: str) -> ET.Element:
    element = ET.SubElement(parent, name, values)
    element.text = text
    return element
