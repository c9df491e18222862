"""The layout of the state folder: every name in it, and what may be done to it without reading it.

Older versions share a home with newer ones, so no name here may change its meaning.

    open/<run>      what is sent if nobody hears of the run again
    ready/<crumb>   what waits to be sent
    sending/<claim> what a courier has claimed
    aside/<number>  what is not ours or not valid, never read again
    marks/<process> which signal ended a process
    lease           which courier empties the spool
    servers.json    which servers failed, and until when they are left alone
    releases.json   what servers said of newer versions
    dropped         what was given up, and why
    old             when breadcrumbs were first seen to be too old
    looked          when somebody looked after the runs of other hosts

`<folder>.aside-<random>` is a folder that was found open to others, `<file>.<random>` and
`ready/.<random>` are drafts of a writer, who renames them or is dead.
"""

from __future__ import annotations

import os
import time

from migas import log, message
from migas.host import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

OPEN = "open"
READY = "ready"
SENDING = "sending"
ASIDE = "aside"
MARKS = "marks"
FOLDERS = (OPEN, READY, SENDING, ASIDE, MARKS)

LEASE = "lease"
SERVERS = "servers.json"
RELEASES = "releases.json"
DROPPED = "dropped"
LOOKED = "looked"
OLD = "old"
FILES = (LEASE, SERVERS, RELEASES, DROPPED, LOOKED, OLD)

MAX_AGE = 30 * 24 * 3600.0
"""Seconds after which a breadcrumb is no news to anyone, and nothing else is kept either."""

DRAFT_SECONDS = 3600.0
"""Seconds after which a file that was being written never will be."""


_MAX_JSON_BYTES = 64 * 1024


def read(root: str, name: str) -> dict[str, Any]:
    """What one of the JSON files holds, empty when there is none or it makes no sense."""
    try:
        content = message.decode(files.read(os.path.join(root, name), _MAX_JSON_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def write(root: str, name: str, content: Mapping[str, object], limit: int) -> None:
    """Replace one of the JSON files, which keeps the newest `limit` of what it holds, if it can."""
    import json  # who writes them has it loaded, for the network; a run does not

    newest = dict(list(content.items())[-limit:])
    try:
        files.replace(os.path.join(root, name), json.dumps(newest).encode())
    except OSError as error:
        what = name.removesuffix(".json")
        log.debug("what was learned of %s cannot be kept: %s", what, error)


def aside_name(folder: str) -> str:
    """The name under which a folder that cannot be trusted is put out of the way."""
    return f"{folder}.aside-{os.urandom(4).hex()}"


def erase_all(root: str) -> int:
    """Erase whatever this layout knows, and nothing else that lies in the folder.

    Args:
        root: The state folder.

    Returns:
        How many breadcrumbs were erased.

    Raises:
        OSError: Something cannot be erased.
    """
    erased = 0
    for path in _ours(root):
        if os.path.isdir(path) and not os.path.islink(path):
            is_marks = os.path.basename(path).partition(".")[0] == MARKS
            for name in os.listdir(path):
                _remove(os.path.join(path, name))
                erased += not is_marks and not name.startswith(".")
            if os.path.basename(path) not in FOLDERS:
                os.rmdir(path)
        elif os.path.basename(path) not in FOLDERS:
            _remove(path)
    return erased


def remove_old(root: str) -> None:
    """Remove what nobody will come back for: drafts of dead writers, and all beyond `MAX_AGE`.

    Open records, claims and what waits are not among it: a run may last for months, what becomes
    of a courier's claim is decided by those who know its owner, and of what waits by the spool.
    """
    waiting = os.path.join(root, READY)
    kept = {os.path.join(root, OPEN), os.path.join(root, SENDING)}
    for path in _ours(root):
        if path in kept:
            continue
        if os.path.isdir(path) and not os.path.islink(path):
            for name in files.names(path):
                below = os.path.join(path, name)
                if name.startswith("."):
                    _remove_if_older(below, DRAFT_SECONDS)
                elif path != waiting:
                    _remove_if_older(below, MAX_AGE)
            if os.path.basename(path) not in FOLDERS:
                _remove_quietly(path)  # as soon as it is empty
        elif os.path.basename(path) not in FOLDERS:
            is_draft = os.path.basename(path) not in FILES
            _remove_if_older(path, DRAFT_SECONDS if is_draft else MAX_AGE)


def _ours(root: str) -> Iterator[str]:
    """The paths of what migas has made right below the state folder, whoever wrote it."""
    import re  # a run has no need of it

    folders, plain = "|".join(FOLDERS), "|".join(map(re.escape, FILES))
    ours = re.compile(rf"(?:{folders})(?:\.aside-[0-9a-f]{{8}})?|(?:{plain})(?:\.[0-9a-f]{{16}})?")
    for name in files.names(root):
        if ours.fullmatch(name):
            yield os.path.join(root, name)


def _remove(path: str) -> None:
    """Remove a file or a link; a folder that somebody has planted goes with all it holds.

    Raises:
        OSError: It cannot be removed.
    """
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
    except (IsADirectoryError, PermissionError):  # macOS calls a folder the latter
        if not os.path.isdir(path) or os.path.islink(path):
            raise
        import shutil

        shutil.rmtree(path)  # follows no link


def _remove_quietly(path: str) -> None:
    try:
        if os.path.isdir(path) and not os.path.islink(path):
            os.rmdir(path)
        else:
            os.unlink(path)
    except OSError:
        return


def _remove_if_older(path: str, seconds: float) -> None:
    try:
        is_old = time.time() - os.lstat(path).st_mtime > seconds
    except OSError:
        return
    if is_old:
        _remove_quietly(path)
