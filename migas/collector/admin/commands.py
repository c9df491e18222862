"""The collector's part of the `migas` command line: `serve`, `project`, `token`, `report` and `db`.

Only the standard library is imported here, so that the command line works without the extra.
"""

from __future__ import annotations

import json
import sys
from functools import partial

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001  argparse gives it no public name

WRONG = 2
"""The exit status for a command that cannot be carried out as it was given."""

_PACKAGE_INDEX = "https://pypi.org"
_OWN = ("migas",)
_DB_HELP = (
    "sqlite:///relative/path or sqlite:////absolute/path "
    "(default: $MIGAS_DB, then a file in your data folder)"
)


def register(subparsers: Subparsers) -> None:
    """Add `serve`, `project`, `token`, `report` and `db` to the `migas` command.

    Each leaves `run` in the parsed options: a function that takes them and returns the exit
    status, 0, or 2 after one line on stderr.

    Args:
        subparsers: What `ArgumentParser.add_subparsers()` returned.
    """
    serve = _add(subparsers, "", "serve", "run a migas server of your own")
    serve.add_argument("--host", default="127.0.0.1", help="default: %(default)s")
    serve.add_argument("--port", default="8080", help="0 takes a free one; default: %(default)s")
    serve.add_argument(
        "--open", action="store_true", help="register unknown projects at their first breadcrumb"
    )
    serve.add_argument("--workers", default="1", metavar="N", help="processes (default: 1)")
    serve.add_argument(
        "--ssl-certfile", metavar="FILE", help="answer over TLS with this certificate"
    )
    serve.add_argument("--ssl-keyfile", metavar="FILE", help="its key, where it is in another file")
    serve.add_argument(
        "--forwarded-allow-ips",
        metavar="IPS",
        help="proxies whose X-Forwarded-For is believed, as in 127.0.0.1",
    )
    serve.add_argument(
        "--access-log",
        action="store_true",
        help="write a line of JSON to stdout for each request; no address is in it",
    )
    serve.add_argument(
        "--root-path",
        default="",
        metavar="PATH",
        help="the path of a shared host below which a proxy has it, as in /migas",
    )
    serve.add_argument(
        "--rate-limit",
        default="1000",
        metavar="N",
        help="requests an address may make in 60 s, 0 for any number (default: %(default)s)",
    )
    serve.add_argument(
        "--retain", metavar="DAYS", help="delete sessions that began longer ago, as in 365d"
    )
    serve.add_argument(
        "--package-index",
        nargs="?",
        const=_PACKAGE_INDEX,
        metavar="URL",
        help="read the newest versions of packages there (without a URL: %(const)s); "
        "see `migas project package`",
    )

    _register_projects(subparsers)
    token = _group(subparsers, "token", "who may read your server")
    issue = token("issue", "make a token, and show it this once")
    reads = issue.add_mutually_exclusive_group(required=True)
    reads.add_argument("project", nargs="?", metavar="owner/repo", help="what it reads")
    reads.add_argument("--root", action="store_true", help="it reads everything and administers")
    issue.add_argument("--description", metavar="TEXT", help="whose it is")
    issue.add_argument(
        "--feed", action="store_true", help="it opens the project's feed of news, and nothing else"
    )
    token("list", "show tokens by their ids, and when they were used")
    token("revoke", "end a token").add_argument("token", help="its id, or the whole of it")

    report = _add(subparsers, "", "report", "count the runs that your server knows of")
    report.add_argument("project", metavar="owner/repo")
    report.add_argument("--since", metavar="YYYY-MM-DD", help="the first day (default: 30 of them)")
    report.add_argument("--until", metavar="YYYY-MM-DD", help="the last day (default: today)")
    report.add_argument(
        "--by",
        choices=("version", "error", "duration", "day", "week", "month"),
        default="version",
        help="default: %(default)s",
    )
    report.add_argument("--csv", action="store_true", help="print the table as CSV")

    database = _group(subparsers, "db", "look after your server's database")
    database("upgrade", "bring it up to date, as `serve` does by itself")
    database("rebuild", "count everything anew, and compare")
    export = database("export", "write breadcrumbs to stdout as CSV, or as JSON line by line")
    export.add_argument("--project", metavar="owner/repo", help="only those of this one")
    export.add_argument("--since", metavar="YYYY-MM-DD", help="only those of this day and later")


def _register_projects(subparsers: Subparsers) -> None:
    project = _group(subparsers, "project", "the projects that your server knows")
    add = project("add", "take breadcrumbs of a project")
    add.add_argument("projects", nargs="+", metavar="owner/repo")
    project("list", "show projects, newest versions and flagged ones; with --json more")
    remove = project("remove", "take no more breadcrumbs of a project, and delete all it has")
    remove.add_argument("project", metavar="owner/repo")
    remove.add_argument("--yes", action="store_true", help="delete its breadcrumbs, too")
    rename = project("rename", "give a project, and all it has, another name")
    rename.add_argument("project", metavar="owner/repo")
    rename.add_argument("new", metavar="owner/new", help="its name from now on")
    release = project("release", "say which version of a project is the newest")
    release.add_argument("project", metavar="owner/repo")
    release.add_argument("version", help="the newest version, as in 1.2.0")
    release.add_argument(
        "--flag",
        action="extend",
        nargs="+",
        default=[],
        metavar="VERSION",
        help="a version that should no longer be used",
    )
    package = project("package", "say what a package index calls a project")
    package.add_argument("project", metavar="owner/repo")
    package.add_argument("package", nargs="?", help="its name there; none without it")
    notify = project("notify", "say who is told of a project's news; without a URL show who is")
    notify.add_argument("project", metavar="owner/repo")
    notify.add_argument("url", nargs="?", metavar="URL", help="where JSON is posted to")
    notify.add_argument("--remove", action="store_true", help="tell this one nothing more")
    share = project("share", "show everybody a page of a project's totals, and a badge")
    share.add_argument("project", metavar="owner/repo")
    unshare = project("unshare", "show them to nobody any more")
    unshare.add_argument("project", metavar="owner/repo")


def _group(
    subparsers: Subparsers, name: str, summary: str
) -> Callable[[str, str], argparse.ArgumentParser]:
    """A command that has commands of its own; what is returned adds one, by name and summary."""
    parser = subparsers.add_parser(name, help=summary)
    return partial(_add, parser.add_subparsers(required=True, metavar="ACTION"), f"{name}_")


def _add(subparsers: Subparsers, prefix: str, name: str, summary: str) -> argparse.ArgumentParser:
    """A command that runs the function of the same name in `manage`."""
    parser = subparsers.add_parser(name, help=summary)
    parser.add_argument("--db", metavar="URL", help=_DB_HELP)
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.set_defaults(run=partial(_run, prefix + name))
    return parser


def _run(action: str, options: argparse.Namespace) -> int:
    """Run an action and print its answer; say in one line where it would raise."""
    try:
        from migas.collector.admin import manage, stdout
        from migas.collector.errors import CollectorError

        stdout.allow_any_text()
        try:
            try:
                told, text = getattr(manage, action)(options)
                said = json.dumps(told) if options.json and told is not None else text
                stdout.say(said and f"{said}\n")
            finally:
                stdout.say()
        except CollectorError as error:
            return _complain(str(error))
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] in _OWN:
            raise
        return _complain(f"the collector needs {error.name}: pip install -e '.[collector]'")
    return 0


def _complain(problem: str) -> int:
    line = " ".join(problem.split())
    sys.stderr.write(f"migas: {line}\n")
    return WRONG
