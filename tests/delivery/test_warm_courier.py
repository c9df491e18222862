"""The courier that is ready before a run ends: nothing of it shows, and it goes after its use."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.desk import PATIENT, RUN, Desk, wait_until

if TYPE_CHECKING:
    import subprocess

    from tests.support.fault_server import FaultServer

RUNNING = f"""
import os, signal, sys, time
{PATIENT}

def wait():
    print("ready", flush=True)
    sys.stdin.readline()

with {RUN} as run:
"""


@pytest.fixture
def waiting(desk: Desk) -> Desk:
    """A user's place where the end of a program is waited for."""
    return Desk(desk.folder, desk.endpoint, delivery="inline")


def start(desk: Desk, body: str, head: str = "") -> subprocess.Popen[bytes]:
    """A program whose run is open and which waits for a line."""
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    process = desk.start(head + RUNNING + lines, stdin=-1)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    return process


def the_courier(desk: Desk) -> int:
    """The pid of the one courier, of one look: while it becomes a Python it is not seen."""
    found: list[int] = []

    def is_one() -> bool:
        found[:] = desk.couriers()
        return len(found) == 1

    wait_until(is_one)
    return found[0]


def _descriptors(pid: int) -> list[str]:
    try:
        return os.listdir(f"/proc/{pid}/fd")
    except (FileNotFoundError, PermissionError):  # gone, or dead and not yet waited for
        return []


def go_on(process: subprocess.Popen[bytes]) -> tuple[int, bytes]:
    """Have it go on to its end; its status, and what it wrote to standard error."""
    _stdout, stderr = process.communicate(b"\n", timeout=60)
    return process.returncode, stderr


def statuses(server: FaultServer) -> list[str]:
    return [crumb["status"] for crumb in server.breadcrumbs]


def test_the_one_that_waits_is_the_one_that_sends(waiting: Desk, server: FaultServer) -> None:
    process = start(waiting, "wait()\nprint(*os.listdir('/proc'))")
    courier = the_courier(waiting)
    stdout, stderr = process.communicate(b"\n", timeout=60)

    assert (process.returncode, stderr) == (0, b"")
    assert str(courier).encode() in stdout.split()
    assert statuses(server) == ["C"]
    wait_until(lambda: not waiting.couriers())


def test_it_has_nothing_of_the_program_s(waiting: Desk) -> None:
    process = start(waiting, "kept = open(__file__)\nwait()")
    courier = the_courier(waiting)
    of_program = {os.readlink(f"/proc/{process.pid}/fd/{number}") for number in (1, 2)}
    open_there = set()
    for path in Path(f"/proc/{courier}/fd").iterdir():
        with suppress(FileNotFoundError):  # it is importing, and closes what it has read
            open_there.add(os.readlink(path))

    assert not of_program & open_there
    assert os.readlink(f"/proc/{courier}/cwd") == "/"
    assert os.getsid(courier) != os.getsid(process.pid)
    assert go_on(process) == (0, b"")


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_it_goes_with_a_program_that_is_killed(
    waiting: Desk, server: FaultServer, end: signal.Signals
) -> None:
    process = start(waiting, "wait()")
    process.send_signal(end)
    process.communicate(timeout=60)

    assert process.returncode == -end
    wait_until(lambda: not waiting.couriers())
    assert statuses(server) == []
    assert len(waiting.open()) == 1


@pytest.mark.parametrize(
    "leave",
    [
        "os._exit(0)",
        "os.execv(sys.executable, [sys.executable, '-c', ''])",
        "os.close(0); os.closerange(3, 2000); os._exit(0)",
    ],
)
def test_it_goes_with_a_program_that_leaves_in_another_way(
    waiting: Desk, server: FaultServer, leave: str
) -> None:
    process = start(waiting, f"wait()\n{leave}")

    assert go_on(process) == (0, b"")
    wait_until(lambda: not waiting.couriers())
    assert statuses(server) == []


@pytest.mark.parametrize(
    "leave",
    ["run.discard()", "migas.setup(enabled=False)", "os.environ['MIGAS_OPTOUT'] = '1'"],
)
def test_it_goes_unused_where_nothing_is_to_be_sent(
    waiting: Desk, server: FaultServer, leave: str
) -> None:
    process = start(waiting, f"wait()\n{leave}")
    assert the_courier(waiting)

    assert go_on(process) == (0, b"")
    wait_until(lambda: not waiting.couriers())
    assert server.connections == 0
    assert waiting.open() == []


def test_a_late_opt_out_ends_it_at_once(waiting: Desk) -> None:
    process = start(
        waiting,
        "wait()\nmigas.setup(enabled=False)\nprint('out', flush=True)\nsys.stdin.readline()",
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"\n")
    process.stdin.flush()
    assert process.stdout.readline() == b"out\n"
    wait_until(lambda: not waiting.couriers())

    assert go_on(process) == (0, b"")


def test_another_one_is_started_where_it_has_died(waiting: Desk, server: FaultServer) -> None:
    process = start(waiting, "wait()")
    courier = the_courier(waiting)
    os.kill(courier, signal.SIGKILL)
    wait_until(lambda: not _descriptors(courier))

    assert go_on(process) == (0, b"")
    assert statuses(server) == ["C"]


def test_it_does_not_wait_for_ever(waiting: Desk, server: FaultServer) -> None:
    process = start(
        waiting,
        "wait()",
        head="from migas.delivery import couriers\ncouriers.WARM_SECONDS = 0.5\n",
    )
    wait_until(lambda: not waiting.couriers())

    assert go_on(process) == (0, b"")
    assert statuses(server) == ["C"]


def test_what_the_environment_says_at_the_end_counts(waiting: Desk, server: FaultServer) -> None:
    process = start(waiting, "wait()\nos.environ['HTTP_PROXY'] = 'http://127.0.0.1:1'")

    assert go_on(process) == (0, b"")
    assert server.connections == 0
    assert [crumb["status"] for crumb in waiting.waiting()] == ["C"]


@pytest.mark.parametrize("action", ["SIG_DFL", "SIG_IGN"])
def test_a_program_that_a_broken_pipe_ends_is_not_ended_by_it(
    waiting: Desk, server: FaultServer, action: str
) -> None:
    process = start(waiting, f"signal.signal(signal.SIGPIPE, signal.{action})\nwait()")

    assert go_on(process) == (0, b"")
    assert statuses(server) == ["C"]


def test_forked_children_leave_it_to_the_program(waiting: Desk, server: FaultServer) -> None:
    body = (
        "for _ in range(5):\n"
        "    pid = os.fork()\n"
        "    if not pid: sys.exit(0)\n"
        "    os.waitpid(pid, 0)\n"
        "wait()"
    )
    process = start(waiting, body)
    assert the_courier(waiting)

    assert go_on(process) == (0, b"")
    assert statuses(server) == ["C"]
    wait_until(lambda: not waiting.couriers())


def test_of_many_short_runs_no_more_start_than_before(waiting: Desk, server: FaultServer) -> None:
    source = (
        f"{PATIENT}\nfrom migas.delivery import spawn\nstarted = []\n"
        "launch = spawn._launch\n"
        "spawn._launch = lambda *a, **k: started.append(1) or launch(*a, **k)\n"
        f"for _ in range(30):\n    with {RUN}:\n        pass\n"
        "import atexit\n"
    )
    ended = waiting.run(source + "print(len(started))\n")

    assert (ended.status, ended.stderr) == (0, b"")
    assert int(ended.stdout) == 2
    wait_until(lambda: not waiting.couriers())
    assert statuses(server) == ["C"] * 30


def test_a_folder_that_was_erased_meanwhile_is_none_of_its_concern(
    waiting: Desk, server: FaultServer
) -> None:
    process = start(waiting, f"wait()\nimport shutil\nshutil.rmtree({str(waiting.state)!r})")

    assert go_on(process) == (0, b"")
    assert statuses(server) == ["C"]


def test_no_server_is_asked_that_was_not_there_a_moment_ago(tmp_path: Path) -> None:
    closed = Desk(tmp_path, "http://127.0.0.1:9", delivery="inline")
    assert closed.run(f"{PATIENT}\nwith {RUN}: pass").status == 0
    process = start(closed, "wait()")

    assert closed.couriers() == []
    assert go_on(process) == (0, b"")
