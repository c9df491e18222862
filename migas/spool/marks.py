"""Marks that fatal signals leave behind, so that a death is known by its name.

A Python-level handler would delay death for as long as a C call lasts. `faulthandler` writes from
inside the signal handler and passes the signal on at once, and `signal.getsignal` still shows the
default. All signals of a process write into one file, each at a distance of its own from the file's
beginning, so that the size tells which one it was.
"""

from __future__ import annotations

import _signal
import os
import threading

from migas.host import files, process
from migas.host.files import OwnDescriptor
from migas.spool.record import place_key

TYPE_CHECKING = False
if TYPE_CHECKING:
    from migas.host.process import ProcessFacts

SIGNALS = ("SIGTERM", "SIGHUP", "SIGXCPU", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGPIPE")
"""Signals whose default action ends a process: people and batch systems send them, and the kernel
sends SIGPIPE to who writes what nobody reads. Older versions know the first ones: more go last."""

_CRASHES = {
    b"Segmentation fault": "SIGSEGV",
    b"Bus error": "SIGBUS",
    b"Floating-point exception": "SIGFPE",
    b"Floating point exception": "SIGFPE",
    b"Illegal instruction": "SIGILL",
    b"Aborted": "SIGABRT",
}

_STRIDE = 128 * 1024
"""More than `faulthandler` writes about one thread, in bytes; the file has holes."""

# What this process, or the one it was forked from, has registered: a handler stays through a fork.
_registered: set[int] = set()


class Mark:
    """What is known of a dead process's last moment: `signal`, and whether it was a crash."""

    __slots__ = ("is_crash", "signal")

    def __init__(self, name: str, *, is_crash: bool) -> None:
        self.signal = name
        self.is_crash = is_crash


class Marks:
    """The mark of this process, waiting to be written by a signal.

    Args:
        folder: Where it lies.
        owner: The facts of this process.
    """

    def __init__(self, folder: str, owner: ProcessFacts) -> None:
        self._path = os.path.join(folder, file_name(owner))
        self._descriptors: list[OwnDescriptor] = []
        self._masks: dict[int, set[int]] = {}

    def arm(self) -> None:
        """Have signals with their default action, and crashes, leave a mark from now on.

        Raises:
            OSError: No mark can be written in the folder.
        """
        import faulthandler

        # Process 1 ignores a signal with its default action: the mark would tell of no death.
        if self._descriptors or os.getpid() == 1 or not hasattr(faulthandler, "register"):
            return
        try:
            files.write_new(self._path, b"")
        except (
            FileExistsError
        ):  # of an earlier process that had the same pid, where no more is known
            os.unlink(self._path)
            files.write_new(self._path, b"")
        for distance, number in _markable():
            faulthandler.register(number, file=self._open(distance), all_threads=False, chain=True)
            _registered.add(number)
        # A program that has it on keeps its dump; its crash leaves no mark. There is one handler
        # and one file for crashes, which cannot be asked for, and any handler that Python can set
        # below that one returns to the instruction that crashed. `migas run` hears of it anyway.
        if not faulthandler.is_enabled():
            faulthandler.enable(file=self._open(0), all_threads=False)

    def erase(self) -> None:
        """Remove the file, at the process's end.

        Nothing is unregistered: that would put the default action in the place of a handler that
        the program may have set since.
        """
        if self._descriptors:
            try:
                os.unlink(self._path)
            except OSError:
                return

    def before_fork(self) -> None:
        """Hold signals back until a child has let go of the mark that is its parent's."""
        if self._descriptors:
            here = threading.get_ident()
            self._masks[here] = _signal.pthread_sigmask(_signal.SIG_BLOCK, _registered)

    def after_fork(self, *, in_child: bool) -> None:
        """Go on as before; in a child, whose signals must not mark its parent, write nowhere."""
        try:
            if in_child and self._descriptors:
                nowhere = os.open(os.devnull, os.O_WRONLY)
                for descriptor in self._descriptors:
                    if (number := descriptor.number) is not None:  # else the program's own by now
                        os.dup2(nowhere, number, inheritable=False)
                os.close(nowhere)
        finally:
            mask = self._masks.pop(threading.get_ident(), None)
            if mask is not None:
                _signal.pthread_sigmask(_signal.SIG_SETMASK, mask)

    def _open(self, distance: int) -> int:
        flags = os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0)
        descriptor = os.open(self._path, flags)
        os.lseek(descriptor, distance, os.SEEK_SET)
        own = OwnDescriptor(descriptor)
        self._descriptors.append(own)
        return own.opened


def file_name(owner: ProcessFacts) -> str:
    """The name of a process's mark."""
    return name_of(owner["pid"], owner["started"], place_key(owner))


def name_of(pid: int, started: str, place: str) -> str:
    """The same from the parts that stand in the name of an open record."""
    return f"{pid}-{started or '0'}-{place}"


def read(folder: str, name: str) -> Mark | None:
    """The mark of that name, or None when there is none, or none was left."""
    path = os.path.join(folder, name)
    try:
        size = os.lstat(path).st_size
    except OSError:
        return None
    if size == 0:
        return None
    index = (size - 1) // _STRIDE
    if 0 < index <= len(SIGNALS):
        return Mark(SIGNALS[index - 1], is_crash=False)
    try:
        head = files.read(path, _STRIDE)[:200]
    except (OSError, files.UntrustedFileError):
        return None
    crash = next((name for text, name in _CRASHES.items() if text in head), None)
    return None if crash is None else Mark(crash, is_crash=True)


def _markable() -> list[tuple[int, int]]:
    """Distances and numbers of the signals whose default action is really in place.

    `signal.getsignal` does not see the handlers of C code, nor that a program has told
    `faulthandler` to dump its stack at SIGUSR1, which must go on living.
    """
    caught = process.caught_signals()
    names = SIGNALS if caught is not None else SIGNALS[:4]
    found = []
    for index, name in enumerate(names, 1):
        number = getattr(_signal, name, None)
        if number is None or _signal.getsignal(number) != _signal.SIG_DFL:
            continue
        if number in (caught or ()) and number not in _registered:
            continue
        found.append((index * _STRIDE, number))
    return found
