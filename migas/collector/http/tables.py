"""`GET /api/v1/projects/…`: a project's tables for programs; an `example` reads one.

They are opened by a token, or on the machine itself by a collector that is open to it.
"""

from __future__ import annotations

import datetime as dt  # noqa: TC003  FastAPI reads the annotations
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response

from migas.collector.counts.filters import NAMES, Filter, storable
from migas.collector.counts.rows import ROWS
from migas.collector.counts.tables import Tables
from migas.collector.days import Period, Step
from migas.collector.http.access import access_of, collector_of, is_open
from migas.collector.http.rest import BY_TOKEN, REFUSALS

_HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
_PARAMETERS = {"since", "until", "by", "first", "second", *NAMES}

_EXAMPLE = """\
import pandas
url = "{server}/api/v1/projects/{project}/sessions?by=week"
sessions = pandas.read_json(url{header})
"""
_HEADER = ', storage_options={"Authorization": "Bearer YOUR_TOKEN"}'

router = APIRouter(prefix="/api/v1/projects", responses=REFUSALS, dependencies=BY_TOKEN)


def example(
    server: str = "https://the-address-of-this-server",
    project: str = "owner/repo",
    *,
    with_token: bool = True,
) -> str:
    """How a table comes into pandas, in Python.

    Args:
        server: The collector's URL, without a slash at its end.
        project: Of which the table is.
        with_token: Whether a token is needed. What stands for it in the header is ASCII, or nothing
            could be sent; and where none is needed, a token that opens nothing is refused.
    """
    return _EXAMPLE.format(server=server, project=project, header=_HEADER if with_token else "")


async def _tables(
    request: Request,
    response: Response,
    owner: str,
    repo: str,
    *,
    since: Annotated[dt.date | None, Query(description="the first day, in UTC")] = None,
    until: Annotated[dt.date | None, Query(description="the last day; today without it")] = None,
    by: Annotated[Step, Query(description="what is counted together")] = "day",
    version: str | None = None,
    platform: str | None = None,
    container: str | None = None,
    language: Annotated[str | None, Query(description="as in `python 3.11`")] = None,
    ci: Literal["yes", "no"] | None = None,
    user: Annotated[
        str | None, Query(description="`general`, `dev` or `ci`; none without a user")
    ] = None,
    outcome: Literal["completed", "failed", "suspended", "running"] | None = None,
    error: Annotated[str | None, Query(description="an error's fingerprint")] = None,
    first: Annotated[str, Query(description="the first of two versions, for `differences`")] = "",
    second: Annotated[str, Query(description="the second one")] = "",
) -> Tables:
    """The tables that are asked for, without anything read yet.

    A name that nothing has is refused: who misspells a filter must not take all for some.
    """
    collector, project = collector_of(request), f"{owner}/{repo}"
    response.headers.update(_HEADERS)
    if "authorization" in request.headers or not is_open(request):
        access = await access_of(collector.tokens, request.headers)
        if not access.allows(project):
            raise HTTPException(403, "Token does not have access to this project.")
    if not await collector.projects.is_registered(project):
        raise HTTPException(404, "Project not found.")
    if unknown := sorted(request.query_params.keys() - _PARAMETERS):
        named = ", ".join(map(ascii, unknown))
        known = ", ".join(sorted(_PARAMETERS))
        raise HTTPException(422, f"Nothing is called {named} here; there are {known}.")
    today = collector.clock.today()
    try:
        period = Period.asked(since, until, today, by)
    except ValueError as mistake:
        raise HTTPException(422, str(mistake)) from mistake
    values = (version, platform, container, language, ci, user, outcome, error)
    only = Filter.read({n: v for n, v in zip(NAMES, values, strict=True) if v is not None})
    two = storable(first), storable(second)
    return Tables(collector.reports, project, period, only, today, two=two)


def _add_route(name: str) -> None:
    async def rows(tables: Annotated[Tables, Depends(_tables)]) -> Any:
        return await tables.read(name)

    path = f"/{{owner}}/{{repo}}/{name}"
    router.add_api_route(path, rows, methods=["HEAD"], include_in_schema=False)
    router.add_api_route(
        path,
        rows,
        name=name,
        description=Tables.described(name),
        response_model=list[ROWS[name]],  # type: ignore[valid-type]
    )


for _name in ROWS:
    _add_route(_name)
