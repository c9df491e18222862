"""The `migas` command: what people who run, instrument or collect for a program need by hand."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    import argparse

    import migas
    from migas.cli import controls
    from migas.cli.parser import Parser
    from migas.cli.supervise import register as register_run
    from migas.collector.admin import database, project, report, serve, token

    parser: argparse.ArgumentParser = Parser(
        prog="migas",
        description="Tell the makers of a program how its runs really end.",
        epilog=_settings(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"migas {migas.__version__}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    controls.register(subparsers)
    register_run(subparsers)
    demo = subparsers.add_parser(
        "demo",
        help="see six programs end, each reported to a server on this machine",
        description="Start a collector over a temporary database, run programs that end in "
        "different ways, and show what the server stored of each.",
    )
    demo.add_argument(
        "--serve",
        action="store_true",
        help="instead, look at a year of two invented projects in a browser",
    )
    demo.set_defaults(run=_demo)
    for room in (serve, project, token, report, database):
        room.register(subparsers)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: The command line without the program's name; by default the process's own.

    Returns:
        0 when it did what was asked, 1 when the server said no or could not be reached, 2 for
        what was wrong with the command line or this machine; `run` returns its program's own.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    if given[:1] == ["run"]:
        # A program is waiting to be started: nothing else is loaded first.
        from migas.cli.supervise import main as run_program

        return run_program(given[1:])
    options = build_parser().parse_args(given)
    try:
        status: int = options.run(options)
        return status
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read our output has left; the interpreter must not complain at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _settings() -> str:
    """Every variable and every key of the policy files, with what it means."""
    from migas import settings

    def lines(rows: Mapping[str, settings.Setting]) -> str:
        return "\n".join(f"  {name:16} {row.meaning}" for name, row in rows.items())

    return (
        f"environment variables:\n{lines(settings.VARIABLES)}\n\n"
        "keys of ~/.config/migas/config.toml, and of /etc/xdg/migas/config.toml for a whole site:\n"
        f"{lines(settings.KEYS)}"
    )


def _demo(options: argparse.Namespace) -> int:
    from migas.cli import demo

    return demo.serve() if options.serve else demo.run()


if __name__ == "__main__":
    sys.exit(main())
