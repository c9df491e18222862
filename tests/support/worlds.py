"""The two worlds in which programs run: a container, and an ordinary host, from within either."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from migas.host import environment
from tests.support.desk import NOBODY

if TYPE_CHECKING:
    from pathlib import Path

PLAIN = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
"""The environment of an ordinary host's login, in which nothing speaks of containers or CI."""

CONTAINER = {**PLAIN, "container": "podman"}

_WITHOUT_MARKERS = """
root=$1; shift
mount -t tmpfs -o mode=755 tmpfs "$root"
for path in /*; do
    if [ -h "$path" ]; then cp -P "$path" "$root$path"
    elif [ -d "$path" ]; then mkdir "$root$path"; mount --rbind "$path" "$root$path"
    fi
done
exec chroot "$root" env --chdir="$PWD" "$@"
"""


def ordinary_host(folder: Path) -> list[str]:
    """What to put before a command that shall run on an ordinary host.

    Args:
        folder: Where it may make one, if this is a container: all folders of this machine, without
            the files beside them that tell a container.
    """
    if environment.container() == "unknown":
        return []
    root = folder / "root"
    root.mkdir()
    prefix = ["unshare", "--mount", "sh", "-ec", _WITHOUT_MARKERS, "sh", str(root)]
    asked = "from migas.host import environment; print(environment.container())"
    seen = subprocess.run(
        [*prefix, sys.executable, "-c", asked], env=PLAIN, capture_output=True, check=False
    )
    if seen.stdout != b"unknown\n":
        pytest.skip("no program leaves this container")
    return prefix


def another_user(user: int = NOBODY) -> list[str]:
    """What to put before a command that shall run as a user without rights.

    Root becomes that user, who may still read this interpreter. To an ordinary user's program its
    own files are that user's, and all others somebody else's.
    """
    if os.geteuid() == 0:
        prefix = [
            *("setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"),
            *("--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search"),
            "--bounding-set=-all,+dac_read_search",
        ]
    else:
        prefix = ["unshare", "--user", f"--map-user={user}"]
    try:
        subprocess.run([*prefix, sys.executable, "-c", ""], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this machine does not let us become another user")
    return prefix


def own_processes(*, sees_proc: bool = True) -> list[str]:
    """What to put before a command that shall be process 1 in a namespace of its own."""
    root = () if os.geteuid() == 0 else ("--user", "--map-root-user")
    proc = ("--mount-proc",) if sees_proc else ()
    prefix = ["unshare", *root, "--pid", "--fork", "--kill-child", *proc]
    if subprocess.run([*prefix, "true"], check=False, capture_output=True).returncode != 0:
        pytest.skip("this machine does not let us make pid namespaces")
    return prefix
