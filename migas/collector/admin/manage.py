"""What an operator does to a database from the command line, beside a running server or not."""

from __future__ import annotations

import asyncio
import io
import os
import re
import sys
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from migas.collector.admin.export import export
from migas.collector.collector import Collector
from migas.collector.counts.rebuild import rebuild
from migas.collector.database.engine import describe, engine_url
from migas.collector.database.tables import MAX_PROJECT_CHARS
from migas.collector.errors import CollectorError
from migas.collector.ingestion.crumb import is_storable
from migas.collector.migrations.migrate import upgrade_url
from migas.collector.projects.names import is_project_name
from migas.collector.projects.versions import strict_version

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from migas.collector.counts.rebuild import Difference
    from migas.collector.tokens import TokenRecord

_PACKAGE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,98}[A-Za-z0-9])?")


def add_projects(database: str, names: Sequence[str]) -> None:
    """Take breadcrumbs of these projects from now on; known ones stay as they are.

    Raises:
        CollectorError: A name is not `owner/repo`, or the database cannot be used.
    """
    for name in names:
        _check_name(name)

    async def add() -> None:
        async with Collector.open(database) as collector:
            await collector.projects.register(names)

    asyncio.run(add())


def list_projects(database: str) -> list[str]:
    """Describe the registered projects.

    Returns:
        A line for each: its name, its newest version and its flagged ones, as far as known.

    Raises:
        CollectorError: The database cannot be used.
    """

    async def describe() -> list[str]:
        async with _opened(database) as collector:
            lines = []
            for name in await collector.projects.names():
                release = await collector.projects.release(name)
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
        async with _opened(database) as collector:
            await _check_registered(collector, name)
            await collector.projects.set_release(name, newest, bad)

    asyncio.run(release())


def name_package(database: str, name: str, package: str | None) -> None:
    """Say under which name a package index knows a project; None for none.

    Raises:
        CollectorError: The name is none, the project is not registered, or the database cannot
            be used.
    """
    _check_name(name)
    if package is not None and not _PACKAGE.fullmatch(package):
        raise CollectorError(f"{package!r} is no name of a package: write one like fmriprep")

    async def change() -> None:
        async with _opened(database) as collector:
            await _check_registered(collector, name)
            await collector.projects.set_package(name, package)

    asyncio.run(change())


def issue_token(database: str, project: str | None, description: str | None) -> str:
    """Make a token for a project, or a root token without one.

    Returns:
        The token, which is shown nowhere else.

    Raises:
        CollectorError: The project is not registered, or the database cannot be used.
    """
    if description is not None and not is_storable(description):
        raise CollectorError("the description has a character that no database holds")

    async def issue() -> str:
        async with _opened(database) as collector:
            if project is not None:
                _check_name(project)
                await _check_registered(collector, project)
            return await collector.tokens.issue(project, description)

    return asyncio.run(issue())


def list_tokens(database: str) -> list[str]:
    """Describe the tokens, revoked ones too.

    Returns:
        A line for each: its id, what it reads, when it was issued and last used, and for whom.

    Raises:
        CollectorError: The database cannot be used.
    """

    async def describe() -> list[str]:
        async with _opened(database) as collector:
            return [_token_line(record) for record in await collector.tokens.records()]

    return asyncio.run(describe())


def revoke_token(database: str, token: str) -> None:
    """End a token, given whole or by its id.

    Raises:
        CollectorError: There is no such token, still valid, or the database cannot be used.
    """

    async def revoke() -> None:
        async with _opened(database) as collector:
            if not await collector.tokens.revoke(token):
                raise CollectorError("there is no such token: `migas token list` shows their ids")

    asyncio.run(revoke())


def upgrade_database(database: str) -> str:
    """Bring a database up to date.

    Returns:
        What was done, in a sentence.

    Raises:
        CollectorError: The database cannot be used.
    """

    async def run() -> str:
        was, now, name = await upgrade_url(database)
        if was == now:
            return f"{name} is up to date (step {now})"
        return f"{name} was brought from step {was or 'none'} to step {now}"

    return asyncio.run(run())


def rebuild_database(database: str) -> Difference:
    """Make sessions, users and daily counts anew from the breadcrumbs.

    Returns:
        What there is, and how much of it was wrong before.

    Raises:
        CollectorError: The database cannot be used.
    """

    async def run() -> Difference:
        async with _opened(database) as collector, collector.connections.writing() as connection:
            return await connection.run_sync(rebuild)

    return asyncio.run(run())


def export_breadcrumbs(database: str, project: str | None, since: str | None) -> None:
    """Write breadcrumbs to stdout as CSV.

    Args:
        database: A URL as `engine_url` takes it.
        project: Only this project's.
        since: Only those of this day (`YYYY-MM-DD`) and later.

    Raises:
        CollectorError: The day is none, the project is not registered, the database cannot be
            used, or stdout cannot be written.
    """
    if project is not None:
        _check_name(project)
    try:
        first = None if since is None else date.fromisoformat(since)
    except ValueError:
        raise CollectorError(f"{since!r} is no day: write one like 2026-01-31") from None

    async def run() -> None:
        async with _opened(database) as collector:
            if project is not None:
                await _check_registered(collector, project)
            if isinstance(sys.stdout, io.TextIOWrapper):
                # Whatever the terminal's language: a file is read elsewhere.
                sys.stdout.reconfigure(encoding="utf-8", newline="")
            await export(collector.reports, sys.stdout, project, first)

    asyncio.run(run())


@asynccontextmanager
async def _opened(database: str) -> AsyncIterator[Collector]:
    """A database that is there; to make one where a path is misspelt would hide the mistake."""
    _check_exists(database)
    async with Collector.open(database) as collector:
        yield collector


def _check_exists(database: str) -> None:
    url = engine_url(database)
    if url.get_backend_name() == "sqlite" and not os.path.exists(url.database or ""):
        raise CollectorError(
            f"there is no database {describe(url)}: name another one with --db, "
            "or make this one with `migas project add owner/repo`"
        )


def _token_line(record: TokenRecord) -> str:
    facts = [
        record.id,
        record.project or "root",
        f"issued {_day(record.issued)}",
        f"last used {_day(record.last_used)}" if record.last_used else "never used",
    ]
    if record.revoked:
        facts.append(f"revoked {_day(record.revoked)}")
    if record.description:
        # Whose terminal this is has not written it: no line break, no escape sequence.
        plain = " ".join(record.description.split())
        facts.append("".join(character for character in plain if character.isprintable()))
    return "  ".join(facts)


def _day(timestamp: int) -> str:
    return datetime.fromtimestamp(timestamp, UTC).date().isoformat()


async def _check_registered(collector: Collector, name: str) -> None:
    if not await collector.projects.is_registered(name):
        raise CollectorError(
            f"{name} is not registered in {collector.description}: "
            f"run `migas project add {name}` first"
        )


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
