"""A forked child that carries a run on when its opener is gone: it ends the run, and once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.desk import PRELUDE, RUN, wait_until

if TYPE_CHECKING:
    from tests.support.desk import Desk
    from tests.support.fault_server import FaultServer

# Whoever runs it reads its output to the end, and so waits for all that have inherited it.
DAEMON = """\
import os, sys, time
{prelude}

def until(condition):
    while not condition():
        time.sleep(0.01)

def leave_parent():
    parent = os.getpid()
    if os.fork():
        os._exit(0)
    until(lambda: os.getppid() != parent)

def become_daemon():
    leave_parent()
    os.setsid()
    leave_parent()
    os.closerange(3, 256)
    os.chdir("/")

"""
HEAD = DAEMON.format(prelude=PRELUDE)
ENDINGS = {
    "by its end": (f"with {RUN}: become_daemon()", "C", "Completed"),
    "by an exit": (f"with {RUN}:\n    become_daemon()\n    sys.exit(3)", "F", "Exited with code 3"),
    "with the interpreter": (f"run = {RUN}.start()\nbecome_daemon()", "C", "Completed"),
    "by the program's exit": (
        "migas.track_exit('lab/tool', '1.0.0')\nbecome_daemon()\nsys.exit(3)",
        "F",
        "Exited with code 3",
    ),
    "after what it has said meanwhile": (
        f"with {RUN} as run:\n    become_daemon()\n    run.fail('In vain')",
        "F",
        "In vain",
    ),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_program_that_becomes_a_daemon_ends(offline: Desk, ending: str) -> None:
    body, status, description = ENDINGS[ending]

    ended = offline.run(HEAD + body)

    assert (ended.status, ended.stdout, ended.stderr) == (0, b"", b"")
    assert offline.open() == []
    (crumb,) = offline.waiting()
    assert (crumb["status"], crumb["status_desc"]) == (status, description)


@pytest.mark.parametrize("delivery", ["detached", "inline"])
def test_a_daemon_sends_its_end(desk: Desk, server: FaultServer, delivery: str) -> None:
    desk.delivery = delivery
    prelude = "import migas; migas.setup(exit_timeout=30)"

    desk.run(DAEMON.format(prelude=prelude) + f"with {RUN}: become_daemon()")

    assert [crumb["status"] for crumb in server.wait_for_breadcrumbs(1)] == ["C"]


def test_a_daemon_that_was_taken_for_lost_has_the_last_word(
    desk: Desk, server: FaultServer
) -> None:
    # Nobody sees from outside that a run goes on in another process.
    desk.delivery = "spool"
    go_on = desk.folder / "go-on"
    body = f"with {RUN}:\n    become_daemon()\n    until(lambda: os.path.exists({str(go_on)!r}))"
    with desk.start(HEAD + body) as process:
        process.wait(60)
        wait_until(lambda: desk.flush()["delivered"])
        go_on.touch()
        process.communicate(timeout=60)
    desk.flush()

    lost, end = server.wait_for_breadcrumbs(2)
    assert (lost["status_desc"], end["status_desc"]) == ("Lost", "Completed")
    assert lost["session_id"] == end["session_id"]


ONCE = {
    "two children": f"""
ours, end = os.pipe()
with {RUN}:
    opener = os.getpid()
    is_first = not os.fork()
    if not is_first:
        os.close(end)
        if os.fork():
            os._exit(0)
        os.read(ours, 1)  # until the first one is gone
    until(lambda: os.getppid() != opener)
""",
    "a child whose parent has ended it": f"""
with {RUN}:
    opener = os.getpid()
    if not os.fork():
        until(lambda: os.getppid() != opener)
""",
}


@pytest.mark.parametrize("who", ONCE)
def test_a_run_that_several_carry_on_is_ended_once(offline: Desk, who: str) -> None:
    ended = offline.run(HEAD + ONCE[who])

    assert (ended.status, ended.stderr) == (0, b"")
    assert [crumb["status"] for crumb in offline.waiting()] == ["C"]
    assert offline.open() == []
