"""`/share/<owner>/<repo>`: a shared project's totals, and a badge of them, for everybody.

A project that is not shared answers as one that is not there.
"""

from __future__ import annotations

from fastapi import APIRouter, HTTPException, Request
from pydantic import BaseModel
from starlette.responses import Response  # noqa: TC002  FastAPI reads the annotations

from migas.collector.http.access import collector_of
from migas.collector.http.rest import Refusal
from migas.collector.news.totals import FEWEST, KEPT_SECONDS, Totals
from migas.collector.pages.figures import HEADINGS
from migas.collector.pages.responses import cached, rendered

_FRESH = f"public, max-age={KEPT_SECONDS}"
_CHAR_WIDTH = 6.6
"""Pixels of a character of the badge's font, on average; the text is then stretched to fit."""

router = APIRouter(prefix="/share/{owner}/{repo}")


class Badge(BaseModel):
    """A badge as shields.io reads it, https://shields.io/badges/endpoint-badge."""

    schemaVersion: int = 1  # noqa: N815  their name
    label: str
    message: str
    color: str


async def _totals(request: Request, owner: str, repo: str) -> Totals:
    totals = await collector_of(request).totals.of(f"{owner}/{repo}")
    if totals is None:
        raise HTTPException(404)
    return totals


@router.head("", include_in_schema=False)
@router.get("", include_in_schema=False)
async def share(request: Request, owner: str, repo: str) -> Response:
    """The page of totals."""
    totals = await _totals(request, owner, repo)
    values = {"name": f"{owner}/{repo}", "totals": totals, "fewest": FEWEST, "headings": HEADINGS}
    text = rendered(request, "share.html", visitor=None, **values)
    return cached(request, text, "text/html", _FRESH)


@router.head("/badge.json", include_in_schema=False)
@router.get("/badge.json", response_model=Badge, responses={404: {"model": Refusal}})
async def badge_json(request: Request, owner: str, repo: str) -> Response:
    """The number of users in the last 30 days, as shields.io reads it."""
    badge = _badge(await _totals(request, owner, repo))
    return cached(request, badge.model_dump_json().encode(), "application/json", _FRESH)


@router.head("/badge.svg", include_in_schema=False)
@router.get("/badge.svg", include_in_schema=False)
async def badge_svg(request: Request, owner: str, repo: str) -> Response:
    """The same as a drawing."""
    badge = _badge(await _totals(request, owner, repo))
    widths = [round(_CHAR_WIDTH * len(text)) for text in (badge.label, badge.message)]
    text = rendered(request, "badge.svg", badge=badge, widths=widths)
    return cached(request, text, "image/svg+xml", _FRESH)


def _badge(totals: Totals) -> Badge:
    label = f"users in {totals.period.days} days"
    if totals.are_too_few:
        return Badge(label=label, message=f"fewer than {FEWEST}", color="lightgrey")
    return Badge(label=label, message=f"{totals.users:,}", color="blue")
