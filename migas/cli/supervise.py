"""`migas run`: any program, Python or not, reported as a run and else as if it ran alone.

The program is our child in our own process group, with our standard streams and descriptors, so the
terminal sees one job. What others send to us goes on to it, what the terminal sends has reached it
already; when it stops, we stop, and its exit status is ours.
"""

from __future__ import annotations

import errno
import os
import signal
import sys

from migas.message import is_owner_and_repo, outcome
from migas.settings import permission, setup
from migas.tracking import Plan
from migas.tracking.session import Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Sequence
    from typing import NoReturn

    from migas.message.outcome import Outcome

    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001  it has no public name

NOT_FOUND, NOT_EXECUTABLE = 127, 126
"""Exit statuses by which a shell says that there was nothing to run."""

_FORWARDED = ("SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM", "SIGUSR1", "SIGUSR2")
_STOPPING = (signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU) if os.name == "posix" else ()
_CRASHES = ("SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGABRT", "SIGSYS", "SIGTRAP")
_IGNORED_BY_PYTHON = ("SIGPIPE", "SIGXFSZ")
_BY_KERNEL = 0x80
"""`si_code` of what the kernel sends, as a terminal does to its whole foreground group."""


class _SupervisedRun(Session):
    """A run whose end its supervisor knows."""

    def end_as(self, ended: Outcome) -> None:
        self.place.leave()
        self._guarded(lambda: self._end(ended))


def register(subparsers: Subparsers) -> None:
    """Add `run` to the `migas` command."""
    parser = subparsers.add_parser(
        "run", help="run any program and report how it ended", usage=_USAGE, description=_ABOUT
    )
    _add_arguments(parser)
    parser.set_defaults(run=lambda _options: main(sys.argv[2:]))


def main(arguments: Sequence[str]) -> int:
    """Run a program and report how it ended.

    Args:
        arguments: What follows `migas run`.

    Returns:
        The program's exit status, 128+n when signal n ended it; 127 or 126 when there is no such
        program or it cannot be run; 2 for a wrong command line.
    """
    options, command = _parsed(arguments)
    try:
        # What the program is written in is not known, and what we are says nothing of it.
        language = {"language": "unknown", "language_version": "0"}
        plan = Plan(options["--project"], options["--version"], fields=language)
    except (TypeError, ValueError) as error:
        _explain(arguments, str(error))
    if not is_owner_and_repo(options["--project"]):
        _explain(arguments, f"{options['--project']!r} is no project; it must be OWNER/REPO")
    if not command[0]:
        return _not_started(command, FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT)))
    if permission.refusal_by_user() is not None or not hasattr(os, "posix_spawnp"):
        return _become(command)
    return _supervise(command, plan)


def read_end(
    wait_status: int, *, arrived: Iterable[int] = (), was_out_of_memory: bool = False
) -> tuple[int, Outcome]:
    """What a wait status says of a program.

    Args:
        wait_status: As `os.waitpid` gives it.
        arrived: The signals that were sent to us while it ran. A program or shell that turns one
            into the exit status 128+n was ended by it.
        was_out_of_memory: Whether the kernel killed for want of memory meanwhile.

    Returns:
        The exit status that a shell would give, and how the run ended.
    """
    by_signal = os.WIFSIGNALED(wait_status)
    code = 128 + os.WTERMSIG(wait_status) if by_signal else os.WEXITSTATUS(wait_status)
    if was_out_of_memory and code == 128 + signal.SIGKILL:
        return code, outcome.failed("Killed (out of memory)")
    if not by_signal and code - 128 not in arrived:
        ended = outcome.exited(code)
        ended.pop("error_type", None)  # the program need not know of any SystemExit
        return code, ended
    try:
        name = signal.Signals(code - 128).name
    except ValueError:
        name = f"signal {code - 128}"
    if name == "SIGINT":
        return code, outcome.suspended()
    if name in _CRASHES:
        return code, outcome.failed(f"Crashed ({name})")
    from migas.host import environment

    return code, outcome.terminated(name, environment.scheduler())


_USAGE = "migas run --project OWNER/REPO --version VERSION -- COMMAND [ARGUMENT ...]"
_ABOUT = "Run any program as if it ran alone, and report how it ended."


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    from argparse import REMAINDER

    parser.add_argument("--project", required=True, metavar="OWNER/REPO", help="what it belongs to")
    parser.add_argument("--version", required=True, help="the project's version")
    parser.add_argument("command", nargs=REMAINDER, metavar="COMMAND", help="what to run")


def _parsed(arguments: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """The options and the program; argparse, which takes 15 ms, is asked only for explanations."""
    options: dict[str, str] = {}
    left = list(arguments)
    while left and left[0].startswith("-") and left[0] != "--":
        name, has_value, value = left.pop(0).partition("=")
        if name not in ("--project", "--version") or not (has_value or left):
            _explain(arguments, f"{name!r} is not understood")
        options[name] = value if has_value else left.pop(0)
    command = left[1:] if left[:1] == ["--"] else left
    if len(options) < 2 or not command:
        _explain(arguments, "there is no COMMAND to run")
    return options, command


def _explain(arguments: Sequence[str], problem: str) -> NoReturn:
    import argparse

    parser = argparse.ArgumentParser(prog="migas run", usage=_USAGE, description=_ABOUT)
    _add_arguments(parser)
    parser.parse_args(arguments)
    parser.error(problem)


def _supervise(command: list[str], plan: Plan) -> int:
    from migas.host import process

    forwarded = {getattr(signal, name) for name in _FORWARDED}
    awaited = {*forwarded, *_STOPPING, signal.SIGCHLD, signal.SIGCONT}
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # an ignored one would reap the program for us
    # Blocked before anything else begins: no thread of ours takes a signal, none is lost.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, awaited)
    setup.setup()
    run = _SupervisedRun(plan).start()
    kills = process.oom_kills()
    try:
        pid = _spawn(command, mask)
    except OSError as error:
        run.discard()
        return _not_started(command, error)
    arrived: set[int] = set()
    wait_status = _wait_for(pid, awaited, arrived)
    after = process.oom_kills()
    was_out_of_memory = any(after.get(path, 0) > count for path, count in kills.items())
    code, ended = read_end(wait_status, arrived=arrived, was_out_of_memory=was_out_of_memory)
    run.end_as(ended)
    # The signals stay blocked: the program has ended, and its exit status is to be ours.
    return code


def _spawn(command: list[str], mask: Iterable[int]) -> int:
    defaults = [getattr(signal, name) for name in _IGNORED_BY_PYTHON]
    try:
        return os.posix_spawnp(command[0], command, os.environ, setsigmask=mask, setsigdef=defaults)
    except OSError as error:
        if error.errno != errno.ENOEXEC:
            raise
    # A script without a first line that names its interpreter: a shell would run it itself.
    script = _by_shell(command)
    return os.posix_spawn("/bin/sh", script, os.environ, setsigmask=mask, setsigdef=defaults)


def _by_shell(command: list[str]) -> list[str]:
    """A command that has the shell run a script, the one that was found and no other."""
    from shutil import which

    return ["sh", os.path.abspath(which(command[0]) or command[0]), *command[1:]]


def _wait_for(pid: int, awaited: set[int], arrived: set[int]) -> int:
    """Pass signals on until the program has ended; returns its wait status."""
    while True:
        number, is_passed_on = _next_signal(awaited, pid)
        if number == signal.SIGCHLD:
            found, status = os.waitpid(pid, os.WNOHANG | os.WUNTRACED)
            if found and not os.WIFSTOPPED(status):
                return status
            if found and signal.SIGCONT not in signal.sigpending():
                _stop(os.WSTOPSIG(status))
            continue
        if number not in (signal.SIGCONT, *_STOPPING):
            arrived.add(number)
        if is_passed_on:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue


def _stop(number: int) -> None:
    """Stop as the program did, and only now: whoever waits for us takes the terminal then."""
    stopping = {number} & set(_STOPPING)
    # Sent while blocked: it becomes one with the terminal's own, which may still be pending; two
    # would stop us again right after whoever continues us.
    os.kill(os.getpid(), number)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, stopping)
    signal.pthread_sigmask(signal.SIG_BLOCK, stopping)


def _next_signal(awaited: set[int], pid: int) -> tuple[int, bool]:
    """The next signal, and whether the program has not got it yet."""
    if not hasattr(signal, "sigwaitinfo"):
        return signal.sigwait(awaited), True
    info = signal.sigwaitinfo(awaited)
    from_terminal = info.si_code == _BY_KERNEL
    from_the_program = info.si_code <= 0 and info.si_pid == pid  # to its group, and so to itself
    return info.si_signo, not (from_terminal or from_the_program)


def _become(command: list[str]) -> int:
    """Be the program from now on, with nothing of ours around it."""
    for name in _IGNORED_BY_PYTHON:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_DFL)
    try:
        os.execvp(command[0], command)  # noqa: S606  there is no text for a shell here
    except OSError as error:
        if error.errno != errno.ENOEXEC:
            return _not_started(command, error)
        os.execv("/bin/sh", _by_shell(command))  # noqa: S606  nor here


def _not_started(command: list[str], error: OSError) -> int:
    is_folder = error.errno == errno.EACCES and os.path.isdir(command[0])
    reason = os.strerror(errno.EISDIR) if is_folder else error.strerror
    sys.stderr.write(f"migas: {command[0]}: {reason}\n")
    return NOT_FOUND if error.errno == errno.ENOENT else NOT_EXECUTABLE
