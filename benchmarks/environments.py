"""One virtual environment for each client, made when it is first needed and kept."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
from dataclasses import dataclass
from functools import cached_property

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
HOME = os.path.join(os.path.dirname(os.path.abspath(__file__)), ".environments")


@dataclass(frozen=True)
class Environment:
    """A virtual environment of the Python that runs the benchmarks.

    Args:
        name: Its folder's name.
        requirements: What pip installs into it.
        paths: Folders that are importable there as well.
        modules: What the running interpreter must have to stand in when no index is reachable.
    """

    name: str
    requirements: tuple[str, ...]
    paths: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()

    @property
    def directory(self) -> str:
        """Where it lives; another Python version gets another one."""
        return os.path.join(HOME, f"{self.name}-{sysconfig.get_python_version()}")

    @property
    def python(self) -> str:
        """Its interpreter."""
        if self._stands_in:
            return sys.executable
        return os.path.join(self.directory, "bin", "python")

    @cached_property
    def problem(self) -> str:
        """Why it cannot be used; empty when it can. Makes it when it is not there yet."""
        return "" if self._stands_in else self._failure

    @cached_property
    def _stands_in(self) -> bool:
        """Whether the interpreter that runs the benchmarks has to do, and does."""
        here = bool(self.modules) and all(importlib.util.find_spec(name) for name in self.modules)
        return here and bool(self._failure)

    @cached_property
    def _failure(self) -> str:
        stamp = os.path.join(self.directory, "requirements.txt")
        wanted = "\n".join((sys.version, *self.requirements, *self.paths))
        try:
            with open(stamp, encoding="utf-8") as file:
                if file.read() == wanted:
                    return ""
        except OSError:
            pass
        shutil.rmtree(self.directory, ignore_errors=True)
        print(f"making the environment {self.name} …", file=sys.stderr, flush=True)
        venv.create(self.directory, with_pip=True, symlinks=True)
        pip = [os.path.join(self.directory, "bin", "python"), "-m", "pip", "install", "--quiet"]
        result = subprocess.run(
            [
                *pip,
                "--disable-pip-version-check",
                "--retries=1",
                "--timeout=15",
                *self.requirements,
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode:
            shutil.rmtree(self.directory, ignore_errors=True)
            print(result.stderr.strip(), file=sys.stderr, flush=True)
            return f"no {self.requirements[0]} to be had"
        self._add_paths()
        with open(stamp, "w", encoding="utf-8") as file:
            file.write(wanted)
        return ""

    @cached_property
    def versions(self) -> dict[str, str]:
        """The installed packages and their versions."""
        listing = subprocess.run(
            [self.python, "-m", "pip", "--disable-pip-version-check", "list", "--format=freeze"],
            capture_output=True,
            text=True,
            check=False,
        )
        pairs = (line.partition("==") for line in listing.stdout.splitlines())
        return {name.lower(): version for name, _, version in pairs}

    def _add_paths(self) -> None:
        for number, path in enumerate(self.paths):
            variables = {"base": self.directory, "platbase": self.directory}
            packages = sysconfig.get_path("purelib", "venv", variables)
            with open(os.path.join(packages, f"added{number}.pth"), "w", encoding="utf-8") as file:
                file.write(path + "\n")


def own_dependencies() -> tuple[str, ...]:
    """What this very migas asks for in its pyproject.toml."""
    with open(os.path.join(ROOT, "pyproject.toml"), "rb") as file:
        return tuple(tomllib.load(file)["project"]["dependencies"])


# This migas is not built but found by its path: what is measured is always the working tree.
# click and numpy are there, and beside the released one, for programs that have them loaded.
OURS = Environment(
    "ours",
    (*own_dependencies(), "click", "numpy"),
    (ROOT,),
    ("migas", "wrapt", "urllib3", "ci_info", "platformdirs"),
)
RELEASED = Environment("migas-0.4.0", ("migas==0.4.0", "click", "numpy"))
SENTRY = Environment("sentry-sdk", ("sentry-sdk",))
POSTHOG = Environment("posthog", ("posthog",))

ENVIRONMENTS = (OURS, RELEASED, SENTRY, POSTHOG)
