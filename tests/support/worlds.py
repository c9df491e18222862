"""The two worlds in which programs run: a container, and an ordinary host, from within either."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from migas.host import environment

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
