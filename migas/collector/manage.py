"""What an operator does to a database from the command line, beside a running server or not."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from .errors import CollectorError
from .ingest import MAX_PROJECT_CHARS, is_project_name
from .storage import Storage
from .versions import strict_version

if TYPE_CHECKING:
    from collections.abc import Sequence


def add_projects(database: str, names: Sequence[str]) -> None:
    """Take breadcrumbs of these projects from now on; known ones stay as they are.

    Raises:
        CollectorError: A name is not `owner/repo`, or the database cannot be used.
    """
    for name in names:
        _check_name(name)

    async def add() -> None:
        async with Storage.open(database) as storage:
            await storage.register(names)

    asyncio.run(add())


def list_projects(database: str) -> list[str]:
    """Describe the registered projects.

    Returns:
        A line for each: its name, its newest version and its flagged ones, as far as known.

    Raises:
        CollectorError: The database cannot be used.
    """

    async def describe() -> list[str]:
        async with Storage.open(database) as storage:
            lines = []
            for name in await storage.projects():
                release = await storage.release(name)
                flagged = f"  flagged: {', '.join(release.flagged)}" if release.flagged else ""
                lines.append(f"{name}  {release.latest}{flagged}" if release.is_known else name)
            return lines

    return asyncio.run(describe())


def release_project(database: str, name: str, latest: str, flagged: Sequence[str] = ()) -> None:
    """Name a project's newest version, and versions to flag beside those flagged before.

    Raises:
        CollectorError: A version is none, the project is not registered, or the database cannot
            be used.
    """
    _check_name(name)
    newest, *bad = [_version(text) for text in (latest, *flagged)]

    async def release() -> None:
        async with Storage.open(database) as storage:
            if not await storage.is_registered(name):
                raise CollectorError(
                    f"{name} is not registered in {storage.description}: "
                    f"run `migas project add {name}` first"
                )
            await storage.set_release(name, newest, bad)

    asyncio.run(release())


def _check_name(name: str) -> None:
    if not is_project_name(name):
        raise CollectorError(
            f"{name!r} is no project name: write owner/repo in letters, digits, '.', '_' and '-', "
            f"at most {MAX_PROJECT_CHARS} characters"
        )


def _version(text: str) -> str:
    try:
        return strict_version(text)
    except ValueError:
        raise CollectorError(f"{text!r} is no PEP 440 version: write one like 1.2.0") from None
