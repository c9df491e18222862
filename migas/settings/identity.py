"""Who speaks: random ids of the user and of a session, and what a child takes over from its parent.

The ids say nothing else. What a child takes over, the server and the session of a parent that was
set up, travels in one environment variable. It names the parent beyond doubt, so that it means
nothing to a process that merely inherited the text: a batch job submitted with its whole
environment, another node, another container, a shell that outlived the program.
"""

from __future__ import annotations

import os
import time

from migas import log
from migas.message import canonical_uuid
from migas.settings import places, values

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

PARENT_VARIABLE = "_MIGAS_PARENT"

_NO_SERVER = "invalid"
_FORBIDDEN = "off"
_FILE_NAME = "user_id"
_MAX_BYTES = 100

# Each breadcrumb asks; the file is read again when it has changed or is gone.
_kept: dict[str, tuple[tuple[int, ...], str | None]] = {}
# By folder, until when nobody looks for one again where there was none. One that somebody makes is
# told a second later; one that somebody erases is told no more.
_without: dict[str, float] = {}
_WITHOUT_SECONDS = 1.0


def random_uuid() -> str:
    """A random UUID (RFC 9562, version 4) as text.

    Built here because importing `uuid` costs up to 10 ms and a run needs nothing else of it.
    """
    digits = bytearray(os.urandom(16))
    digits[6] = digits[6] & 0x0F | 0x40
    digits[8] = digits[8] & 0x3F | 0x80
    text = digits.hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def session_id() -> str:
    """The session of what this process says outside any run: the given one, else one of its own."""
    settings = values.settings()
    return settings.session_id or settings.drawn.setdefault("session_id", random_uuid())


def user_id() -> str | None:
    """The user's id for a breadcrumb: the one given to `setup()`, else the kept one, or None."""
    settings = values.settings()
    if settings.given_user_id is not None or settings.captured_by_test:
        return settings.given_user_id
    try:
        folder = places.config_folder()
        if time.monotonic() < _without.get(folder, float("-inf")):
            return None
        kept = kept_or_new_user_id(folder, persists=places.persists)
    except Exception as error:  # noqa: BLE001  no run is lost over a fact
        log.debug("no user id: %s", error)
        return None
    if kept is None:
        _without[folder] = time.monotonic() + _WITHOUT_SECONDS
    return kept


def kept_or_new_user_id(folder: str, *, persists: Callable[[str], bool]) -> str | None:
    """The id kept in a folder, made there at the first run.

    Args:
        folder: The user's configuration folder.
        persists: Says whether the folder outlives this run. Where it does not, a new id would
            count one person as a new one at each run, so none is made.

    Returns:
        A UUID as text, or None where none can be kept.
    """
    kept = kept_user_id(folder)
    if kept is not None or not persists(folder):
        return kept
    try:
        return _write_once(folder, os.path.join(folder, _FILE_NAME))
    except OSError as error:
        log.debug("no user id can be kept in %s: %s", folder, error)
        return None


def kept_user_id(folder: str) -> str | None:
    """The id that is kept in a folder; asking makes none."""
    return _read(f"{folder}{os.sep}{_FILE_NAME}")


def forget_user_id(folder: str) -> bool:
    """Erase the kept id, and what is left of writers who died over another.

    Returns:
        Whether there was one.
    """
    from migas.host import files

    for name in files.names(folder):
        draft = name.removeprefix(f"{_FILE_NAME}.")
        if draft != name and len(draft) == 16:
            _unlink(os.path.join(folder, name))
    return _unlink(os.path.join(folder, _FILE_NAME))


def _unlink(path: str) -> bool:
    try:
        os.unlink(path)
    except OSError:
        return False
    return True


def _read(path: str) -> str | None:
    try:
        facts = os.lstat(path)
    except OSError:
        return None
    signature = (facts.st_mtime_ns, facts.st_ino, facts.st_size)
    known = _kept.get(path)
    if known is None or known[0] != signature:
        kept = _content(path)
        known = _kept[path] = (signature, kept if kept is not None and _is_random(kept) else None)
    return known[1]


def _is_random(uuid: str) -> bool:
    """Whether a UUID is of version 4. Other clients keep one that names account and host."""
    return uuid[14] == "4"


def _content(path: str) -> str | None:
    from migas.host import files  # who is opted out needs no more than a random id

    try:
        return canonical_uuid(files.read(path, _MAX_BYTES).decode("ascii", "replace"))
    except (OSError, files.UntrustedFileError):
        return None


def _write_once(folder: str, path: str) -> str | None:
    from migas.host import files

    os.makedirs(folder, mode=0o700, exist_ok=True)
    draft = f"{path}.{os.urandom(8).hex()}"
    files.write_new(draft, f"{random_uuid()}\n".encode())
    try:
        # A link refuses to replace, so of simultaneous first runs one wins and all read its id.
        os.link(draft, path)
    except FileExistsError:
        other = _content(path)
        if other is not None and not _is_random(other):
            os.replace(draft, path)
            return _read(path)
    os.unlink(draft)
    return _read(path)


class Inherited:
    """What an ancestor offers: its server, which may be none that can be used, or a no."""

    __slots__ = ("endpoint", "is_forbidding", "pid", "session_id", "started")

    def __init__(self, pid: int, started: str, session_id: str | None, endpoint: str) -> None:
        self.pid = pid
        self.started = started
        self.session_id = session_id
        self.is_forbidding = endpoint == _FORBIDDEN
        self.endpoint = None if self.is_forbidding else endpoint


def forbid_to_children() -> None:
    """Have the programs that this process starts report nothing, whatever they say themselves."""
    offer_to_children(_FORBIDDEN, None)


def offer_to_children(endpoint: str, session_id: str | None) -> None:
    """Leave this process's server and session for the programs it starts, without any user id.

    Args:
        endpoint: The server's base URL; empty where there is none that can be used.
        session_id: The session, if it is to be shared.
    """
    from migas.host import process

    here = process.facts()
    if here["started"] and here["boot"] and here["namespace"]:
        os.environ[PARENT_VARIABLE] = " ".join(
            (
                str(here["pid"]),
                here["started"],
                here["boot"],
                here["namespace"],
                session_id or "-",
                endpoint or _NO_SERVER,
            )
        )
    else:
        os.environ.pop(PARENT_VARIABLE, None)


def from_ancestor() -> Inherited | None:
    """What a living ancestor of this process offers, or None."""
    fields = os.environ.get(PARENT_VARIABLE, "").split(" ")
    if len(fields) != 6 or not fields[0].isdigit():
        return None
    pid, started, boot, namespace, session_id, endpoint = fields
    from migas.host import process

    here = process.facts()
    if not started or (boot, namespace) != (here["boot"], here["namespace"]):
        return None
    if (int(pid), started) not in process.ancestors():
        return None
    return Inherited(int(pid), started, canonical_uuid(session_id), endpoint)
