"""The `migas` command: what people who run, instrument or collect for a program need by hand."""

from __future__ import annotations

import argparse
import json
import os
import sys

import migas
from migas import config

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

FLUSH_SECONDS = 60.0


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    from migas.collector import commands as collector_commands

    parser = argparse.ArgumentParser(
        prog="migas", description="Tell the makers of a program how its runs really end."
    )
    parser.add_argument("--version", action="version", version=f"migas {migas.__version__}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    flush = subparsers.add_parser(
        "flush", help="send now what waits in the spool", description="Send what waits now."
    )
    flush.add_argument(
        "--timeout",
        type=_seconds,
        default=FLUSH_SECONDS,
        metavar="SECONDS",
        help="wait at most this long (default: %(default)g)",
    )
    flush.add_argument("--json", action="store_true", help="print the result as JSON")
    flush.set_defaults(run=_flush)

    demo = subparsers.add_parser(
        "demo",
        help="see six programs end, each reported to a server on this machine",
        description="Start a collector over a temporary database, run programs that end in "
        "different ways, and show what the server stored of each.",
    )
    demo.set_defaults(run=_demo)

    collector_commands.register(subparsers)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: The command line without the program's name; by default the process's own.

    Returns:
        0 when it did what was asked, 1 when the server said no or could not be reached, 2 for
        what was wrong with the command line or this machine.
    """
    options = build_parser().parse_args(arguments)
    try:
        status: int = options.run(options)
        return status
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read our output has left; the interpreter must not complain at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _flush(options: argparse.Namespace) -> int:
    from migas import courier

    refusal = config.refusal(environment_only=True)
    if refusal is not None:
        return _complain(f"Nothing is sent: {refusal}.")
    try:
        delivered, refused, waiting = courier.flush(options.timeout)
    except (OSError, RuntimeError) as error:
        return _complain(f"The spool cannot be used: {error}.")
    if options.json:
        print(json.dumps({"delivered": delivered, "refused": refused, "waiting": waiting}))
    else:
        print(f"{delivered} delivered, {refused} refused by the server, {waiting} still waiting")
    return 1 if waiting else 0


def _demo(_options: argparse.Namespace) -> int:
    from migas import demo

    return demo.run()


def _complain(problem: str) -> int:
    print(f"migas: {problem}", file=sys.stderr)
    return 2


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds, 0 or more")
    return seconds


if __name__ == "__main__":
    sys.exit(main())
