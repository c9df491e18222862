"""`migas token`: who may read a server."""

from __future__ import annotations

from migas.collector.admin.command import add, group, one_line, opened, told_times
from migas.collector.errors import CollectorError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from migas.collector.admin.command import Answer, Subparsers
    from migas.collector.tokens import TokenRecord

_TIMES = ("issued", "last_used", "revoked")


def register(subparsers: Subparsers) -> None:
    """Add the command and its own."""
    tokens = group(subparsers, "token", "who may read your server")
    issue = add(tokens, "issue", _issue, "make a token, and show it this once")
    reads = issue.add_mutually_exclusive_group(required=True)
    reads.add_argument("project", nargs="?", metavar="owner/repo", help="what it reads")
    reads.add_argument("--root", action="store_true", help="it reads everything and administers")
    issue.add_argument("--description", metavar="TEXT", help="whose it is")
    issue.add_argument(
        "--feed", action="store_true", help="it opens the project's feed of news, and nothing else"
    )
    add(tokens, "list", _list, "show tokens by their ids, and when they were used")
    add(tokens, "revoke", _revoke, "end a token").add_argument(
        "token", help="its id, or the whole of it"
    )


async def _issue(options: Namespace) -> Answer:
    from migas.collector.ingestion.crumb import is_storable
    from migas.collector.tokens import FEED

    project, description = options.project, options.description
    if options.feed and project is None:
        raise CollectorError("a feed is that of one project: name it in place of --root")
    if description is not None and not is_storable(description):
        raise CollectorError("the description has a character that no database holds")
    async with opened(options.db, project) as collector:
        token = await collector.tokens.issue(project, description, FEED if options.feed else None)
    return {"token": token}, token


async def _list(options: Namespace) -> Answer:
    from dataclasses import asdict

    async with opened(options.db) as collector:
        records = await collector.tokens.records()
    told = [told_times(asdict(record), _TIMES) for record in records]
    return {"tokens": told}, "\n".join(map(_line, records))


async def _revoke(options: Namespace) -> Answer:
    async with opened(options.db) as collector:
        if not await collector.tokens.revoke(options.token):
            raise CollectorError("there is no such token: `migas token list` shows their ids")
    return {"revoked": True}, "the token is revoked, and opens nothing any more"


def _line(record: TokenRecord) -> str:
    """A token as an operator sees it; times are days in UTC."""
    from migas.collector.days import moment

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
        facts.append(one_line(record.description))
    return "  ".join(facts)
