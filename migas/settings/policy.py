"""What people decided for all programs, in files: a site's policy, the user's, and a plain no.

`config.toml` lies in the user's configuration folder and, for a whole site, below the folders of
`XDG_CONFIG_DIRS`. A file that cannot be read, understood or trusted switches sending off. The no of
`migas optout` is a file that only has to exist, so that no parser is loaded to respect it.
"""

from __future__ import annotations

import errno
import os
import stat

from migas import host
from migas.settings import KEYS, places

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

FILE_NAME = "config.toml"
MARKER_NAME = "optout"
_MAX_BYTES = 64 * 1024
_ABSENT = (errno.ENOENT, errno.ENOTDIR)


class PolicyFile:
    """One `config.toml`: what it says, or why it cannot be believed."""

    __slots__ = ("is_hidden", "path", "problem", "values")

    def __init__(
        self, path: str, values: dict[str, Any], problem: str | None, *, is_hidden: bool = False
    ) -> None:
        self.path = path
        self.is_hidden = is_hidden
        self.values = values
        self.problem = problem

    @property
    def refusal(self) -> str | None:
        """Why nothing may be sent because of this file, or None."""
        if self.problem is not None:
            return f"{self.path} cannot be used: {self.problem}"
        return f"{self.path} says optout = true" if self.values.get("optout") else None


class _Paths:
    """Where the files lie that count here; without a home there are none of the user's.

    Args:
        user_folder: The user's configuration folder, or None.
        site_folders: The site's, the most important first.
    """

    __slots__ = ("every", "marker", "probed", "site", "user")

    def __init__(self, user_folder: str | None, site_folders: list[str]) -> None:
        self.marker = user_folder and os.path.join(user_folder, MARKER_NAME)
        self.user = user_folder and os.path.join(user_folder, FILE_NAME)
        self.site = [os.path.join(folder, FILE_NAME) for folder in site_folders]
        self.every = tuple(path for path in (self.marker, self.user, *self.site) if path)
        # Where there is no folder, there is nothing in it.
        self.probed = tuple(path for path in (user_folder, *self.site) if path)

    def are_absent(self) -> bool:
        """Whether there is plainly none of the files, nor a link in the place of one."""
        for path in self.probed:
            try:
                os.lstat(path)
            except FileNotFoundError:
                continue
            except OSError:
                return False
            self.probed = self.every
            return False
        return True


_read: dict[str, tuple[tuple[int, ...], PolicyFile]] = {}
_paths_by: dict[tuple[object, ...], _Paths] = {}


def refusal() -> str | None:
    """Why the files on this machine permit no sending, or None."""
    paths = _paths()
    unseen = places.silent(*paths.every)
    if unseen is not None:
        return f"{unseen} cannot be looked for: its file system does not answer"
    if paths.are_absent():  # as for nearly everybody
        _files.forget()
        return None
    decided = paths.marker and _marker_refusal(paths.marker)
    if decided:
        return decided
    _files.look_again(paths)
    for file in (*_files.site, *_files.user):
        if file.refusal is not None:
            return file.refusal
    return None


def silent() -> str | None:
    """The first file here that nobody can look for, or None."""
    return places.silent(*_paths().every)


def _paths() -> _Paths:
    """What the environment makes of it by now; each run asks twice."""
    said = host.variables(*places.VARIABLES)
    paths = _paths_by.get(said)
    if paths is None:
        try:
            user_folder = places.config_folder()
        except RuntimeError:
            user_folder = None
        paths = _Paths(user_folder, places.site_folders())
        if places.VARIABLES:
            _paths_by[said] = paths
    return paths


def _marker_refusal(marker: str) -> str | None:
    try:
        os.lstat(marker)
    except OSError as error:
        if error.errno in _ABSENT or _is_anothers_home():
            return None
        return f"{marker} cannot be looked for: {error.strerror}"
    return f"{marker} exists, as `migas optout` makes it"


def _is_anothers_home() -> bool:
    """Whether the home is not this user's own, as below `sudo -u`: what it hides is not theirs."""
    try:
        return os.stat(os.path.expanduser("~")).st_uid != os.geteuid()
    except OSError:
        return True


def site_files() -> list[PolicyFile]:
    """The site's policies that exist, the most important first."""
    return _existing(_paths().site)


def user_files() -> list[PolicyFile]:
    """The user's policy, if there is one."""
    return _user_files(_paths().user)


def _existing(paths: list[str]) -> list[PolicyFile]:
    return [file for path in paths if (file := _file(path)) is not None]


def _user_files(path: str | None) -> list[PolicyFile]:
    file = None if path is None else _file(path)
    is_hidden = file is not None and file.is_hidden and _is_anothers_home()
    return [] if file is None or is_hidden else [file]


def site(key: str) -> Any:
    """What the site says, which beats a program's arguments; None when it says nothing."""
    return _first(_files.known().site, key)


def user(key: str) -> Any:
    """What the user says, which beats only the default; None when that is nothing."""
    return _first(_files.known().user, key)


class _Files:
    """The policies as they were when somebody last asked whether anything may be sent.

    That is asked before anything else, so no other question needs another look at the disk.
    """

    def __init__(self) -> None:
        self.site: list[PolicyFile] = []
        self.user: list[PolicyFile] = []
        self._were_looked_at = False

    def look_again(self, paths: _Paths) -> None:
        self.site = _existing(paths.site)
        self.user = _user_files(paths.user)
        self._were_looked_at = True

    def forget(self) -> None:
        """There are none."""
        self.site = self.user = []
        self._were_looked_at = True

    def known(self) -> _Files:
        if not self._were_looked_at and silent() is None:
            self.look_again(_paths())
        return self


_files = _Files()


def _first(files: list[PolicyFile], key: str) -> Any:
    for file in files:
        if key in file.values:
            return file.values[key]
    return None


def _file(path: str) -> PolicyFile | None:
    is_link = False
    try:
        facts = os.lstat(path)
        is_link = stat.S_ISLNK(facts.st_mode)
        if is_link:
            facts = os.stat(path)
    except OSError as error:
        if error.errno in _ABSENT and not is_link:
            return None
        problem = error.strerror or repr(error)
        return PolicyFile(path, {}, problem, is_hidden=error.errno == errno.EACCES)
    signature = (facts.st_mtime_ns, facts.st_size, facts.st_ino, facts.st_mode, facts.st_uid)
    known = _read.get(path)
    if known is None or known[0] != signature:
        known = _read[path] = (signature, _parsed(path))
    return known[1]


def _parsed(path: str) -> PolicyFile:
    import tomllib

    try:
        values = tomllib.loads(_text(path))
        for key, value in values.items():
            problem = _problem(key, value)
            if problem is not None:
                return PolicyFile(path, {}, problem)
    except (OSError, ValueError, RecursionError) as error:
        return PolicyFile(path, {}, getattr(error, "strerror", None) or str(error))
    return PolicyFile(path, values, None)


def _text(path: str) -> str:
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    try:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise ValueError("it is no regular file")
        if hasattr(os, "geteuid") and facts.st_uid not in (0, os.geteuid()):
            raise ValueError("it belongs to another user")
        if os.name == "posix" and facts.st_mode & 0o022:
            raise ValueError("other users can write to it (chmod go-w)")
        if facts.st_size > _MAX_BYTES:
            raise ValueError(f"it holds more than {_MAX_BYTES} bytes")
        return os.read(descriptor, _MAX_BYTES).decode()
    finally:
        os.close(descriptor)


def _problem(key: str, value: object) -> str | None:
    """What is wrong with a key and its value, in a sentence that says what would be right."""
    if key not in KEYS:
        return f"there is no key {key!r}; it must be one of {', '.join(KEYS)}"
    return KEYS[key].problem(key, value)
