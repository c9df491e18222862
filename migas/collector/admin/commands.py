"""The collector's part of the `migas` command: `serve`, `project`, `token` and `db`.

Only the standard library is imported here, so that the command line works without the extra.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001  argparse gives it no public name

    Command = Callable[[argparse.Namespace], None]

WRONG = 2
"""The exit status for a command that cannot be carried out as it was given."""

_PACKAGE_INDEX = "https://pypi.org"
_OWN = ("migas",)
_DB_HELP = (
    "sqlite:///relative/path or sqlite:////absolute/path "
    "(default: $MIGAS_DB, then a file in your data folder)"
)


def register(subparsers: Subparsers) -> None:
    """Add `serve`, `project`, `token` and `db` to the `migas` command.

    Each leaves `run` in the parsed options: a function that takes them and returns the exit
    status, 0, or 2 after one line on stderr.

    Args:
        subparsers: What `ArgumentParser.add_subparsers()` returned.
    """
    serve = subparsers.add_parser("serve", help="run a migas server of your own")
    _add_db(serve)
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
    serve.set_defaults(run=_guarded(_serve))
    _register_project(subparsers)
    _register_token(subparsers)
    _register_db(subparsers)


def _register_project(subparsers: Subparsers) -> None:
    project = subparsers.add_parser("project", help="the projects that your server knows")
    actions = project.add_subparsers(dest="action", required=True, metavar="ACTION")

    add = actions.add_parser("add", help="take breadcrumbs of a project")
    add.add_argument("projects", nargs="+", metavar="owner/repo")
    _add_db(add)
    add.set_defaults(run=_guarded(_project_add))

    listing = actions.add_parser("list", help="show projects, newest versions and flagged ones")
    _add_db(listing)
    listing.set_defaults(run=_guarded(_project_list))

    release = actions.add_parser("release", help="say which version of a project is the newest")
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
    _add_db(release)
    release.set_defaults(run=_guarded(_project_release))

    package = actions.add_parser("package", help="say what a package index calls a project")
    package.add_argument("project", metavar="owner/repo")
    package.add_argument("package", nargs="?", help="its name there; none without it")
    _add_db(package)
    package.set_defaults(run=_guarded(_project_package))


def _register_token(subparsers: Subparsers) -> None:
    token = subparsers.add_parser("token", help="who may read your server")
    actions = token.add_subparsers(dest="action", required=True, metavar="ACTION")

    issue = actions.add_parser("issue", help="make a token, and show it this once")
    reads = issue.add_mutually_exclusive_group(required=True)
    reads.add_argument("project", nargs="?", metavar="owner/repo", help="what it reads")
    reads.add_argument("--root", action="store_true", help="it reads everything and administers")
    issue.add_argument("--description", metavar="TEXT", help="whose it is")
    _add_db(issue)
    issue.set_defaults(run=_guarded(_token_issue))

    listing = actions.add_parser("list", help="show tokens by their ids, and when they were used")
    _add_db(listing)
    listing.set_defaults(run=_guarded(_token_list))

    revoke = actions.add_parser("revoke", help="end a token")
    revoke.add_argument("token", help="its id, or the whole of it")
    _add_db(revoke)
    revoke.set_defaults(run=_guarded(_token_revoke))


def _register_db(subparsers: Subparsers) -> None:
    database = subparsers.add_parser("db", help="look after your server's database")
    actions = database.add_subparsers(dest="action", required=True, metavar="ACTION")

    upgrade = actions.add_parser("upgrade", help="bring it up to date, as `serve` does by itself")
    _add_db(upgrade)
    upgrade.set_defaults(run=_guarded(_db_upgrade))

    rebuild = actions.add_parser("rebuild", help="count everything anew, and compare")
    _add_db(rebuild)
    rebuild.set_defaults(run=_guarded(_db_rebuild))

    export = actions.add_parser("export", help="write breadcrumbs to stdout as CSV")
    export.add_argument("--project", metavar="owner/repo", help="only those of this one")
    export.add_argument("--since", metavar="YYYY-MM-DD", help="only those of this day and later")
    _add_db(export)
    export.set_defaults(run=_guarded(_db_export))


def _add_db(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--db", metavar="URL", help=_DB_HELP)


def _guarded(command: Command) -> Callable[[argparse.Namespace], int]:
    """A command that ends with one line and exit status 2 where it would raise."""

    def run(options: argparse.Namespace) -> int:
        try:
            from migas.collector.admin import stdout
            from migas.collector.errors import CollectorError

            stdout.allow_any_text()
            try:
                try:
                    command(options)
                finally:
                    stdout.flush()
            except CollectorError as error:
                return _complain(str(error))
        except ModuleNotFoundError as error:
            if (error.name or "").split(".")[0] in _OWN:
                raise
            return _complain(f"the collector needs {error.name}: pip install -e '.[collector]'")
        return 0

    return run


def _complain(problem: str) -> int:
    line = " ".join(problem.split())
    sys.stderr.write(f"migas: {line}\n")
    return WRONG


def _database(options: argparse.Namespace) -> str:
    from migas.collector.database.engine import default_url

    return options.db or os.environ.get("MIGAS_DB") or default_url()


def _serve(options: argparse.Namespace) -> None:
    from migas.collector.server.serve import Settings, serve

    settings = Settings(
        database=_database(options),
        host=options.host,
        port=_number(options.port, 0, 65535, "port"),
        open_registration=options.open,
        workers=_number(options.workers, 1, 1000, "number of workers"),
        certificate=options.ssl_certfile,
        key=options.ssl_keyfile,
        proxies=options.forwarded_allow_ips,
        limit=_number(options.rate_limit, 0, 10**9, "rate limit"),
        retain_days=_days(options.retain),
        package_index=options.package_index,
    )
    serve(settings)


def _number(text: str, least: int, most: int, meaning: str) -> int:
    from migas.collector.errors import CollectorError

    if not text.isdecimal() or not least <= int(text) <= most:
        raise CollectorError(f"{text!r} is no {meaning}: give a number from {least} to {most}")
    return int(text)


def _days(text: str | None) -> int | None:
    return None if text is None else _number(text.removesuffix("d"), 1, 36500, "number of days")


def _project_add(options: argparse.Namespace) -> None:
    from migas.collector.admin.manage import add_projects

    add_projects(_database(options), options.projects)


def _project_list(options: argparse.Namespace) -> None:
    from migas.collector.admin.manage import list_projects

    for line in list_projects(_database(options)):
        sys.stdout.write(line + "\n")


def _project_release(options: argparse.Namespace) -> None:
    from migas.collector.admin.manage import release_project

    release_project(_database(options), options.project, options.version, options.flag)


def _project_package(options: argparse.Namespace) -> None:
    from migas.collector.admin.manage import name_package

    name_package(_database(options), options.project, options.package)


def _token_issue(options: argparse.Namespace) -> None:
    from migas.collector.admin.manage import issue_token

    token = issue_token(_database(options), options.project, options.description)
    sys.stdout.write(token + "\n")


def _token_list(options: argparse.Namespace) -> None:
    from migas.collector.admin.manage import list_tokens

    for line in list_tokens(_database(options)):
        sys.stdout.write(line + "\n")


def _token_revoke(options: argparse.Namespace) -> None:
    from migas.collector.admin.manage import revoke_token

    revoke_token(_database(options), options.token)


def _db_upgrade(options: argparse.Namespace) -> None:
    from migas.collector.admin.manage import upgrade_database

    sys.stdout.write(upgrade_database(_database(options)) + "\n")


def _db_rebuild(options: argparse.Namespace) -> None:
    from migas.collector.admin.manage import rebuild_database

    found = rebuild_database(_database(options))
    for name, number, wrong in (
        ("sessions", found.sessions, found.wrong_sessions),
        ("users", found.users, found.wrong_users),
        ("daily counts", found.counts, found.wrong_counts),
    ):
        verdict = f"{wrong:,} were wrong and are right now" if wrong else "all were right"
        sys.stdout.write(f"{number:,} {name} counted anew: {verdict}\n")


def _db_export(options: argparse.Namespace) -> None:
    from migas.collector.admin.manage import export_breadcrumbs

    export_breadcrumbs(_database(options), options.project, options.since)
