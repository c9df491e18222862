"""`migas project`: the projects that a server knows, and what is said, moved and told of one."""

from __future__ import annotations

import re
from contextlib import asynccontextmanager
from functools import partial

from migas.collector.admin.command import add, check_name, group, opened, suggestion, told_times
from migas.collector.errors import CollectorError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import AsyncIterator
    from typing import Any

    from migas.collector.admin.command import Answer, Subparsers
    from migas.collector.collector import Collector

_TIMES = ("registered", "first", "last")
MAX_URL_CHARS = 1000
_URL = re.compile(r"(?=[!-~]+\Z)https?://[^@/?#]+([/?].*)?")
_PACKAGE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,98}[A-Za-z0-9])?")


def register(subparsers: Subparsers) -> None:
    """Add the command and its own."""
    commands = group(subparsers, "project", "the projects that your server knows")
    new = add(commands, "add", _add, "take breadcrumbs of a project")
    new.add_argument("projects", nargs="+", metavar="owner/repo")
    summary = "show projects, newest versions and flagged ones; with --json more"
    add(commands, "list", _list, summary)

    one = partial(add, commands, of_project=True)
    summary = "take no more breadcrumbs of a project, and delete all it has"
    remove = one("remove", _remove, summary)
    remove.add_argument("--yes", action="store_true", help="delete its breadcrumbs, too")
    rename = one("rename", _rename, "give a project, and all it has, another name")
    rename.add_argument("new", metavar="owner/new", help="its name from now on")
    release = one("release", _release, "say which version of a project is the newest")
    release.add_argument("version", help="the newest version, as in 1.2.0")
    release.add_argument(
        "--flag",
        action="extend",
        nargs="+",
        default=[],
        metavar="VERSION",
        help="a version that should no longer be used",
    )
    package = one("package", _package, "say what a package index calls a project")
    package.add_argument("package", nargs="?", help="its name there; none without it")
    summary = "say who is told of a project's news; without a URL show who is"
    notify = one("notify", _notify, summary)
    notify.add_argument("url", nargs="?", metavar="URL", help="where JSON is posted to")
    notify.add_argument("--remove", action="store_true", help="tell this one nothing more")
    summary = "show everybody a page of a project's totals, and a badge"
    one("share", _share, summary).set_defaults(shared=True)
    one("unshare", _share, "show them to nobody any more").set_defaults(shared=False)


async def _add(options: Namespace) -> Answer:
    from migas.collector.collector import Collector

    projects = options.projects
    for name in projects:
        check_name(name)
    async with Collector.open(options.db) as collector:
        known = await collector.projects.names()
        await collector.projects.register(projects)
    lines = [
        f"{name} was registered already" if name in known else f"{name} is registered"
        for name in projects
    ]
    new = [name for name in projects if name not in known]
    return {"projects": projects, "new": new}, "\n".join(lines)


async def _list(options: Namespace) -> Answer:
    from migas.collector.projects.moves import facts

    async with opened(options.db) as collector:
        releases = await collector.projects.releases(names := await collector.projects.names())
        known: dict[str, dict[str, Any]] = {}
        if options.json:
            async with collector.connections.reading() as connection:
                known = await facts(connection)
    told, lines = [], []
    for name in names:
        newest, flagged = releases[name].named, releases[name].flagged
        told.append({"project": name, "latest": newest or None, "flagged": flagged})
        told[-1] |= told_times(known.get(name, {}), _TIMES)
        flags = f"  flagged: {', '.join(flagged)}" if flagged else ""
        lines.append(f"{name}  {newest}{flags}" if newest else name)
    return {"projects": told}, "\n".join(lines)


async def _release(options: Namespace) -> Answer:
    """Name the newest version, and versions to flag beside those flagged before."""
    project = options.project
    newest, *flagged = [_version(text) for text in (options.version, *options.flag)]
    async with opened(options.db, project) as collector:
        await collector.projects.set_release(project, newest, flagged)
    text = f"{project}: {newest} is the newest version"
    if flagged:
        text += f"; flagged from now on: {', '.join(flagged)}"
    return {"project": project, "latest": newest, "flagged": flagged}, text


async def _package(options: Namespace) -> Answer:
    project, package = options.project, options.package
    if package is not None and not _PACKAGE.fullmatch(package):
        raise CollectorError(f"{package!r} is no name of a package: write one like fmriprep")
    async with opened(options.db, project) as collector:
        await collector.projects.set_package(project, package)
    text = f"{project} is called {package} in the package index"
    if package is None:
        text = f"no package index is asked for {project}"
    return {"project": project, "package": package}, text


async def _remove(options: Namespace) -> Answer:
    """Delete all that a project has, tokens included."""
    import asyncio

    from migas.collector.projects.moves import breadcrumbs_of, unregister
    from migas.collector.projects.projects import MEMORY_SECONDS

    project = options.project
    async with _opened_for_move(options) as collector:
        async with collector.connections.reading() as connection:
            number = await breadcrumbs_of(connection, project)
        if number and not options.yes:
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


async def _rename(options: Namespace) -> Answer:
    """Give a project a name which has nothing yet."""
    import asyncio

    from migas.collector.projects.moves import has_rows, rename_rows, unregister
    from migas.collector.projects.projects import MEMORY_SECONDS

    project, new = options.project, options.new
    check_name(new)
    async with _opened_for_move(options) as collector:
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


async def _notify(options: Namespace) -> Answer:
    """Have news posted to an address, or no more; then those that are told."""
    project, url = options.project, options.url
    if options.remove and url is None:
        raise CollectorError("say which one is told no more: write its URL, too")
    if url is not None:
        _check_webhook(url)
    async with opened(options.db, project) as collector:
        text = ""
        if options.remove:
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


async def _share(options: Namespace) -> Answer:
    project, shared = options.project, options.shared
    async with opened(options.db, project) as collector:
        await collector.totals.share(project, shared=shared)
    if not shared:
        return {"project": project, "shared": False}, f"{project} shows nothing without a token"
    page = f"/share/{project}"
    text = f"{project} shows its totals to everybody, at {page} and {page}/badge.svg"
    return {"project": project, "shared": True, "page": page}, text


@asynccontextmanager
async def _opened_for_move(options: Namespace) -> AsyncIterator[Collector]:
    """A database in which a project has something: one that was interrupted may be the rest.

    Other processes may take breadcrumbs of a project for `MEMORY_SECONDS` after it was registered
    no more. Whatever comes in this time shall go with the rest.
    """
    from migas.collector.projects.moves import has_rows

    check_name(options.project)
    async with opened(options.db) as collector:
        async with collector.connections.reading() as connection:
            if not await has_rows(connection, options.project):
                question = await suggestion(collector, options.project)
                told = f"there is nothing under the name {options.project}"
                raise CollectorError(f"{told}: {question}" if question else told)
        yield collector


def _check_webhook(url: str) -> None:
    """Take an address that can be posted to; a password in it would be sent to nobody."""
    from urllib.parse import urlsplit

    try:
        is_one = len(url) <= MAX_URL_CHARS and _URL.fullmatch(url) and urlsplit(url).port != 0
    except ValueError:
        is_one = False
    if not is_one:
        raise CollectorError(
            "that is no address to post to: write one like https://chat.example/hooks/tool,"
            f" without a name or a password, at most {MAX_URL_CHARS} characters"
        )


def _version(text: str) -> str:
    from migas.collector.projects.versions import strict_version

    try:
        return strict_version(text)
    except ValueError:
        raise CollectorError(f"{text!r} is no PEP 440 version: write one like 1.2.0") from None
