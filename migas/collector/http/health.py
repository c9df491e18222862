"""`GET /healthz`: whether this process answers and its database does, for who watches over it."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from sqlalchemy.exc import SQLAlchemyError

from migas.collector.http.access import collector_of

PATH = "/healthz"
DEADLINE = 5.0
"""Seconds that the database has to answer."""

router = APIRouter()


class Health(BaseModel):
    """Whether the database can be reached."""

    database: bool


@router.head(PATH, include_in_schema=False)
@router.get(PATH, responses={503: {"model": Health, "description": "the database is away"}})
async def healthz(request: Request) -> JSONResponse:
    """Ask the database for a row."""
    try:
        async with asyncio.timeout(DEADLINE):
            await collector_of(request).connections.ping()
    except (SQLAlchemyError, OSError, TimeoutError):
        return JSONResponse({"database": False}, 503)
    return JSONResponse({"database": True})
