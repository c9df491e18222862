"""The pages' addresses: who asks, what they may see, and which page answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlencode

from fastapi import APIRouter
from starlette.requests import Request  # noqa: TC002  FastAPI reads the annotations
from starlette.responses import Response

from migas.collector.http.access import collector_of, is_local
from migas.collector.http.middleware import route_path
from migas.collector.pages import figures, origin, periods, signin
from migas.collector.pages.chart import chart_data
from migas.collector.pages.responses import page, redirect, static_file

if TYPE_CHECKING:
    from migas.collector.tokens import Access

# Not part of the interface that programs use, hence of no schema.
router = APIRouter(include_in_schema=False, default_response_class=Response)


class _Visitor(NamedTuple):
    """Somebody who may see pages: with `access`, or without one because all is open to them."""

    access: Access | None

    def may_see(self, project: str) -> bool:
        return self.access is None or self.access.allows(project)


@router.head("/")
@router.get("/")
async def projects(request: Request) -> Response:
    """The projects that the visitor may see."""
    visitor = await _visitor(request)
    if visitor is None:
        return _ask_to_sign_in(request)
    period = periods.parse({}, collector_of(request).clock.today())
    listed = await figures.summaries(collector_of(request), visitor.access, period)
    return page(request, "projects.html", projects=listed, period=period, visitor=visitor)


@router.get("/p/{owner}/{repo}")
async def project(request: Request, owner: str, repo: str) -> Response:
    """One project; the same answer whether it does not exist or may not be seen."""
    visitor = await _visitor(request)
    if visitor is None:
        return _ask_to_sign_in(request)
    name, collector = f"{owner}/{repo}", collector_of(request)
    if not visitor.may_see(name) or not await collector.projects.is_registered(name):
        return page(request, "missing.html", 404, visitor=visitor)
    today = collector_of(request).clock.today()
    period = periods.parse(dict(request.query_params), today)
    shown = await figures.project(collector, name, period)
    return page(
        request,
        "project.html",
        project=shown,
        period=period,
        presets=periods.PRESETS,
        today=today,
        chart=chart_data(shown.bars, period),
        visitor=visitor,
    )


@router.head("/sign-in")
@router.get("/sign-in")
async def sign_in_form(request: Request) -> Response:
    """Ask for a token."""
    address = origin.next_page(request.query_params.get("next"))
    if await _visitor(request) is not None:
        return redirect(request, address)
    return page(request, "sign_in.html", next=address, refused=False, visitor=None)


@router.post("/sign-in")
async def sign_in(request: Request) -> Response:
    """Take a token and give a cookie for it."""
    if not origin.is_same_origin(request):
        return page(request, "refused.html", 403, visitor=None)
    fields = await origin.form(request)
    address = origin.next_page(fields.get("next"))
    answer = redirect(request, address)
    if await signin.sign_in(
        request, answer, collector_of(request), fields.get("token", "").strip()
    ):
        return answer
    return page(request, "sign_in.html", 401, next=address, refused=True, visitor=None)


@router.post("/sign-out")
async def sign_out(request: Request) -> Response:
    """Take the cookie back."""
    if not origin.is_same_origin(request):
        return page(request, "refused.html", 403, visitor=None)
    answer = redirect(request, "/sign-in")
    signin.sign_out(request, answer)
    return answer


@router.get("/static/{edition}/{name}")
async def static(edition: str, name: str) -> Response:
    """A file that pages load."""
    return static_file(edition, name) or Response("Not Found", 404)


async def _visitor(request: Request) -> _Visitor | None:
    collector = collector_of(request)
    access = await signin.access_of(request, collector)
    if access is not None:
        return _Visitor(access)
    return _Visitor(None) if collector.projects.open_registration and is_local(request) else None


def _ask_to_sign_in(request: Request) -> Response:
    query = request.scope["query_string"].decode("ascii", "replace")
    address = origin.next_page(route_path(request.scope) + (query and f"?{query}"))
    asked = "" if address == "/" else f"?{urlencode({'next': address})}"
    return redirect(request, f"/sign-in{asked}")
