"""What an operator does from the command line, a function for each command of `commands`.

Whatever cannot be done raises a CollectorError, whose message is for the operator.
"""

from __future__ import annotations

import asyncio
import inspect
import io
import json
import os
import re
import sys
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, fields
from datetime import date
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import urlsplit

from migas.collector.admin.export import export
from migas.collector.admin.stdout import say
from migas.collector.collector import Collector
from migas.collector.counts.filters import Filter
from migas.collector.counts.rebuild import rebuild
from migas.collector.counts.tables import ROWS, Tables, as_csv, plain
from migas.collector.database.engine import default_url, describe, engine_url
from migas.collector.database.tables import MAX_PROJECT_CHARS
from migas.collector.days import Period, moment
from migas.collector.errors import CollectorError
from migas.collector.ingestion.crumb import is_storable
from migas.collector.migrations.migrate import upgrade_url
from migas.collector.projects.moves import breadcrumbs_of, facts, has_rows, rename_rows, unregister
from migas.collector.projects.names import is_project_name
from migas.collector.projects.projects import MEMORY_SECONDS
from migas.collector.projects.versions import strict_version
from migas.collector.tokens import FEED

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import AsyncIterator, Callable, Coroutine, Sequence

    from migas.collector.tokens import TokenRecord

Answer: TypeAlias = tuple[Any, str]
"""What came of it: a value for `--json`, None where all is said already, and a text for people."""

_MAX_CELL = 60
_TABLES: dict[str, tuple[str, Any]] = {
    "version": ("versions", "day"),
    "error": ("errors", "day"),
    "duration": ("durations", "week"),
}

_TIMES = ("registered", "first", "last")
MAX_URL_CHARS = 1000
_URL = re.compile(r"(?=[!-~]+\Z)https?://[^@/?#]+([/?].*)?")
_PACKAGE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,98}[A-Za-z0-9])?")


def action(work: Callable[..., Coroutine[Any, Any, Answer]]) -> Callable[[Namespace], Answer]:
    """Have a coroutine take the database's URL and what else it names from a command's options."""
    _, *names = inspect.signature(work).parameters

    def run(options: Namespace) -> Answer:
        return asyncio.run(work(_url(options), **{name: getattr(options, name) for name in names}))

    return run


def serve(options: Namespace) -> Answer:
    """Run a collector until it is told to stop."""
    from migas.collector.server.serve import Settings, serve

    settings = Settings(
        database=_url(options),
        host=options.host,
        port=_number(options.port, 0, 65535, "port"),
        open_registration=options.open,
        workers=_number(options.workers, 1, 1000, "number of workers"),
        certificate=options.ssl_certfile,
        key=options.ssl_keyfile,
        proxies=options.forwarded_allow_ips,
        limit=_number(options.rate_limit, 0, 10**9, "rate limit"),
        retain_days=None
        if options.retain is None
        else _number(options.retain.removesuffix("d"), 1, 36500, "number of days"),
        package_index=options.package_index,
        access_log=options.access_log,
        root_path=options.root_path.removesuffix("/"),
    )

    def announce(url: str, database: str) -> None:
        told = json.dumps({"url": url, "database": database})
        line = f"migas collector on {url} (database {database})"
        say(f"{told if options.json else line}\n")

    serve(settings, announce)
    return None, ""


@action
async def project_add(database: str, projects: Sequence[str]) -> Answer:
    """Take breadcrumbs of these projects from now on; known ones stay as they are."""
    for name in projects:
        _check_name(name)
    async with Collector.open(database) as collector:
        known = await collector.projects.names()
        await collector.projects.register(projects)
    lines = [
        f"{name} was registered already" if name in known else f"{name} is registered"
        for name in projects
    ]
    new = [name for name in projects if name not in known]
    return {"projects": projects, "new": new}, "\n".join(lines)


@action
async def project_list(database: str, json: bool) -> Answer:
    """The registered projects: names, newest versions and flagged ones; for JSON all there is."""
    async with _opened(database) as collector:
        releases = await collector.projects.releases(names := await collector.projects.names())
        known: dict[str, dict[str, Any]] = {}
        if json:
            async with collector.connections.reading() as connection:
                known = await facts(connection)
    told, lines = [], []
    for name in names:
        newest, flagged = releases[name].named, releases[name].flagged
        told.append({"project": name, "latest": newest or None, "flagged": flagged})
        told[-1] |= {
            fact: moment(value).isoformat() if value and fact in _TIMES else value
            for fact, value in known.get(name, {}).items()
        }
        flags = f"  flagged: {', '.join(flagged)}" if flagged else ""
        lines.append(f"{name}  {newest}{flags}" if newest else name)
    return {"projects": told}, "\n".join(lines)


@action
async def project_release(database: str, project: str, version: str, flag: Sequence[str]) -> Answer:
    """Name a project's newest version, and versions to flag beside those flagged before."""
    newest, *flagged = [_version(text) for text in (version, *flag)]
    async with _opened(database, project) as collector:
        await collector.projects.set_release(project, newest, flagged)
    text = f"{project}: {newest} is the newest version"
    if flagged:
        text += f"; flagged from now on: {', '.join(flagged)}"
    return {"project": project, "latest": newest, "flagged": flagged}, text


@action
async def project_package(database: str, project: str, package: str | None) -> Answer:
    """Say under which name a package index knows a project; None for none."""
    if package is not None and not _PACKAGE.fullmatch(package):
        raise CollectorError(f"{package!r} is no name of a package: write one like fmriprep")
    async with _opened(database, project) as collector:
        await collector.projects.set_package(project, package)
    text = f"{project} is called {package} in the package index"
    if package is None:
        text = f"no package index is asked for {project}"
    return {"project": project, "package": package}, text


@action
async def project_remove(database: str, project: str, yes: bool) -> Answer:
    """Take no more breadcrumbs of a project, and delete all it has, tokens included."""
    async with _opened_for_move(database, project) as collector:
        async with collector.connections.reading() as connection:
            number = await breadcrumbs_of(connection, project)
        if number and not yes:
            raise CollectorError(
                f"{project} has {number:,} breadcrumbs, which go with it: say so with --yes"
            )
        await collector.connections.transact(partial(unregister, project))
        await asyncio.sleep(MEMORY_SECONDS)
        removed = await collector.removal.forget_project(project)
    text = (
        f"{project} is removed with all it had; breadcrumbs: {removed.breadcrumbs:,}, "
        f"users whom no other project knows: {removed.users:,}"
    )
    return {"project": project} | removed._asdict(), text


@action
async def project_rename(database: str, project: str, new: str) -> Answer:
    """Give a project, and all it has, another name, which has nothing yet."""
    _check_name(new)
    async with _opened_for_move(database, project) as collector:
        async with collector.connections.reading() as connection:
            if await has_rows(connection, new):
                raise CollectorError(f"there is something under the name {new} already")
        transact = collector.connections.transact
        registration = await transact(partial(unregister, project))
        await asyncio.sleep(MEMORY_SECONDS)
        registration = registration or {"registered": collector.clock.now()}
        number = await transact(partial(rename_rows, project, new, registration))
    text = (
        f"{project} is called {new} from now on, and so are its {number:,} breadcrumbs;"
        f" what still comes as {project} is counted there"
    )
    return {"project": new, "was": project, "breadcrumbs": number}, text


@action
async def project_notify(database: str, project: str, url: str | None, *, remove: bool) -> Answer:
    """Have a project's news posted to an address, or no more; then those that are told."""
    if remove and url is None:
        raise CollectorError("say which one is told no more: write its URL, too")
    if url is not None:
        _check_webhook(url)
    async with _opened(database, project) as collector:
        text = ""
        if url is not None and remove:
            if not await collector.webhooks.remove(project, url):
                raise CollectorError(f"nobody at that address is told of {project}")
            text = f"that address is told no more of {project}"
        elif url is not None:
            is_new = await collector.webhooks.add(project, url)
            text = f"that address is told of {project} {'from now on' if is_new else 'already'}"
        told = await collector.webhooks.of(project)
    if url is None:
        lines = [f"{url}  failed {failures} times" if failures else url for url, failures in told]
        text = "\n".join(lines) or f"nobody is told of {project}"
    addresses = [{"url": url, "failures": failures} for url, failures in told]
    return {"project": project, "webhooks": addresses}, text


@action
async def project_share(database: str, project: str) -> Answer:
    """Show a project's totals to everybody."""
    async with _opened(database, project) as collector:
        await collector.totals.share(project, shared=True)
    page = f"/share/{project}"
    text = f"{project} shows its totals to everybody, at {page} and {page}/badge.svg"
    return {"project": project, "shared": True, "page": page}, text


@action
async def project_unshare(database: str, project: str) -> Answer:
    """Show a project's totals to nobody who has no token."""
    async with _opened(database, project) as collector:
        await collector.totals.share(project, shared=False)
    return {"project": project, "shared": False}, f"{project} shows nothing without a token"


@action
async def token_issue(
    database: str, project: str | None, description: str | None, *, feed: bool
) -> Answer:
    """Make a token for a project, or a root token without one; it is shown nowhere else."""
    if feed and project is None:
        raise CollectorError("a feed is that of one project: name it in place of --root")
    if description is not None and not is_storable(description):
        raise CollectorError("the description has a character that no database holds")
    async with _opened(database, project) as collector:
        token = await collector.tokens.issue(project, description, FEED if feed else None)
    return {"token": token}, token


@action
async def token_list(database: str) -> Answer:
    """The tokens, revoked ones too: ids, what they read, when they were used, and for whom."""
    async with _opened(database) as collector:
        records = await collector.tokens.records()
    return {"tokens": [asdict(record) for record in records]}, "\n".join(map(_line, records))


@action
async def token_revoke(database: str, token: str) -> Answer:
    """End a token, given whole or by its id."""
    async with _opened(database) as collector:
        if not await collector.tokens.revoke(token):
            raise CollectorError("there is no such token: `migas token list` shows their ids")
    return {"revoked": True}, "the token is revoked, and opens nothing any more"


@action
async def report(
    database: str, project: str, *, since: str | None, until: str | None, by: str, csv: bool
) -> Answer:
    """A project's versions, errors, durations, or sessions by time, as a table."""
    async with _opened(database, project) as collector:
        today = collector.clock.today()
        name, step = _TABLES.get(by, ("sessions", by))
        last, first = _day(until), _day(since)
        try:
            period = Period.asked(first, last, today, step)
        except ValueError as error:
            raise CollectorError(str(error)) from error
        tables = Tables(collector.reports, project, period, Filter(), today)
        rows = await getattr(tables, name)()
    if csv:
        return plain(rows), as_csv(name, rows).rstrip("\n")
    return {name: plain(rows)}, _aligned(name, plain(rows))


@action
async def db_upgrade(database: str) -> Answer:
    """Bring a database up to date."""
    was, now, name = await upgrade_url(database)
    text = f"{name} was brought from step {was or 'none'} to step {now}"
    if was == now:
        text = f"{name} is up to date (step {now})"
    return {"database": name, "was": was or None, "step": now}, text


@action
async def db_rebuild(database: str) -> Answer:
    """Make sessions, users and counts anew from the breadcrumbs."""
    async with _opened(database) as collector, collector.connections.writing() as connection:
        found = await connection.run_sync(rebuild)
    lines = []
    for name, number, wrong in (
        ("sessions", found.sessions, found.wrong_sessions),
        ("users", found.users, found.wrong_users),
        ("counts", found.counts, found.wrong_counts),
        ("failures by their errors", found.errors, found.wrong_errors),
    ):
        verdict = f"{wrong:,} were wrong and are right now" if wrong else "all were right"
        lines.append(f"{number:,} {name} counted anew: {verdict}")
    return found._asdict(), "\n".join(lines)


@action
async def db_export(database: str, project: str | None, since: str | None, json: bool) -> Answer:
    """Write breadcrumbs to stdout, of one project or all, since a day or ever."""
    first = _day(since)
    async with _opened(database, project) as collector:
        if isinstance(sys.stdout, io.TextIOWrapper):
            # Whatever the terminal's language: a file is read elsewhere.
            sys.stdout.reconfigure(encoding="utf-8", newline="")
        await export(collector.reports, sys.stdout, project, first, as_json=json)
    return None, ""


def _url(options: Namespace) -> str:
    return options.db or os.environ.get("MIGAS_DB") or default_url()


@asynccontextmanager
async def _opened(database: str, project: str | None = None) -> AsyncIterator[Collector]:
    """A database that is there, and one where a project is registered, if one is named.

    To make a database where a path is misspelt would hide the mistake.
    """
    if project is not None:
        _check_name(project)
    _check_exists(database)
    async with Collector.open(database) as collector:
        if project is not None and not await collector.projects.is_registered(project):
            raise CollectorError(
                f"{project} is not registered in {collector.description}: "
                f"run `migas project add {project}` first"
            )
        yield collector


@asynccontextmanager
async def _opened_for_move(database: str, project: str) -> AsyncIterator[Collector]:
    """A database in which a project has something: one that was interrupted may be the rest.

    Other processes may take breadcrumbs of a project for `MEMORY_SECONDS` after it was registered
    no more. Whatever comes in this time shall go with the rest.
    """
    _check_name(project)
    async with _opened(database) as collector:
        async with collector.connections.reading() as connection:
            if not await has_rows(connection, project):
                raise CollectorError(f"there is nothing under the name {project}")
        yield collector


def _check_exists(database: str) -> None:
    url = engine_url(database)
    if url.get_backend_name() == "sqlite" and not os.path.exists(url.database or ""):
        raise CollectorError(
            f"there is no database {describe(url)}: name another one with --db, "
            "or make this one with `migas project add owner/repo`"
        )


def _line(record: TokenRecord) -> str:
    """A token as an operator sees it; times are days in UTC."""
    issued, used, revoked = (
        time and moment(time).date().isoformat()
        for time in (record.issued, record.last_used, record.revoked)
    )
    opens = f"{record.scope} of {record.project}" if record.scope else record.project or "root"
    facts = [record.id, opens, f"issued {issued}"]
    facts.append(f"last used {used}" if used else "never used")
    if revoked:
        facts.append(f"revoked {revoked}")
    if record.description:
        # Whose terminal this is has not written it: no line break, no escape sequence.
        plain = " ".join(record.description.split())
        facts.append("".join(character for character in plain if character.isprintable()))
    return "  ".join(facts)


def _aligned(name: str, rows: Sequence[dict[str, Any]]) -> str:
    """A table in columns, for a terminal: its texts are of strangers, and shown in one line."""
    if not rows:
        return "there is nothing to count in these days"
    heads = [field.name for field in fields(ROWS[name])]
    lines = [heads, *([_printable(row[head]) for head in heads] for row in rows)]
    widths = [max(len(line[number]) for line in lines) for number in range(len(heads))]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def _printable(value: object) -> str:
    if value is None:
        return "-"
    plain = " ".join(str(value).split())[:_MAX_CELL]
    return "".join(character for character in plain if character.isprintable())


def _day(text: str | None) -> date | None:
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError:
        raise CollectorError(f"{text!r} is no day: write one like 2026-01-31") from None


def _number(text: str, least: int, most: int, meaning: str) -> int:
    if not text.isdecimal() or not least <= int(text) <= most:
        raise CollectorError(f"{text!r} is no {meaning}: give a number from {least} to {most}")
    return int(text)


def _check_name(name: str) -> None:
    if not is_project_name(name):
        raise CollectorError(
            f"{name!r} is no project name: write owner/repo in letters, digits, '.', '_' and '-', "
            f"at most {MAX_PROJECT_CHARS} characters"
        )


def _check_webhook(url: str) -> None:
    """Take an address that can be posted to; a password in it would be sent to nobody."""
    if len(url) > MAX_URL_CHARS or not _URL.fullmatch(url) or not _has_port(url):
        raise CollectorError(
            "that is no address to post to: write one like https://chat.example/hooks/tool,"
            f" without a name or a password, at most {MAX_URL_CHARS} characters"
        )


def _has_port(url: str) -> bool:
    with suppress(ValueError):
        return urlsplit(url).port != 0
    return False


def _version(text: str) -> str:
    try:
        return strict_version(text)
    except ValueError:
        raise CollectorError(f"{text!r} is no PEP 440 version: write one like 1.2.0") from None
