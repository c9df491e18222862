"""The two lines that migas may print, both only when a program asks for them and on a terminal."""

from __future__ import annotations

import os
import sys

from migas import log
from migas.settings import setup as config

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

_FIRST_RUN_MARKER = "notice_shown"


def tell_first_run(folder: str) -> None:
    """Tell a user once that runs are reported, before anything is sent.

    Args:
        folder: The user's configuration folder, where it is noted that they know.
    """
    terminal = _terminal()
    if terminal is None or not _is_first(folder):
        return
    terminal.write(
        f"{_program()} reports anonymously how its runs end (see it: migas show; "
        "turn it off: migas optout, or set MIGAS_OPTOUT=1).\n"
    )
    terminal.flush()


def tell_update(project: str, version: str) -> None:
    """Say that a newer version exists or that this one was flagged, as an earlier answer told.

    Args:
        project: `owner/repo`.
        version: The running version.
    """
    terminal = _terminal()
    if terminal is None or config.settings.is_captured:
        return
    from migas.host import environment
    from migas.spool import releases

    if environment.is_ci():
        return
    known = releases.known(config.state_folder(), project)
    if known is None:
        return
    name = releases.clean(project.rpartition("/")[2])
    if releases.is_flagged(known, version):
        newest = f"; the newest is {known['latest']}" if known["latest"] else ""
        terminal.write(f"{name} {version} has been flagged by its makers{newest}.\n")
    elif releases.is_newer(known["latest"], version):
        terminal.write(f"{name} {known['latest']} is available (this is {version}).\n")


def _terminal() -> TextIO | None:
    """Standard error where a person looks at it."""
    try:
        return sys.stderr if sys.stderr is not None and sys.stderr.isatty() else None
    except Exception:  # noqa: BLE001  stderr may be closed or be anything
        return None


def _is_first(folder: str) -> bool:
    """Whether this user was not told yet; of simultaneous first runs one may say so."""
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        path = os.path.join(folder, _FIRST_RUN_MARKER)
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        return False
    except OSError as error:
        log.debug("it cannot be noted that the user was told: %s", error)
    return True


def _program() -> str:
    name = os.path.basename(sys.argv[0]) if sys.argv and sys.argv[0] else ""
    return name if name and name not in ("-c", "-m") and name.isprintable() else "This program"
