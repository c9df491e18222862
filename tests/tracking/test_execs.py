"""`os.exec…` inside a run: whatever replaces the program, the run has not failed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.desk import PRELUDE, RUN

if TYPE_CHECKING:
    from tests.support.desk import Desk
    from tests.support.fault_server import FaultServer

HEAD = f"import inspect, os, sys\n{PRELUDE}\n"
REPLACED = ("C", "Replaced by another program")
WAYS = {
    "execv": "os.execv('/bin/sh', ['sh', '-c', 'echo new; exit 7'])",
    "execve": "os.execve('/bin/sh', argv=['sh', '-c', 'echo new; exit 7'], env={})",
    "execvp": "os.execvp('sh', ['sh', '-c', 'echo new; exit 7'])",
    "a number": (
        "os.execve(os.open('/bin/sh', os.O_RDONLY), ['sh', '-c', 'echo new; exit 7'], os.environ)"
    ),
}
FAILURES = {
    "that is not there": "os.execvp('no-such-program', ['x'])",
    "that is none": "os.execv(sys.argv[0], ['x'])",
    "that is called wrongly": "os.execv('/bin/sh', 7)",
}


def ended_runs(desk: Desk, server: FaultServer) -> list[tuple[str, str]]:
    desk.flush()
    return [(crumb["status"], crumb["status_desc"]) for crumb in server.breadcrumbs]


@pytest.fixture
def quiet(desk: Desk) -> Desk:
    desk.delivery = "spool"
    return desk


@pytest.mark.parametrize("way", WAYS)
def test_a_program_that_another_one_replaces_has_not_failed(
    quiet: Desk, server: FaultServer, way: str
) -> None:
    ended = quiet.run(f"{HEAD}with {RUN}:\n    {WAYS[way]}")

    assert (ended.status, ended.stdout, ended.stderr) == (7, b"new\n", b"")
    assert ended_runs(quiet, server) == [REPLACED]


def test_what_the_program_has_said_of_its_end_stands(quiet: Desk, server: FaultServer) -> None:
    quiet.run(f"{HEAD}with {RUN} as run:\n    run.fail('In vain')\n    {WAYS['execv']}")

    assert ended_runs(quiet, server) == [("F", "In vain")]


def test_a_child_that_another_program_replaces_says_nothing(
    quiet: Desk, server: FaultServer
) -> None:
    source = f"{HEAD}with {RUN}:\n    if not os.fork(): {WAYS['execv']}\n    os.wait()"

    assert quiet.run(source).stdout == b"new\n"
    assert ended_runs(quiet, server) == [("C", "Completed")]


@pytest.mark.parametrize("failure", FAILURES)
def test_a_program_that_is_not_replaced_goes_on(
    quiet: Desk, server: FaultServer, failure: str
) -> None:
    body = FAILURES[failure]
    # Killed, so that what the record says by then is what is told.
    text = f"try:\n        {body}\n    except (OSError, TypeError): pass\n    os._exit(1)"

    quiet.run(f"{HEAD}with {RUN}:\n    {text}")

    assert ended_runs(quiet, server) == [("F", "Lost")]


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failure_to_replace_a_program_shows_as_without_us(quiet: Desk, failure: str) -> None:
    ours = quiet.run(f"{HEAD}with {RUN}:\n    {FAILURES[failure]}")
    theirs = quiet.run(f"{HEAD}if True:\n    {FAILURES[failure]}")

    line = f"    with {RUN}:\n".encode()
    assert (ours.status, ours.stderr.replace(line, b"")) == (theirs.status, theirs.stderr)


def test_the_functions_of_the_system_look_as_before(quiet: Desk) -> None:
    look = (
        "print([(f.__name__, f.__module__, f.__doc__, str(inspect.signature(f))) "
        "for f in (os.execv, os.execve)], os.execve in os.supports_fd)"
    )

    ours = quiet.run(f"{HEAD}with {RUN}:\n    {look}")

    assert (ours.status, ours.stdout) == (0, quiet.run(f"{HEAD}{look}").stdout)
