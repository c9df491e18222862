"""`migas db`: how a database is looked after."""

from __future__ import annotations

import io
import sys

from migas.collector.admin.command import add, day, group, opened

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from migas.collector.admin.command import Answer, Subparsers


def register(subparsers: Subparsers) -> None:
    """Add it."""
    commands = group(subparsers, "db", "look after your server's database")
    add(commands, "upgrade", _upgrade, "bring it up to date, as `serve` does by itself")
    add(commands, "rebuild", _rebuild, "count everything anew, and compare")
    summary = "write breadcrumbs to stdout as CSV, or as JSON line by line"
    export = add(commands, "export", _export, summary)
    export.add_argument("--project", metavar="owner/repo", help="only those of this one")
    export.add_argument("--since", metavar="YYYY-MM-DD", help="only those of this day and later")


async def _upgrade(options: Namespace) -> Answer:
    from migas.collector.migrations.migrate import upgrade_url

    was, now, name = await upgrade_url(options.db)
    text = f"{name} was brought from step {was or 'none'} to step {now}"
    if was == now:
        text = f"{name} is up to date (step {now})"
    return {"database": name, "was": was or None, "step": now}, text


async def _rebuild(options: Namespace) -> Answer:
    from migas.collector.counts.rebuild import rebuild

    async with opened(options.db) as collector, collector.connections.writing() as connection:
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


async def _export(options: Namespace) -> Answer:
    from migas.collector.admin.export import export

    first = day(options.since)
    async with opened(options.db, options.project) as collector:
        if isinstance(sys.stdout, io.TextIOWrapper):
            # Whatever the terminal's language: a file is read elsewhere.
            sys.stdout.reconfigure(encoding="utf-8", newline="")
        await export(collector.reports, sys.stdout, options.project, first, as_json=options.json)
    return None, ""
