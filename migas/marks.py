"""Marks that fatal signals leave behind, so that a death is known by its name.

A Python-level handler would delay death for as long as a C call lasts. `faulthandler` writes from
inside the signal handler and passes the signal on at once, and `signal.getsignal` still shows the
default. Each signal writes into a file of its own, whose name says which process and which signal.
"""

from __future__ import annotations

import os
import signal

from migas.process import place

TYPE_CHECKING = False
if TYPE_CHECKING:
    from migas.process import ProcessFacts

TERMINATING = ("SIGTERM", "SIGHUP", "SIGXCPU", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGALRM")
"""Signals whose default action ends a process and which people and batch systems send."""

CRASH = "crash"

_CRASHES = {
    b"Segmentation fault": "SIGSEGV",
    b"Bus error": "SIGBUS",
    b"Floating-point exception": "SIGFPE",
    b"Floating point exception": "SIGFPE",
    b"Illegal instruction": "SIGILL",
    b"Aborted": "SIGABRT",
}


class Marks:
    """The marks of this process, waiting to be written by a signal.

    Args:
        folder: Where they lie.
        process: The facts of this process.
    """

    def __init__(self, folder: str, process: ProcessFacts) -> None:
        self._folder = folder
        self._process = process
        self._files: dict[str, int] = {}
        self._registered: list[int] = []
        self._has_enabled = False

    def arm(self) -> None:
        """Have signals with their default action, and crashes, leave a mark from now on.

        Raises:
            OSError: No mark can be written in the folder.
        """
        import faulthandler

        # Process 1 ignores a signal with its default action: the mark would tell of no death.
        if self._files or os.getpid() == 1 or not hasattr(faulthandler, "register"):
            return
        for name in TERMINATING:
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) == signal.SIG_DFL:
                faulthandler.register(number, file=self._open(name), all_threads=False, chain=True)
                self._registered.append(number)
        if not faulthandler.is_enabled():
            faulthandler.enable(file=self._open(CRASH), all_threads=False)
            self._has_enabled = True

    def disarm(self, *, erase: bool = True) -> None:
        """Take everything back.

        Args:
            erase: Whether the files go too; a forked child leaves them to its parent.
        """
        import faulthandler

        for number in self._registered:
            faulthandler.unregister(number)
        if self._has_enabled:
            faulthandler.disable()
        for name, descriptor in self._files.items():
            try:
                os.close(descriptor)
                if erase:
                    os.unlink(self._path(name))
            except OSError:
                continue
        self._files, self._registered, self._has_enabled = {}, [], False

    def _open(self, name: str) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0)
        self._files[name] = os.open(self._path(name), flags, 0o600)
        return self._files[name]

    def _path(self, name: str) -> str:
        return os.path.join(self._folder, mark_name(self._process, name))


def mark_name(process: ProcessFacts, name: str) -> str:
    """The file name of one process's mark."""
    return f"{process['pid']}-{process['started']}-{place(process)}.{name}"


def read(folder: str, process: ProcessFacts) -> str | None:
    """Which mark a dead process left last.

    Returns:
        A signal's name such as `SIGTERM`, `crash:SIGSEGV` for a crash, or None.
    """
    found: list[tuple[int, str]] = []
    for name in (*TERMINATING, CRASH):
        path = os.path.join(folder, mark_name(process, name))
        try:
            facts = os.lstat(path)
        except OSError:
            continue
        if facts.st_size > 0:
            found.append((facts.st_mtime_ns, name))
    if not found:
        return None
    _when, name = max(found)
    return (
        name
        if name != CRASH
        else f"crash:{_crash_signal(os.path.join(folder, mark_name(process, CRASH)))}"
    )


def erase(folder: str, process: ProcessFacts) -> None:
    """Remove the marks of a process whose death has been told."""
    for name in (*TERMINATING, CRASH):
        try:
            os.unlink(os.path.join(folder, mark_name(process, name)))
        except OSError:
            continue


def _crash_signal(path: str) -> str:
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    except OSError:
        return "unknown"
    try:
        head = os.read(descriptor, 200)
    finally:
        os.close(descriptor)
    return next((name for text, name in _CRASHES.items() if text in head), "unknown")
