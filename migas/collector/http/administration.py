"""`/api/admin/…`: projects and tokens over HTTP, for whoever holds a root token.

The calls and their answers are those of the official server. They are closed as long as no root
token was issued, which only the command line of the collector's own machine does.
"""

from __future__ import annotations

import datetime as dt  # noqa: TC003  pydantic reads annotations when it runs
from typing import Any

from fastapi import APIRouter, Depends, HTTPException, Request
from pydantic import BaseModel

from migas.collector.days import moment
from migas.collector.http.access import access_of, collector_of
from migas.collector.http.rest import Refusal
from migas.collector.ingestion.crumb import is_storable
from migas.collector.projects.names import NO_PROJECT_NAME, is_project_name

ROOT = "master"
"""How a root token's project is called; no `owner/repo` can be."""


class Registration(BaseModel):
    """The project to register."""

    project: str


class Wanted(BaseModel):
    """A token to be made: what it reads, and whose it is."""

    project: str
    description: str | None = None


class Ended(BaseModel):
    """The token to end, whole or by its id."""

    token: str


class Done(BaseModel):
    """Whether it was done, and what there is to say of it."""

    success: bool
    message: str = ""


class Issued(Done):
    """A new token, shown this once."""

    token: str


class TokenShown(BaseModel):
    """A token as an administrator may see it: by its id, which opens nothing."""

    project: str
    token: str
    description: str | None
    created_at: dt.datetime
    last_used: dt.datetime | None


class TokenList(BaseModel):
    """The tokens that are valid."""

    success: bool
    tokens: list[TokenShown]


async def _require_root(request: Request) -> None:
    await access_of(collector_of(request).tokens, request.headers, root=True)


_REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"model": Refusal, "description": "the project is not registered, or no owner/repo"},
    401: {"model": Refusal, "description": "no root token"},
}

router = APIRouter(prefix="/api/admin", dependencies=[Depends(_require_root)], responses=_REFUSALS)


@router.post("/register")
async def register(body: Registration, request: Request) -> Done:
    """Take breadcrumbs of a project from now on."""
    if not is_project_name(body.project):
        raise HTTPException(400, NO_PROJECT_NAME)
    projects = collector_of(request).projects
    state = "already" if await projects.is_registered(body.project) else "now"
    await projects.register([body.project])
    return Done(success=True, message=f"Project is {state} registered.")


@router.get("/list-tokens")
async def list_tokens(request: Request, project: str | None = None) -> TokenList:
    """The valid tokens, of one project or of all."""
    shown = [
        TokenShown(
            project=record.project or ROOT,
            token=record.id,
            description=record.description,
            created_at=moment(record.issued),
            last_used=None if record.last_used is None else moment(record.last_used),
        )
        for record in await collector_of(request).tokens.records()
        if record.revoked is None and project in (None, record.project or ROOT)
    ]
    return TokenList(success=True, tokens=shown)


@router.post("/issue-token")
async def issue_token(body: Wanted, request: Request) -> Issued:
    """Make a token with which a project can be read."""
    collector = collector_of(request)
    if not await collector.projects.is_registered(body.project):
        raise HTTPException(400, "Project is not registered.")
    if body.description is not None and not is_storable(body.description):
        raise HTTPException(400, "Invalid description.")
    token = await collector.tokens.issue(body.project, body.description)
    return Issued(success=True, token=token, message="Token issued successfully.")


@router.post("/revoke-token")
async def revoke_token(body: Ended, request: Request) -> Done:
    """End a token; whether there was such a one, still valid."""
    return Done(success=await collector_of(request).tokens.revoke(body.token))
