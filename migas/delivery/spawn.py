"""Dispatching the courier: a process of its own that sends what waits, so that nothing hangs here.

It is `python …/migas/__main__.py flush --courier`, in its own session, with nothing of the
program's: not its standard streams, not its descriptors, not its folder, and never as its child,
since a program that waits for its children must not meet one it does not know.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

from migas import log
from migas.delivery.way import MAIN_FILE, VARIABLE
from migas.host import children
from migas.host.descriptors import OwnDescriptor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from migas.delivery.way import Way

COURIER_ARGUMENTS = ("flush", "--courier")

# The shell starts the courier and ends at once, so that it becomes nobody's child. A command in the
# background reads /dev/null unless told otherwise, hence the detour for its standard input.
_LAUNCH = 'exec 3<&0; "$@" <&3 3<&- 2>/dev/null & echo $!'
_SHELL = "/bin/sh"
_LAUNCH_SECONDS = 1.0
"""The shell needs milliseconds. One that finds no room for a process tries for a quarter of a
minute, during which the program would stand still."""

_KEPT_VARIABLES = ("PYTHONPATH", "PYTHONHOME", "PYTHONUSERBASE", "PYTHONNOUSERSITE")


class DispatchedCourier:
    """A courier on its way, whose standard output is a pipe that closes with its life."""

    def __init__(
        self,
        pid: int,
        output: OwnDescriptor | None,
        child: subprocess.Popen[bytes] | None,
        entrance: OwnDescriptor | None = None,
    ) -> None:
        self._pid = pid
        self._output = output
        self._child = child
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
        if signal.getsignal(signal.SIGPIPE) != signal.SIG_IGN:
            return False
        word = " ".join(_moment(attended_for, at_exit=at_exit)).encode()
        try:
            return os.write(number, word) == len(word)
        except OSError:
            return False

    def kill(self) -> None:
        """End it now; what it has claimed goes back in time."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()
        elif self._pid > 1 and not self.wait(0.0):
            try:
                os.kill(self._pid, signal.SIGKILL)
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
    command = [way.interpreter, "-P", *_isolation(), MAIN_FILE, *COURIER_ARGUMENTS]
    if way.library != os.path.dirname(os.path.dirname(MAIN_FILE)):
        command.append(f"--library={way.library}")
    if by_hand:
        command.append("--now")
    if payload is not None:
        command.append("--stdin")
    if attended_for is not None:
        command += _moment(attended_for, at_exit=at_exit)
    if patience is not None:
        command.append(f"--patience={patience:.3f}")
    if warm_for is not None:
        command.append(f"--warm={warm_for:g}")
    is_kept = attended_for is not None or warm_for is not None
    try:
        with children.unnoticed() as may_have_one:
            if may_have_one:
                return _launch(command, payload, is_kept=is_kept, is_warm=warm_for is not None)
        log.debug("no courier was started: the program would have noticed a child")
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        log.debug("no courier could be started: %s", error)
    return None


def _moment(attended_for: float, *, at_exit: bool) -> list[str]:
    """Until when somebody waits; this clock is the whole machine's."""
    until = f"--until={time.monotonic() + attended_for:.3f}"
    return [until, "--at-exit"] if at_exit else [until]


def _launch(
    command: Sequence[str], payload: bytes | None, *, is_kept: bool, is_warm: bool
) -> DispatchedCourier:
    has_shell = os.path.exists(_SHELL)
    is_windows = os.name == "nt"
    child = subprocess.Popen(
        [_SHELL, "-c", _LAUNCH, "migas", *command] if has_shell else command,
        stdin=subprocess.DEVNULL if payload is None and not is_warm else subprocess.PIPE,
        stdout=subprocess.PIPE if has_shell else subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=os.path.abspath(os.sep),
        env=_environment(),
        close_fds=True,
        start_new_session=not is_windows,
        creationflags=_windows_flags() if is_windows else 0,
    )
    if payload is not None and child.stdin is not None:
        # Smaller than a pipe's buffer: this never blocks.
        try:
            child.stdin.write(payload)
            child.stdin.close()
        except OSError as error:
            log.debug("the courier did not take the breadcrumb: %s", error)
    if not has_shell or child.stdout is None:
        courier = DispatchedCourier(child.pid, None, child)
    else:
        with child.stdout as told:
            if not _is_ready(told.fileno(), _LAUNCH_SECONDS):
                os.killpg(child.pid, signal.SIGKILL)
                child.wait(_LAUNCH_SECONDS)
                raise subprocess.TimeoutExpired(_SHELL, _LAUNCH_SECONDS)
            first_line = told.readline()
            output = OwnDescriptor(os.dup(told.fileno())) if is_kept else None
        child.wait(_LAUNCH_SECONDS)
        entrance = _entrance(child) if is_warm else None
        courier = DispatchedCourier(int(first_line or b"0"), output, None, entrance)
    if not is_kept:
        courier.forget()
    return courier


def _entrance(child: subprocess.Popen[bytes]) -> OwnDescriptor | None:
    """The end of a warm courier's standard input that the program holds."""
    if child.stdin is None:
        return None
    entrance = OwnDescriptor(os.dup(child.stdin.fileno()))
    child.stdin.close()
    return entrance


def _reached_end(output: OwnDescriptor, deadline: float) -> bool:
    """Wait for a pipe's end; a deadline of the monotonic clock."""
    while (number := output.number) is not None:
        left = max(deadline - time.monotonic(), 0.0)
        if _is_ready(number, left) and not os.read(number, 64):
            return True
        if left <= 0:
            return False
    return True  # the program has closed it


def _is_ready(descriptor: int, seconds: float) -> bool:
    """Wait so long at most until there is something to read from a pipe, or its end."""
    import select

    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return bool(poll.poll(seconds * 1000))
    return bool(select.select([descriptor], [], [], seconds)[0])


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


def _windows_flags() -> int:
    return int(
        getattr(subprocess, "DETACHED_PROCESS", 0)
        | getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
    )
