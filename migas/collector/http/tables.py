"""`GET /api/v1/projects/…`: a project's tables for programs, by token; `EXAMPLE` reads one."""

from __future__ import annotations

import datetime as dt  # noqa: TC003  FastAPI reads the annotations
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Query, Request

from migas.collector.counts.filters import NAMES, Filter
from migas.collector.counts.tables import (
    AdoptionRow,
    DurationRow,
    EnvironmentRow,
    ErrorRow,
    SessionsRow,
    Tables,
    UsersRow,
    VersionRow,
)
from migas.collector.days import Period, Step
from migas.collector.http.access import access_of, collector_of
from migas.collector.http.rest import REFUSALS

EXAMPLE = """\
import pandas
url = "https://the-address-of-this-server/api/v1/projects/owner/repo/sessions?by=week"
sessions = pandas.read_json(url, storage_options={"Authorization": "Bearer migas_…"})
"""
"""How a table comes into pandas."""

router = APIRouter(prefix="/api/v1/projects", responses=REFUSALS)


async def _tables(
    request: Request,
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
    ci: Annotated[str | None, Query(description="`yes` or `no`")] = None,
    user: Annotated[str | None, Query(description="`general`, `dev` or `ci`")] = None,
    outcome: Annotated[
        str | None, Query(description="`completed`, `failed`, `suspended` or `running`")
    ] = None,
    error: Annotated[str | None, Query(description="an error's fingerprint")] = None,
) -> Tables:
    """The tables that are asked for, without anything read yet."""
    collector, project = collector_of(request), f"{owner}/{repo}"
    access = await access_of(collector.tokens, request.headers)
    if not access.allows(project):
        raise HTTPException(403, "Token does not have access to this project.")
    if not await collector.projects.is_registered(project):
        raise HTTPException(404, "Project not found.")
    today = collector.clock.today()
    try:
        period = Period.asked(since, until, today, by)
    except ValueError as mistake:
        raise HTTPException(422, str(mistake)) from mistake
    values = (version, platform, container, language, ci, user, outcome, error)
    only = Filter.read({n: v for n, v in zip(NAMES, values, strict=True) if v is not None})
    return Tables(collector.reports, project, period, only, today)


_Asked = Annotated[Tables, Depends(_tables)]


@router.get("/{owner}/{repo}/sessions")
async def sessions(tables: _Asked) -> list[SessionsRow]:
    """Sessions by the day, week or month they began, and by how they ended."""
    return await tables.sessions()


@router.get("/{owner}/{repo}/versions")
async def versions(tables: _Asked) -> list[VersionRow]:
    """Sessions by version, with the completion rate and its 95 % interval."""
    return await tables.versions()


@router.get("/{owner}/{repo}/adoption")
async def adoption(tables: _Asked) -> list[AdoptionRow]:
    """Sessions by the day, week or month they began, and by version, the newest first."""
    return await tables.adoption()


@router.get("/{owner}/{repo}/errors")
async def errors(tables: _Asked) -> list[ErrorRow]:
    """Errors, those that hit most users first."""
    return await tables.errors()


@router.get("/{owner}/{repo}/users")
async def users(tables: _Asked) -> list[UsersRow]:
    """Users by the day, week or month: all, new and returning."""
    return await tables.users()


@router.get("/{owner}/{repo}/durations")
async def durations(tables: _Asked) -> list[DurationRow]:
    """How long runs took that completed: by the day, week or month, then by version.

    Quantiles are estimates within 2 %. Of many sessions they are told by version alone: with other
    filters the answer is empty then.
    """
    return await tables.durations()


@router.get("/{owner}/{repo}/environments")
async def environments(tables: _Asked) -> list[EnvironmentRow]:
    """What sessions ran on: platforms, containers, languages and CI, with their users."""
    return await tables.environments()
