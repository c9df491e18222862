"""The collector's part of the `migas` command: `migas serve` and `migas project`.

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

_OWN = ("migas",)
_DB_HELP = (
    "sqlite:///relative/path or sqlite:////absolute/path "
    "(default: $MIGAS_DB, then a file in your data folder)"
)


def register(subparsers: Subparsers) -> None:
    """Add `serve` and `project` to the `migas` command.

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
    serve.set_defaults(run=_guarded(_serve))

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


def _add_db(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--db", metavar="URL", help=_DB_HELP)


def _guarded(command: Command) -> Callable[[argparse.Namespace], int]:
    """A command that ends with one line and exit status 2 where it would raise."""

    def run(options: argparse.Namespace) -> int:
        try:
            from .errors import CollectorError

            try:
                command(options)
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
    from .database import default_url

    return options.db or os.environ.get("MIGAS_DB") or default_url()


def _serve(options: argparse.Namespace) -> None:
    from .errors import CollectorError
    from .server import serve

    if not options.port.isdecimal():
        raise CollectorError(f"{options.port!r} is no port: give a number from 0 to 65535")
    serve(
        _database(options),
        host=options.host,
        port=int(options.port),
        open_registration=options.open,
    )


def _project_add(options: argparse.Namespace) -> None:
    from .manage import add_projects

    add_projects(_database(options), options.projects)


def _project_list(options: argparse.Namespace) -> None:
    from .manage import list_projects

    for line in list_projects(_database(options)):
        sys.stdout.write(line + "\n")


def _project_release(options: argparse.Namespace) -> None:
    from .manage import release_project

    release_project(_database(options), options.project, options.version, options.flag)
