"""The pages' addresses: who asks, what they may see, and which page answers."""

from __future__ import annotations

import asyncio
import json
from dataclasses import fields, replace
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlencode

from fastapi import APIRouter
from starlette.requests import Request  # noqa: TC002  FastAPI reads the annotations
from starlette.responses import Response

from migas.collector.counts import rows
from migas.collector.counts.filters import NAMES, OUTCOMES, Filter, error_number, storable
from migas.collector.counts.tables import MAX_ERRORS, MAX_LOST, Tables
from migas.collector.http.access import access_of, collector_of, is_open
from migas.collector.http.middleware import root_path, route_path
from migas.collector.http.tables import example
from migas.collector.news.rules import RECENT_DAYS
from migas.collector.pages import (
    error_figures,
    figures,
    origin,
    periods,
    signin,
    user_figures,
    version_figures,
)
from migas.collector.pages.address import Address
from migas.collector.pages.chart import Axis, duration_lines, rate_line, shared_out, stacked
from migas.collector.pages.responses import attachment, page, redirect, static_file
from migas.collector.pages.shown import MAX_FAILURES

if TYPE_CHECKING:
    import datetime as dt

    from migas.collector.tokens import Access

_MISSING = {
    "title": "Not found",
    "sentence": "There is no such project, or it is not yours to see.",
    "back": "All projects that you may see",
}
_NO_ERROR = {**_MISSING, "sentence": "This is no error's address: they end in 16 digits, 0 to f."}
_NO_TABLE = {**_MISSING, "sentence": "There is no such table: see the page for programs."}
_FOREIGN = {
    "title": "Refused",
    "sentence": "This form did not come from a page of this server.",
}

_PARAMETERS = frozenset((*periods.PARAMETERS, "first", "second", *NAMES))
"""By what a file is asked for."""

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


class _Wanted(NamedTuple):
    """A project that a visitor may see, and what of it."""

    request: Request
    name: str
    address: Address
    visitor: _Visitor
    today: dt.date

    def page(self, template: str, status: int = 200, **values: object) -> Response:
        """A page that shows it.

        Args:
            template: A file in `templates`.
            status: The HTTP status.
            values: What else it shows.
        """
        address = self.address
        frame = {
            "name": self.name,
            "address": address,
            "period": address.period,
            "only": address.only,
            "presets": periods.PRESETS,
            "steps": periods.STEPS,
            "headings": figures.HEADINGS,
            "today": self.today,
            "visitor": self.visitor,
            "server": str(self.request.base_url).rstrip("/"),
        }
        return page(self.request, template, status, **frame, **values)

    async def known_days(self, is_empty: bool) -> tuple[dt.date, dt.date] | None:
        """Between which days the project has sessions, where a page has nothing else to tell."""
        ask = collector_of(self.request).reports
        return await ask.known_days(self.name) if is_empty else None


async def _wanted(request: Request, owner: str, repo: str) -> _Wanted | Response:
    """What is asked for, or the answer to whoever may not see it or asks for what is not there."""
    visitor = await _visitor(request)
    if visitor is None:
        return _ask_to_sign_in(request)
    name, collector = f"{owner}/{repo}", collector_of(request)
    if not visitor.may_see(name) or not await collector.projects.is_registered(name):
        return page(request, "refusal.html", 404, visitor=visitor, **_MISSING)
    today, query = collector.clock.today(), dict(request.query_params)
    address = Address(
        root_path(request.scope), name, periods.parse(query, today), Filter.read(query)
    )
    return _Wanted(request, name, address, visitor, today)


@router.head("/p/{owner}/{repo}")
@router.get("/p/{owner}/{repo}")
async def project(request: Request, owner: str, repo: str) -> Response:
    """One project; the same answer whether it does not exist or may not be seen."""
    wanted = await _wanted(request, owner, repo)
    if isinstance(wanted, Response):
        return wanted
    _, name, address, _, today = wanted
    shown = await figures.project(collector_of(request), name, address.period, address.only)
    axis = Axis.of(address.period, today, shown.came)
    ended = {
        kind: [getattr(outcomes, kind) for outcomes in shown.bars.values()]
        for kind in ("completed", "failed", "suspended", "running")
    }
    bands = zip(*shown.adoption.bars.values(), strict=True)
    versions = {f"version-{number}": band for number, band in enumerate(bands)}
    times = shown.durations.times
    # What is not over has few runs yet, and those the shortest.
    is_one_over = not all(row.unfinished for row in times)
    took = {
        kind: [None if row.unfinished and is_one_over else getattr(row, of) for row in times]
        for kind, of in (("most", "p90"), ("half", "median"))
    }
    return wanted.page(
        "project.html",
        project=shown,
        axis=axis,
        ended=stacked(axis, ended),
        rates=rate_line(axis, [outcomes.rate for outcomes in shown.rated.values()]),
        adopted=shared_out(axis, versions),
        lasted=duration_lines(axis, took),
        known=await wanted.known_days(not shown.outcomes.total),
        max_lost=MAX_LOST,
        max_failures=MAX_FAILURES,
        max_errors=MAX_ERRORS,
    )


@router.head("/p/{owner}/{repo}/errors/{error}")
@router.get("/p/{owner}/{repo}/errors/{error}")
async def error(request: Request, owner: str, repo: str, error: str) -> Response:
    """One error of a project: where it happens, and what it says."""
    wanted = await _wanted(request, owner, repo)
    if isinstance(wanted, Response):
        return wanted
    if error_number(error) is None:
        return page(request, "refusal.html", 404, visitor=wanted.visitor, **_NO_ERROR)
    _, name, address, _, today = wanted
    only = address.only.with_(error=None)
    shown = await error_figures.error(collector_of(request), name, address.period, only, error)
    axis = Axis.of(address.period, today, shown.came)
    chart = stacked(axis, {"failed": list(shown.bars.values())})
    known = await wanted.known_days(shown.summary is None)
    return wanted.page("error.html", error=shown, axis=axis, chart=chart, known=known)


@router.head("/p/{owner}/{repo}/compare")
@router.get("/p/{owner}/{repo}/compare")
async def compare(request: Request, owner: str, repo: str) -> Response:
    """Two versions side by side: `first` and `second`, or the newest and the one before it.

    A filter by version would leave one of them alone: it is no filter here but the first of the
    two, where none is asked for, and the links to other pages keep it.
    """
    wanted = await _wanted(request, owner, repo)
    if isinstance(wanted, Response):
        return wanted
    _, name, elsewhere, *_ = wanted
    only, version = elsewhere.only.with_(version=None), elsewhere.only.version or ""
    pair = (request.query_params.get("first") or version, request.query_params.get("second", ""))
    shown = await version_figures.versions(
        collector_of(request), name, elsewhere.period, only, pair
    )
    asked = {"version": version} if version else {}
    asked |= {"first": shown.first, "second": shown.second} if shown.second else {}
    wanted = wanted._replace(address=replace(elsewhere, only=only, asked=asked))
    known = await wanted.known_days(not shown.second)
    return wanted.page("compare.html", shown=shown, elsewhere=elsewhere, known=known)


@router.head("/p/{owner}/{repo}/periods")
@router.get("/p/{owner}/{repo}/periods")
async def beside(request: Request, owner: str, repo: str) -> Response:
    """A period of a project beside the one before it, and the same a year ago."""
    wanted = await _wanted(request, owner, repo)
    if isinstance(wanted, Response):
        return wanted
    _, name, address, _, today = wanted
    reports = collector_of(request).reports
    tables = Tables(reports, name, address.period, address.only, today)
    rows, known = await asyncio.gather(tables.read("periods"), reports.known_days(name))
    return wanted.page("periods.html", rows=rows, known=known)


@router.head("/p/{owner}/{repo}/users")
@router.get("/p/{owner}/{repo}/users")
async def users(request: Request, owner: str, repo: str) -> Response:
    """The users of a project: how many over time, and what they run it on."""
    wanted = await _wanted(request, owner, repo)
    if isinstance(wanted, Response):
        return wanted
    _, name, address, _, today = wanted
    shown = await user_figures.users(collector_of(request), name, address.period, address.only)
    axis = Axis.of(address.period, today, shown.came)
    bands = {kind: [getattr(row, kind) for row in shown.rows] for kind in ("new", "returning")}
    known = await wanted.known_days(not shown.number)
    drawn = stacked(axis, bands)
    return wanted.page("users.html", users=shown, axis=axis, chart=drawn, known=known)


@router.head("/p/{owner}/{repo}/api")
@router.get("/p/{owner}/{repo}/api")
async def programs(request: Request, owner: str, repo: str) -> Response:
    """How a program reads the tables of a project."""
    wanted = await _wanted(request, owner, repo)
    if isinstance(wanted, Response):
        return wanted
    root = str(request.base_url).rstrip("/")
    addresses = {table: f"{root}/api/v1/projects/{wanted.name}/{table}" for table in rows.ROWS}
    return wanted.page(
        "programs.html",
        addresses=addresses,
        described={table: Tables.described(table) for table in rows.ROWS},
        columns={table: [field.name for field in fields(row)] for table, row in rows.ROWS.items()},
        explained={table: rows.explained(table) for table in rows.ROWS},
        filters=NAMES,
        recent_days=RECENT_DAYS,
        example=example(root, wanted.name, with_token=wanted.visitor.access is not None),
        is_shared=await collector_of(request).totals.is_shared(wanted.name),
    )


@router.head("/p/{owner}/{repo}/{file}")
@router.get("/p/{owner}/{repo}/{file}")
async def table(request: Request, owner: str, repo: str, file: str) -> Response:
    """A table of a project as a file, `versions.csv` or `versions.json` say."""
    wanted = await _wanted(request, owner, repo)
    if isinstance(wanted, Response):
        return wanted
    name, _, form = file.partition(".")
    if name not in rows.ROWS or form not in ("csv", "json"):
        return page(request, "refusal.html", 404, visitor=wanted.visitor, **_NO_TABLE)
    _, project, address, _, today = wanted
    if mistake := address.period.mistake or _mistake(request):
        asked_of = {"title": "Not understood", "sentence": mistake, "visitor": wanted.visitor}
        return page(request, "refusal.html", 422, **asked_of)
    reports = collector_of(request).reports
    first, second = (storable(request.query_params.get(of, "")) for of in ("first", "second"))
    asked = Tables(reports, project, address.period, address.only, today, two=(first, second))
    found = await asked.read(name)
    text = rows.as_csv(name, found) if form == "csv" else json.dumps(rows.plain(found))
    return attachment(f"{repo}-{file}", text)


def _mistake(request: Request) -> str:
    """Why a file would not be of what its address asks for; empty if it is.

    Nobody sees that in the file, where a page would show which filters it knows.
    """
    if not _PARAMETERS.issuperset(request.query_params):
        return f"A file is asked for by these names: {', '.join(sorted(_PARAMETERS))}."
    outcome = request.query_params.get("outcome")
    if outcome and outcome not in OUTCOMES:
        return f"A session is {', '.join(OUTCOMES)}."
    return ""


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
        return page(request, "refusal.html", 403, visitor=None, **_FOREIGN)
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
        return page(request, "refusal.html", 403, visitor=None, **_FOREIGN)
    answer = redirect(request, "/sign-in")
    signin.sign_out(request, answer)
    return answer


@router.head("/static/{edition}/{name}")
@router.get("/static/{edition}/{name}")
async def static(edition: str, name: str) -> Response:
    """A file that pages load."""
    return static_file(edition, name) or Response("Not Found", 404)


async def _visitor(request: Request) -> _Visitor | None:
    collector = collector_of(request)
    if "authorization" in request.headers:  # a program that reads a table as a file
        return _Visitor(await access_of(collector.tokens, request.headers))
    access = await signin.access_of(request, collector)
    if access is not None:
        return _Visitor(access)
    return _Visitor(None) if is_open(request) else None


def _ask_to_sign_in(request: Request) -> Response:
    query = request.scope["query_string"].decode("ascii", "replace")
    address = origin.next_page(route_path(request.scope) + (query and f"?{query}"))
    asked = "" if address == "/" else f"?{urlencode({'next': address})}"
    return redirect(request, f"/sign-in{asked}")
