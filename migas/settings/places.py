"""Where things lie on this machine: the user's choices, the site's, and what waits to be sent."""

from __future__ import annotations

import os
import sys

SITE_FOLDER = "/etc/xdg"


def state_folder() -> str:
    """Where breadcrumbs wait to be sent: `MIGAS_STATE_DIR`, else the user's state directory.

    Raises:
        RuntimeError: No home directory is known for this user.
    """
    chosen = os.environ.get("MIGAS_STATE_DIR")
    if chosen:
        return os.path.abspath(chosen)
    # On Linux platformdirs says the same (a test compares), at 22 ms of import time in every run.
    if sys.platform.startswith("linux"):
        return os.path.join(_xdg_folder("XDG_STATE_HOME", ".local", "state"), "migas")
    import platformdirs

    return platformdirs.user_state_dir("migas", appauthor=False)


def config_folder() -> str:
    """Where the user's own choices and id are kept.

    Raises:
        RuntimeError: No home directory is known for this user.
    """
    if sys.platform.startswith("linux"):
        return os.path.join(_xdg_folder("XDG_CONFIG_HOME", ".config"), "migas")
    import platformdirs

    return platformdirs.user_config_dir("migas", appauthor=False)


def site_folders() -> list[str]:
    """Where an administrator's policy may lie, the most important first.

    `/etc/xdg` always counts: no variable of a user's takes an administrator's word back.
    """
    if not sys.platform.startswith("linux"):
        import platformdirs

        return [platformdirs.site_config_dir("migas", appauthor=False)]
    named = os.environ.get("XDG_CONFIG_DIRS", "").split(":")
    folders = [folder.rstrip("/") for folder in named if os.path.isabs(folder)]
    return [os.path.join(folder, "migas") for folder in dict.fromkeys([*folders, SITE_FOLDER])]


def persists(folder: str) -> bool:
    """Whether a folder outlives this run: not one on a throw-away container's own root."""
    from migas.host import environment

    if environment.telemetry_fields()["container"] == "unknown":
        return True
    existing = folder
    while existing != os.path.dirname(existing) and not os.path.isdir(existing):
        existing = os.path.dirname(existing)
    return os.stat(existing).st_dev != os.stat("/").st_dev


def _xdg_folder(variable: str, *below_home: str) -> str:
    # The XDG Base Directory Specification: a relative value is to be ignored.
    value = os.environ.get(variable, "").strip()
    if value and os.path.isabs(value):
        return value
    home = os.path.expanduser("~")
    if not os.path.isabs(home):
        raise RuntimeError("no home directory is known for this user")
    return os.path.join(home, *below_home)
