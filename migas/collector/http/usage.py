"""`GET /api/usage` and `GET /api/auth/projects`: reading by token."""

from __future__ import annotations

import datetime as dt  # noqa: TC003  pydantic reads annotations when it runs
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Query, Request
from pydantic import BaseModel

from migas.collector.days import Period
from migas.collector.http.access import access_of, collector_of
from migas.collector.http.rest import BY_TOKEN, REFUSALS
from migas.collector.tokens import Access  # noqa: TC001  FastAPI reads annotations when it runs

DEFAULT_WEEKS = 1
MAX_WEEKS = 520

router = APIRouter(prefix="/api", dependencies=BY_TOKEN)


class SessionCount(BaseModel):
    """How many sessions of a version that began on a day have a status."""

    date: dt.date
    version: str
    status: str
    count: int


class ProjectList(BaseModel):
    """The projects that a token may read."""

    projects: list[str]


async def _access(request: Request) -> Access:
    return await access_of(collector_of(request).tokens, request.headers)


@router.get("/usage/{project:path}", responses=REFUSALS)
async def usage(
    project: str,
    request: Request,
    access: Annotated[Access, Depends(_access)],
    weeks: Annotated[int, Query(ge=1, le=MAX_WEEKS)] = DEFAULT_WEEKS,
    since: Annotated[dt.date | None, Query(description="the first day; wins over weeks")] = None,
) -> list[SessionCount]:
    """Sessions since a day, by the day they began and their last version and status.

    Without a day they are those of the last weeks, and without weeks of the last one.
    """
    collector = collector_of(request)
    if not access.allows(project):
        raise HTTPException(403, f"Token does not have access to project {project}.")
    if not await collector.projects.is_registered(project):
        raise HTTPException(404, f"Project {project} not found.")
    period = Period.weeks(weeks, collector.clock.today())
    if since is not None:
        period = Period(since, max(since, period.last))
    return [
        SessionCount(date=day, version=version, status=status, count=number)
        for day, version, status, number in await collector.reports.usage(project, period)
    ]


@router.get("/auth/projects", responses={401: REFUSALS[401]})
async def auth_projects(
    request: Request, access: Annotated[Access, Depends(_access)]
) -> ProjectList:
    """The registered projects that the token may read."""
    return ProjectList(projects=await collector_of(request).reports.visible_projects(access))
