"""`POST /api/breadcrumb`: a breadcrumb from a program that speaks no GraphQL."""

from __future__ import annotations

import enum
import json
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.responses import JSONResponse
from fastapi.security import HTTPBearer
from pydantic import BaseModel, Field

from migas.collector.database.tables import MAX_PROJECT_CHARS
from migas.collector.errors import NotStoredError, UnstorableError
from migas.collector.http.access import collector_of
from migas.collector.http.middleware import Middleware, header, replaying, route_path
from migas.collector.ingestion.crumb import lenient
from migas.collector.projects.names import NO_PROJECT_NAME, is_project_name
from migas.message import canonical_uuid

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from migas.collector.collector import Collector

router = APIRouter(prefix="/api")


class User(enum.Enum):
    """In which role somebody runs a program."""

    general = "general"
    dev = "dev"
    ci = "ci"


class Container(enum.Enum):
    """What kind of container a program runs in."""

    unknown = "unknown"
    docker = "docker"
    apptainer = "apptainer"


class StatusLetter(enum.Enum):
    """Where a run stands, in the letters that this way in knows."""

    R = "R"
    C = "C"
    F = "F"
    S = "S"


class Context(BaseModel):
    """Who runs a program, and where."""

    user_id: str | None = None
    session_id: str | None = None
    user_type: User = User.general
    platform: str = "unknown"
    container: Container = Container.unknown
    is_ci: bool = False


class Process(BaseModel):
    """How a run is going, or how it ended."""

    status: StatusLetter = StatusLetter.R
    status_desc: str | None = None
    error_type: str | None = None
    error_desc: str | None = None


class BreadcrumbBody(BaseModel):
    """A breadcrumb as this call takes it."""

    project: str = Field(description=f"owner/repo, at most {MAX_PROJECT_CHARS} characters")
    project_version: str
    language: str = "python"
    language_version: str = "0.0.0"
    ctx: Context = Field(default_factory=Context)
    proc: Process = Field(default_factory=Process)


class BreadcrumbAnswer(BaseModel):
    """Whether the breadcrumb was stored."""

    success: bool
    message: str = ""


class Forgotten(BaseModel):
    """How many breadcrumbs were deleted with a user."""

    success: bool
    breadcrumbs: int


class Refusal(BaseModel):
    """Why a request was refused."""

    detail: str


BY_TOKEN = [Depends(HTTPBearer(auto_error=False, description="a reader's token, `migas_…`"))]
"""How the description of these calls says that a token opens them; `Tokens` looks at it."""

REFUSALS: dict[int | str, dict[str, Any]] = {
    401: {"model": Refusal, "description": "no token, or one that opens nothing"},
    403: {"model": Refusal, "description": "the token is for another project"},
    404: {"model": Refusal, "description": "there is no such project"},
}
"""How it is refused to read a project."""


class PlainBreadcrumbs(Middleware):
    """Stores breadcrumbs that are in order, and hands on what is wrong or unusual to the router.

    The router and what it checks would nearly double what one costs. The application's
    `state.collector` stores breadcrumbs; a body comes in one message.
    """

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (
            route_path(scope) != f"{router.prefix}/breadcrumb"
            or scope["method"] != "POST"
            or (wait := _WAIT.get(scope["query_string"])) is None
            or header(scope, b"content-type") != "application/json"
        ):
            await self._app(scope, receive, send)
            return
        sent = (await receive()).get("body", b"")
        try:
            response = await store(
                BreadcrumbBody.model_validate(json.loads(sent)),
                scope["app"].state.collector,
                wait=wait,
            )
        except HTTPException as refused:
            response = JSONResponse({"detail": refused.detail}, refused.status_code)
        except (ValueError, RecursionError):
            await self._app(scope, replaying(sent, receive), send)
            return
        await response(scope, receive, send)


_WAIT = {b"": False, b"wait=true": True, b"wait=false": False}


@router.post(
    "/breadcrumb",
    status_code=202,
    response_model=BreadcrumbAnswer,
    responses={
        200: {"model": BreadcrumbAnswer, "description": "stored, with wait=true"},
        400: {"model": Refusal, "description": "the project is not registered, or no owner/repo"},
        500: {"model": BreadcrumbAnswer, "description": "not stored"},
    },
)
async def add_breadcrumb(
    body: BreadcrumbBody, request: Request, *, wait: bool = False
) -> JSONResponse:
    """Store a breadcrumb, then answer.

    With or without `wait` the answer comes after the commit; it only chooses between the status
    codes that clients of the wire expect.
    """
    return await store(body, collector_of(request), wait=wait)


async def store(body: BreadcrumbBody, collector: Collector, *, wait: bool) -> JSONResponse:
    """Store a breadcrumb and build the answer.

    Raises:
        HTTPException: The project is not registered, or no `owner/repo`.
    """
    if not is_project_name(body.project):
        raise HTTPException(400, NO_PROJECT_NAME)
    try:
        release = await collector.ingestion.record(lenient(**body.model_dump(mode="json")))
    except UnstorableError as error:
        if wait:  # as the wire has it, where only the database finds out
            return _failure(NotStoredError())
        return JSONResponse({"detail": [_problem(error)]}, 422)
    except NotStoredError as error:
        return _failure(error)
    if release is None:
        raise HTTPException(400, "Project is not registered.")
    return _STORED[wait]


@router.delete(
    "/users/{user_id}",
    responses={
        404: {"model": Refusal, "description": "nothing is known of this user"},
        422: {"model": Refusal, "description": "that is no UUID"},
    },
)
async def forget(user_id: str, request: Request) -> Forgotten:
    """Delete a user and all of their breadcrumbs; holding the random id is proof enough."""
    canonical = canonical_uuid(user_id)
    if canonical is None:
        raise HTTPException(422, "A user's id is a UUID.")
    removed = await collector_of(request).removal.forget_user(canonical)
    if not any(removed):
        raise HTTPException(404, "Nothing is known of this user.")
    return Forgotten(success=True, breadcrumbs=removed.breadcrumbs)


def _failure(error: NotStoredError) -> JSONResponse:
    return JSONResponse({"success": False, "message": str(error)}, 500)


_STORED = {
    wait: JSONResponse({"success": True, "message": ""}, status)
    for wait, status in ((True, 200), (False, 202))
}
"""The answers that are given over and over again, by whether their senders wait for the commit."""


def _problem(error: UnstorableError) -> dict[str, object]:
    parts = {"ctx": Context.model_fields, "proc": Process.model_fields}
    part = [name for name, fields in parts.items() if error.field in fields]
    return {"type": "value_error", "loc": ["body", *part, error.field], "msg": str(error)}
