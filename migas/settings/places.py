"""Where things lie on this machine: the user's choices, the site's, and what waits to be sent."""

from __future__ import annotations

import os
import sys
import time

from migas import host

SITE_FOLDER = "/etc/xdg"

_IS_LINUX = sys.platform.startswith("linux")

VARIABLES = ("XDG_CONFIG_HOME", "HOME", "XDG_CONFIG_DIRS") if _IS_LINUX else ()
"""What decides where files are looked for; nothing where the system is asked each time."""

# Asked for many times in a run; the keys are what the environment says.
_xdg_folders: dict[tuple[object, ...], str] = {}
_site_folders: dict[str, list[str]] = {}
_persistent: dict[str, bool] = {}
_looks: dict[tuple[str, ...], _Look] = {}

_ANSWER_SECONDS = 1.0
_LOOK_AGAIN_SECONDS = 1.0


class SilentError(RuntimeError):
    """A folder whose file system does not answer."""

    def __init__(self, folder: str) -> None:
        super().__init__(f"{folder} does not answer")


def state_folder() -> str:
    """Where breadcrumbs wait to be sent: `MIGAS_STATE_DIR`, else the user's state directory.

    Raises:
        RuntimeError: No home directory is known for this user.
        SilentError: Its file system does not answer.
    """
    chosen = host.variable("MIGAS_STATE_DIR")
    if chosen:
        folder = os.path.abspath(chosen)
    # On Linux platformdirs says the same (a test compares), at 22 ms of import time in every run.
    elif _IS_LINUX:
        folder = _xdg_folder("XDG_STATE_HOME", ".local", "state")
    else:
        import platformdirs

        folder = platformdirs.user_state_dir("migas", appauthor=False)
    if silent(folder):
        raise SilentError(folder)
    return folder


def config_folder() -> str:
    """Where the user's own choices and id are kept.

    Raises:
        RuntimeError: No home directory is known for this user.
    """
    if _IS_LINUX:
        return _xdg_folder("XDG_CONFIG_HOME", ".config")
    import platformdirs

    return platformdirs.user_config_dir("migas", appauthor=False)


def site_folders() -> list[str]:
    """Where an administrator's policy may lie, the most important first.

    `/etc/xdg` always counts: no variable of a user's takes an administrator's word back.
    """
    if not _IS_LINUX:
        import platformdirs

        return [platformdirs.site_config_dir("migas", appauthor=False)]
    named = host.variable("XDG_CONFIG_DIRS") or ""
    if named not in _site_folders:
        given = [folder.rstrip("/") for folder in named.split(":") if os.path.isabs(folder)]
        folders = dict.fromkeys([*given, SITE_FOLDER])
        _site_folders[named] = [os.path.join(folder, "migas") for folder in folders]
    return _site_folders[named]


def persists(folder: str) -> bool:
    """Whether a folder outlives this run: not one on a throw-away container's own root."""
    if folder not in _persistent:
        from migas.host import environment

        is_in_container = environment.telemetry_fields().get("container") != "unknown"
        _persistent[folder] = not is_in_container or _is_on_another_device_than_root(folder)
    return _persistent[folder]


def silent(*paths: str) -> str | None:
    """The first of some paths whose file system does not answer, or None.

    One whose server is gone holds whoever asks it for ever. So a thread asks, and is waited for one
    second at most. That it answers is believed for a second; silent it is until it has answered.
    """
    look = _looks.get(paths)
    if look is None or (not look.left and look.is_old()):
        try:
            look = _looks[paths] = _Look(paths)
        except RuntimeError:
            return None  # at the interpreter's end no thread can ask
    return next(iter(look.left), None)


class _Look:
    """A look at some paths, by a thread that may hang; `left` are those that it has not seen."""

    def __init__(self, paths: tuple[str, ...]) -> None:
        from migas.host.threads import OwnThread  # who is opted out by a variable needs none

        self.left = list(paths)
        OwnThread(self._look).join(_ANSWER_SECONDS)
        self._seen = time.monotonic()

    def is_old(self) -> bool:
        return time.monotonic() - self._seen > _LOOK_AGAIN_SECONDS

    def _look(self, _thread: object) -> None:
        while self.left:
            os.path.exists(self.left[0])
            del self.left[0]


def _is_on_another_device_than_root(folder: str) -> bool:
    existing = folder
    while existing != os.path.dirname(existing) and not os.path.isdir(existing):
        existing = os.path.dirname(existing)
    return os.stat(existing).st_dev != os.stat("/").st_dev


def _xdg_folder(variable: str, *below_home: str) -> str:
    said = (variable, *host.variables(variable, "HOME"))
    folder = _xdg_folders.get(said)
    if folder is None:
        # The XDG Base Directory Specification: a relative value is to be ignored.
        value = (host.variable(variable) or "").strip()
        if not os.path.isabs(value):
            home = os.path.expanduser("~")
            if not os.path.isabs(home):
                raise RuntimeError("no home directory is known for this user")
            value = os.path.join(home, *below_home)
        folder = _xdg_folders[said] = os.path.join(value, "migas")
    return folder
