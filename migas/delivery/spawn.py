"""Dispatching the courier: a process of its own that sends what waits, so that nothing hangs here.

It is `python …/migas/__main__.py flush --courier`, in its own session, with nothing of the
program's: not its standard streams, not its descriptors, not its folder, and never as its child,
since a program that waits for its children must not meet one it does not know.
"""

from __future__ import annotations

import _signal
import os
import sys
import time

from migas import host, log
from migas.host import children
from migas.host.files import OwnDescriptor
from migas.settings import values

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess
    from collections.abc import Sequence

    from migas.settings import Delivery


try:
    import posix
except ImportError:  # Windows
    pass

VARIABLE = "_MIGAS_COURIER"
"""Set in a courier's environment, so that nothing in it is tracked or starts another."""

MAIN_FILE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "__main__.py")
"""What a courier is started from."""

_INTERPRETERS = ("python", "pypy")
_OWN_PROGRAM = "/proc/self/exe"

_PACKAGE = os.path.dirname(MAIN_FILE)
COURIER_ARGUMENTS = ("flush", "--courier")

# The shell starts the courier and ends at once, so that it becomes nobody's child. A command in the
# background reads /dev/null unless told otherwise, hence the detour for its standard input.
_LAUNCH = 'exec 3<&0; "$@" <&3 3<&- 2>/dev/null & echo $!'
_SHELL = "/bin/sh"
_LAUNCH_SECONDS = 1.0
"""The shell needs milliseconds. One that finds no room for a process tries for a quarter of a
minute, during which the program would stand still."""

_KILL_SECONDS = 0.5
_KEPT_VARIABLES = ("PYTHONPATH", "PYTHONHOME", "PYTHONUSERBASE", "PYTHONNOUSERSITE")

_select = host.copy_of("select")


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


def find_way(mode: Delivery | None = None) -> Way:
    """Which way what waits goes from here.

    A courier is a process wherever a Python can be started for it. `sys.executable` need not be
    one: in a frozen program it is the program, and in one that embeds Python whatever `PATH` named
    `python3`.

    Args:
        mode: The delivery in force, where the caller knows it.
    """
    global _found  # noqa: PLW0603  it does not change while a process lives
    if host.has_variable(VARIABLE):
        return Way("none", "this is a courier itself")
    mode = mode or values.delivery()
    if mode in ("spool", "log"):
        return Way("none", f"the delivery is {mode!r}")
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
        # A mere folder of that name, beside a script say, is not what an import would find.
        if os.path.isfile(os.path.join(folder, package, "__init__.py")):
            return os.path.abspath(folder)
    return None


class DispatchedCourier:
    """A courier on its way, whose standard output is a pipe that closes with its life.

    Args:
        pid: Its pid.
        output: The pipe, where there is one.
        child: What Python knows of it, where Python has started it.
        is_child: Whether it is a child of this process all the same.
        entrance: Of a warm one, the end of its standard input that is kept here.
    """

    def __init__(
        self,
        pid: int,
        output: OwnDescriptor | None,
        child: subprocess.Popen[bytes] | None = None,
        *,
        is_child: bool = False,
        entrance: OwnDescriptor | None = None,
    ) -> None:
        self._pid = pid
        self._output = output
        self._child = child
        self._is_child = is_child
        self._input = entrance
        self._environment = None if entrance is None else _environment()

    def wait(self, seconds: float) -> bool:
        """Wait until it has ended.

        Args:
            seconds: At most this long.

        Returns:
            Whether it has, or nothing can be known of it any more.
        """
        if self._child is not None:
            import subprocess

            try:
                self._child.wait(max(seconds, 0.0))
            except subprocess.TimeoutExpired:
                return False
            return True
        return self._output is None or _reached_end(self._output, time.monotonic() + seconds)

    def say(self, *, attended_for: float, at_exit: bool) -> bool:
        """Give a warm one its word: what a cold one is told when it is started.

        Args:
            attended_for: As for `dispatch`.
            at_exit: As for `dispatch`.

        Returns:
            Whether it was there to hear it. Where SIGPIPE has another action than Python's own,
            nothing is tried: it could end the program.
        """
        number = None if self._input is None else self._input.number
        if number is None or self.wait(0.0) or self._environment != _environment():
            return False
        if _signal.getsignal(_signal.SIGPIPE) != _signal.SIG_IGN:
            return False
        word = " ".join(_moment(attended_for, at_exit=at_exit)).encode()
        try:
            return bool(posix.write(number, word) == len(word))
        except OSError:
            return False

    def kill(self) -> None:
        """End it now; what it has claimed goes back in time."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()
        elif self._pid > 1 and not self.wait(0.0):
            try:
                posix.kill(self._pid, _signal.SIGKILL)
            except OSError as error:
                log.debug("a courier could not be killed: %s", error)
        self.forget()

    def forget(self) -> None:
        """Let it go on alone."""
        if self._input is not None:
            entrance, self._input = self._input, None
            entrance.close()
        if self._output is not None:
            output, self._output = self._output, None
            output.close()
        if self._is_child:
            children.reap(self._pid, time.monotonic())
        if self._child is not None and self._child.returncode is None:
            # It is meant to live on: `-X dev` must not call it a leak.
            self._child.returncode = 0


def dispatch(
    way: Way,
    payload: bytes | None = None,
    *,
    attended_for: float | None = None,
    patience: float | None = None,
    at_exit: bool = False,
    by_hand: bool = False,
    warm_for: float | None = None,
) -> DispatchedCourier | None:
    """Start a courier and return at once.

    Args:
        way: With which interpreter.
        payload: A record that could not be spooled, handed over through standard input.
        attended_for: Seconds that somebody will wait for it before killing it; None when it is on
            its own from now on.
        patience: Seconds that the program waits at its end; None when it does not.
        at_exit: Whether it waits from now on, rather than having work of its own to do.
        by_hand: Whether a person asked for it: then it ignores earlier failures' backoff.
        warm_for: Seconds that it waits for a word before it does anything; None for no word.

    Returns:
        The courier, or None when none could be started, or not without the program's noticing.
    """
    said = {"--warm": warm_for, "--patience": patience}
    command = [
        *(way.interpreter, *_options(), MAIN_FILE, *COURIER_ARGUMENTS),
        *(f"{name}={seconds:.3f}" for name, seconds in said.items() if seconds is not None),
        *(_moment(attended_for, at_exit=at_exit) if attended_for is not None else ()),
        *(["--now"] if by_hand else ()),
        *(["--stdin"] if payload is not None else ()),
        *([f"--library={way.library}"] if way.library != os.path.dirname(_PACKAGE) else ()),
    ]
    try:
        with children.Unnoticed() as may_have_one:
            if not may_have_one:
                log.debug("no courier was started: the program would have noticed a child")
                return None
            try:
                courier = _launch(command, payload, is_warm=warm_for is not None)
            except (TypeError, NameError):
                courier = _launch_simply(command, payload)
    except Exception as error:  # noqa: BLE001  whoever forbids processes may raise anything
        log.debug("no courier could be started: %r", error)
        return None
    if attended_for is None and warm_for is None:
        courier.forget()
    return courier


def _moment(attended_for: float, *, at_exit: bool) -> list[str]:
    """Until when somebody waits; this clock is the whole machine's."""
    until = f"--until={time.monotonic() + attended_for:.3f}"
    return [until, "--at-exit"] if at_exit else [until]


def _launch(command: Sequence[str], payload: bytes | None, *, is_warm: bool) -> DispatchedCourier:
    """Start it, as nobody's child where there is a shell.

    Raises:
        OSError: There is no process, or none in time.
        TypeError: This interpreter starts processes in another way.
    """
    deadline = time.monotonic() + _LAUNCH_SECONDS
    has_shell = os.path.exists(_SHELL)
    if has_shell:
        command = [_SHELL, "-c", _LAUNCH, "migas", *command]
    source, entrance = _entrance(payload, is_warm=is_warm)
    try:
        number, end = posix.pipe()
        output = OwnDescriptor(number)
        try:
            try:
                pid = children.start(command, _environment(), source, end)
            finally:
                posix.close(end)
            if has_shell:
                pid = _left_behind(pid, output, deadline)
        except BaseException:  # Ctrl-C, say
            output.close()
            raise
    except BaseException:
        if entrance is not None:
            entrance.close()
        raise
    finally:
        posix.close(source)
    return DispatchedCourier(pid, output, is_child=not has_shell, entrance=entrance)


def _entrance(payload: bytes | None, *, is_warm: bool) -> tuple[int, OwnDescriptor | None]:
    """What becomes a courier's standard input; and of a warm one's, the end that is kept here."""
    if payload is None and not is_warm:
        return posix.open(os.devnull, posix.O_RDONLY | posix.O_CLOEXEC), None
    source, end = posix.pipe()
    if payload is None:
        return source, OwnDescriptor(end)
    try:
        # Smaller than a pipe's buffer: it lies there until the courier reads it.
        posix.set_blocking(end, False)
        if posix.write(end, payload) < len(payload):
            raise OSError("a pipe did not take the breadcrumb")
    except BaseException:
        posix.close(source)
        raise
    finally:
        posix.close(end)
    return source, None


def _left_behind(launcher: int, output: OwnDescriptor, deadline: float) -> int:
    """The pid of the courier that the shell has started, once the shell is gone."""
    line = b""
    try:
        while not line.endswith(b"\n"):
            number, text = output.number, b""
            if number is not None and _is_readable(number, deadline):
                text = posix.read(number, 64)
            if not text:
                raise OSError("no courier was started in time")
            line += text
    finally:
        if not children.reap(launcher, deadline):
            posix.killpg(launcher, _signal.SIGKILL)
            children.reap(launcher, time.monotonic() + _KILL_SECONDS)
    return int(line)


def _is_readable(number: int, deadline: float) -> bool:
    """Wait until there is something to read from a descriptor of ours, or its end."""
    poll = _select.poll()
    poll.register(number, _select.POLLIN)
    return bool(poll.poll(max(deadline - time.monotonic(), 0.0) * 1000))


def _reached_end(output: OwnDescriptor, deadline: float) -> bool:
    """Wait for a pipe's end; a deadline of the monotonic clock."""
    while (number := output.number) is not None:
        if not _is_readable(number, deadline):
            return False
        if not posix.read(number, 64):
            return True
    return True  # the program has closed it


def _launch_simply(command: Sequence[str], payload: bytes | None) -> DispatchedCourier:
    """Start it as a child: on Windows, and where an interpreter knows no other way."""
    import subprocess

    child = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL if payload is None else subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=os.path.abspath(os.sep),
        env=_environment(),
        close_fds=True,
        start_new_session=os.name != "nt",
        creationflags=(
            getattr(subprocess, "DETACHED_PROCESS", 0)
            | getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
        ),
    )
    if payload is not None and child.stdin is not None:
        # Smaller than a pipe's buffer: this never blocks.
        try:
            child.stdin.write(payload)
            child.stdin.close()
        except OSError as error:
            log.debug("the courier did not take the breadcrumb: %s", error)
    return DispatchedCourier(child.pid, None, child)


def _options() -> list[str]:
    """What a courier's interpreter is told: to be quick, and to be as isolated as this one.

    Of what the site has installed a courier takes only urllib3, and is told where that lies. To
    look through the rest, and to run what is to happen in every Python, takes 8 ms and more.
    Elsewhere than on Linux it needs platformdirs as well. Where somebody has changed Python for
    every program, its trust in certificates say, a courier is no exception.
    """
    needs_no_site = sys.platform.startswith("linux") and "sitecustomize" not in sys.modules
    flags = {
        "-P": True,
        "-S": needs_no_site,
        "-I": sys.flags.isolated,
        "-E": sys.flags.ignore_environment,
        "-s": sys.flags.no_user_site,
    }
    return [option for option, is_set in flags.items() if is_set]


def _environment() -> dict[str, str]:
    environ = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("PYTHON") or name in _KEPT_VARIABLES
    }
    environ[VARIABLE] = "1"
    return environ
