"""Which way what waits leaves this program: by a process of its own, by a thread, or not from here.

A courier is a process wherever a Python can be started for it. `sys.executable` need not be one: in
a frozen program it is the program, and in one that embeds Python whatever `PATH` named `python3`.
"""

from __future__ import annotations

import os
import sys

from migas import log
from migas.settings import values

VARIABLE = "_MIGAS_COURIER"
"""Set in a courier's environment, so that nothing in it is tracked or starts another."""

MAIN_FILE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "__main__.py")
"""What a courier is started from."""

_INTERPRETERS = ("python", "pypy")
_OWN_PROGRAM = "/proc/self/exe"


class Way:
    """The way, and why it is that one.

    Args:
        kind: `process`, `thread` or `none`.
        reason: Why, as a clause.
        interpreter: The Python that a courier is started with, where it is a process.
        library: A folder that it needs beside that of `MAIN_FILE`, or nothing.
    """

    __slots__ = ("interpreter", "kind", "library", "reason")

    def __init__(self, kind: str, reason: str, interpreter: str = "", library: str = "") -> None:
        self.kind = kind
        self.reason = reason
        self.interpreter = interpreter
        self.library = library

    def __str__(self) -> str:
        """The way as people read it."""
        words = {"process": f"a process of {self.interpreter}", "thread": "a thread of the program"}
        return f"{words.get(self.kind, 'nobody')}: {self.reason}"


_found: Way | None = None


def find() -> Way:
    """The way that things go from here."""
    global _found  # noqa: PLW0603  it does not change while a process lives
    if VARIABLE in os.environ:
        return Way("none", "this is a courier itself")
    if values.delivery() in ("spool", "log"):
        return Way("none", f"the delivery is {values.delivery()!r}")
    if _found is None:
        _found = _search()
        log.debug("what waits is sent by %s", _found)
    return _found


def _search() -> Way:
    if getattr(sys, "frozen", False):
        return Way("thread", "the program is frozen")
    library = _folder_of("urllib3")
    if not os.path.isfile(MAIN_FILE) or library is None:
        return Way("thread", "migas, or what it needs, lies in no folder")
    if _is_running(sys.executable):
        return Way("process", "it runs this program", sys.executable, library)
    for beside in _interpreters_beside():
        if os.path.isfile(beside) and os.access(beside, os.X_OK):
            return Way("process", "it lies beside this program", beside, library)
    return Way("thread", "no Python lies beside this program")


def _is_running(executable: str | None) -> bool:
    """Whether a file is a plain interpreter, and the one that runs this program."""
    if not executable or not os.path.isabs(executable) or not os.path.isfile(executable):
        return False
    try:
        if not os.path.samefile(executable, _OWN_PROGRAM):
            return False
    except OSError:
        pass  # this system does not say
    return _is_interpreter(os.path.basename(executable))


def _is_interpreter(name: str) -> bool:
    """Whether a program's name is one such as `python3`, `python3.13t`, `pypy3.11` or `pythonw`."""
    name = name.lower().removesuffix(".exe")
    bare = name[:-1] if name[-1:].isalpha() else name
    return any(text.rstrip("0123456789.") in _INTERPRETERS for text in (name, bare))


def _interpreters_beside() -> list[str]:
    """Where an interpreter of this very version may lie: the virtual environment's comes first."""
    prefixes = dict.fromkeys((sys.prefix, sys.exec_prefix, sys.base_prefix))
    if os.name == "nt":
        folders = [os.path.join(prefix, name) for prefix in prefixes for name in ("", "Scripts")]
        return [os.path.join(folder, "python.exe") for folder in folders]
    major, minor = sys.version_info[:2]
    name = f"python{major}.{minor}{getattr(sys, 'abiflags', '')}"
    base = os.path.realpath(getattr(sys, "_base_executable", None) or os.sep)
    bases = [base] if os.path.basename(base) == name else []
    return [*(os.path.join(prefix, "bin", name) for prefix in prefixes), *bases]


def _folder_of(package: str) -> str | None:
    """The folder of the path in which a package lies; nothing is imported for that."""
    for folder in sys.path:
        if os.path.isdir(os.path.join(folder, package)):
            return os.path.abspath(folder)
    return None
