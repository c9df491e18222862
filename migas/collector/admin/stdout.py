"""What commands print: on any terminal, and to a disk that may be full."""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress

from migas.collector.errors import CollectorError


def allow_any_text() -> None:
    """Have stdout write what its encoding lacks as an escape instead of failing."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def say(text: str = "") -> None:
    """Print a text, and write out what was printed before.

    Raises:
        CollectorError: It cannot be written, to a full disk say; then nothing more is tried.
    """
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        _give_up()
        raise unwritable(error) from error


def unwritable(error: OSError) -> CollectorError:
    """What to tell of a failure to write to stdout."""
    return CollectorError(f"cannot write to stdout: {error.strerror}")


def _give_up() -> None:
    """Keep Python from trying to write the rest once more at its end, and complaining then."""
    with suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
