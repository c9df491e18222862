"""The one line that tells a user, once and on a terminal, that runs are reported."""

from __future__ import annotations

import os
import sys

from migas import log
from migas.host import files, terminal

_MARKER = "notice_shown"


def tell_once(folder: str) -> None:
    """Tell a user once that runs are reported, before anything is sent.

    Args:
        folder: The user's configuration folder, where it is noted that they know.
    """
    stream = terminal.standard_error()
    if stream is None or not _is_first(folder):
        return
    stream.write(
        f"{_program()} reports anonymously how its runs end (see it: migas show; "
        "turn it off: migas optout, or set MIGAS_OPTOUT=1).\n"
    )
    stream.flush()


def _is_first(folder: str) -> bool:
    """Whether this user was not told yet; of simultaneous first runs one may say so."""
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        files.write_new(os.path.join(folder, _MARKER), b"")
    except FileExistsError:
        return False
    except OSError as error:
        log.debug("it cannot be noted that the user was told: %s", error)
    return True


def _program() -> str:
    name = os.path.basename(sys.argv[0]) if sys.argv and sys.argv[0] else ""
    return name if name and name not in ("-c", "-m") and name.isprintable() else "This program"
