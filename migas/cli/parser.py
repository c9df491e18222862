"""A command line that says what a misspelt command was meant to be."""

from __future__ import annotations

import argparse
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Parser(argparse.ArgumentParser):
    """A parser whose commands, and those below them, are told apart with some indulgence."""

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Refuse what is no command; where one is near, name it and show how it is used."""
        if isinstance(action.choices, dict) and value not in action.choices:
            from difflib import get_close_matches

            for near in get_close_matches(value, action.choices, 1):
                action.choices[near].print_usage(sys.stderr)
                self.exit(2, f"{self.prog}: no command is named {value!r}; {near!r} is\n")
        super()._check_value(action, value)
