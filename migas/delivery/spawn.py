"""Dispatching the courier: a process of its own that sends what waits, so that nothing hangs here.

It is `python …/migas/__main__.py flush --courier`, in its own session, with nothing of the
program's: not its standard streams, not its descriptors, not its folder, and never as its child,
since a program that waits for its children must not meet one it does not know.
"""

from __future__ import annotations

import os
import signal
import sys
import time

from migas import log
from migas.host import children, originals
from migas.host.descriptors import OwnDescriptor

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess
    from collections.abc import Sequence

try:
    import posix
except ImportError:  # Windows
    pass

VARIABLE = "_MIGAS_COURIER"
"""Set in a courier's environment, so that nothing in it is tracked or starts another."""

COURIER_ARGUMENTS = ("flush", "--courier")

_INTERPRETERS = ("python", "pypy")

# The shell starts the courier and ends at once, so that it becomes nobody's child. A command in the
# background reads /dev/null unless told otherwise, hence the detour for its standard input.
_LAUNCH = 'exec 3<&0; "$@" <&3 3<&- 2>/dev/null & echo $!'
_SHELL = "/bin/sh"
_LAUNCH_SECONDS = 3.0
"""For so long the program waits for a shell that takes milliseconds."""

_KILL_SECONDS = 0.5
_KEPT_VARIABLES = ("PYTHONPATH", "PYTHONHOME", "PYTHONUSERBASE", "PYTHONNOUSERSITE")

_select = originals.copy_of("select")


class DispatchedCourier:
    """A courier on its way, whose standard output is a pipe that closes with its life.

    Args:
        pid: Its pid.
        output: The pipe, where there is one.
        child: What Python knows of it, where Python has started it.
        is_child: Whether it is a child of this process all the same.
    """

    def __init__(
        self,
        pid: int,
        output: OwnDescriptor | None,
        child: subprocess.Popen[bytes] | None = None,
        *,
        is_child: bool = False,
    ) -> None:
        self._pid = pid
        self._output = output
        self._child = child
        self._is_child = is_child

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

    def kill(self) -> None:
        """End it now; what it has claimed goes back in time."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()
        elif self._pid > 1 and not self.wait(0.0):
            try:
                posix.kill(self._pid, signal.SIGKILL)
            except OSError as error:
                log.debug("a courier could not be killed: %s", error)
        self.forget()

    def forget(self) -> None:
        """Let it go on alone."""
        if self._output is not None:
            output, self._output = self._output, None
            output.close()
        if self._is_child:
            children.reap(self._pid, time.monotonic())
        if self._child is not None and self._child.returncode is None:
            # It is meant to live on: `-X dev` must not call it a leak.
            self._child.returncode = 0


def can_start() -> bool:
    """Whether `sys.executable` is a plain interpreter, no frozen program or host."""
    executable = sys.executable
    return (
        bool(executable)
        and os.path.isabs(executable)
        and not getattr(sys, "frozen", False)
        and _is_interpreter(os.path.basename(executable))
        and VARIABLE not in os.environ
    )


def _is_interpreter(name: str) -> bool:
    """Whether a program's name is one such as `python3`, `python3.13t`, `pypy3.11` or `pythonw`."""
    name = name.lower().removesuffix(".exe")
    bare = name[:-1] if name[-1:].isalpha() else name
    return any(text.rstrip("0123456789.") in _INTERPRETERS for text in (name, bare))


def dispatch(
    payload: bytes | None = None,
    *,
    attended_for: float | None = None,
    patience: float | None = None,
    at_exit: bool = False,
    by_hand: bool = False,
) -> DispatchedCourier | None:
    """Start a courier and return at once.

    Args:
        payload: A record that could not be spooled, handed over through standard input.
        attended_for: Seconds that somebody will wait for it before killing it; None when it is on
            its own from now on.
        patience: Seconds that the program waits at its end; None when it does not.
        at_exit: Whether it waits from now on, rather than having work of its own to do.
        by_hand: Whether a person asked for it: then it ignores earlier failures' backoff.

    Returns:
        The courier, or None when none could be started, or not without the program's noticing.
    """
    command = [sys.executable, "-P", *_isolation(), _main_file(), *COURIER_ARGUMENTS]
    if by_hand:
        command.append("--now")
    if payload is not None:
        command.append("--stdin")
    if attended_for is not None:
        # This clock is the whole machine's.
        command.append(f"--until={time.monotonic() + attended_for:.3f}")
    if patience is not None:
        command.append(f"--patience={patience:.3f}")
    if at_exit:
        command.append("--at-exit")
    try:
        with children.unnoticed() as may_have_one:
            if not may_have_one:
                log.debug("no courier was started: the program would have noticed a child")
                return None
            try:
                courier = _launch(command, payload, attended_for)
            except (TypeError, NameError):
                courier = _launch_simply(command, payload)
    except Exception as error:  # noqa: BLE001  whoever forbids processes may raise anything
        log.debug("no courier could be started: %r", error)
        return None
    if attended_for is None:
        courier.forget()
    return courier


def _launch(
    command: Sequence[str], payload: bytes | None, attended_for: float | None
) -> DispatchedCourier:
    """Start it, as nobody's child where there is a shell.

    Raises:
        OSError: There is no process, or none in time.
        TypeError: This interpreter starts processes in another way.
    """
    seconds = _LAUNCH_SECONDS if attended_for is None else min(attended_for, _LAUNCH_SECONDS)
    deadline = time.monotonic() + seconds
    has_shell = os.path.exists(_SHELL)
    if has_shell:
        command = [_SHELL, "-c", _LAUNCH, "migas", *command]
    number, end = posix.pipe()
    output = OwnDescriptor(number)
    try:
        try:
            pid = _start(command, payload, end)
        finally:
            posix.close(end)
        if has_shell:
            pid = _left_behind(pid, output, deadline)
    except BaseException:  # Ctrl-C, say
        output.close()
        raise
    return DispatchedCourier(pid, output, is_child=not has_shell)


def _start(command: Sequence[str], payload: bytes | None, output: int) -> int:
    if payload is None:
        source = posix.open(os.devnull, posix.O_RDONLY | posix.O_CLOEXEC)
    else:
        source, end = posix.pipe()
    try:
        if payload is not None:
            # Smaller than a pipe's buffer: it lies there until the courier reads it.
            try:
                posix.set_blocking(end, False)
                if posix.write(end, payload) < len(payload):
                    raise OSError("a pipe did not take the breadcrumb")
            finally:
                posix.close(end)
        return children.start(command, _environment(), source, output)
    finally:
        posix.close(source)


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
            posix.killpg(launcher, signal.SIGKILL)
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


def _isolation() -> list[str]:
    """Options by which this interpreter was kept from its environment: the courier is, too."""
    flags = {"-I": sys.flags.isolated, "-E": sys.flags.ignore_environment}
    return [option for option, is_set in {**flags, "-s": sys.flags.no_user_site}.items() if is_set]


def _environment() -> dict[str, str]:
    environ = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("PYTHON") or name in _KEPT_VARIABLES
    }
    environ[VARIABLE] = "1"
    return environ


def _main_file() -> str:
    return os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "__main__.py")
