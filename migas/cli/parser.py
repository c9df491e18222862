"""What the commands for a person's machine share: how one is added, tells and complains."""
# ruff: noqa: T201  commands print

from __future__ import annotations

import argparse
import json
import sys

from migas import message
from migas.host.terminal import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, NoReturn

    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001  it has no public name


class Parser(argparse.ArgumentParser):
    """A parser that names the command, or the option, that a misspelt one is near to."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """Take only what is known: each command refuses for itself what it has no option for.

        argparse would have them all refused by the first parser, which knows neither the usage nor
        the options of the command that was meant.
        """
        options, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self._refuse(unknown)
        return options, unknown

    def _refuse(self, unknown: list[str]) -> NoReturn:
        """Say what is unknown; where the first option of it is near another, name that one."""
        from difflib import get_close_matches

        wrong = next((text for text in unknown if text.startswith("-")), "").partition("=")[0]
        # Without their dashes, which all have in common and which would make any two alike.
        known = {name.lstrip("-"): name for name in self._option_string_actions}
        for near in get_close_matches(wrong.lstrip("-"), known, 1):
            self.print_usage(sys.stderr)
            self.exit(2, f"{self.prog}: no option is named {wrong!r}; {known[near]!r} is\n")
        self.error(f"unrecognized arguments: {' '.join(unknown)}")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Refuse what is no command; where one is near, name it and show how it is used."""
        if isinstance(action.choices, dict) and value not in action.choices:
            from difflib import get_close_matches

            for near in get_close_matches(value, action.choices, 1):
                action.choices[near].print_usage(sys.stderr)
                self.exit(2, f"{self.prog}: no command is named {value!r}; {near!r} is\n")
        super()._check_value(action, value)


def add(
    subparsers: Subparsers, name: str, run: Callable[[argparse.Namespace], int], summary: str
) -> argparse.ArgumentParser:
    """Add a command; `run`, which it leaves in the parsed options, returns the exit status."""

    def guarded(options: argparse.Namespace) -> int:
        try:
            return run(options)
        except (OSError, RuntimeError) as error:
            if isinstance(error, BrokenPipeError):
                raise
            return complain(f"{error}.")

    parser: argparse.ArgumentParser = subparsers.add_parser(
        name, help=summary, description=f"{summary[0].upper()}{summary[1:]}."
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.set_defaults(run=guarded)
    return parser


def tell(options: argparse.Namespace, result: Mapping[str, Any], text: str) -> None:
    """Print what came of a command: JSON for programs, or a text for people."""
    print(json.dumps(result) if options.json else printable(text))


def complain(problem: str) -> int:
    """Say in one line what is wrong with the command or this machine; the exit status is 2."""
    print(f"migas: {printable(problem)}", file=sys.stderr)
    return 2


def project_problem(project: str) -> str | None:
    """Why a project is none that a server can know, or None."""
    is_one = message.is_owner_and_repo(project)
    return None if is_one else f"{project!r} is no project; it must be OWNER/REPO."


def counted(number: int, what: str) -> str:
    """So many of something."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"
