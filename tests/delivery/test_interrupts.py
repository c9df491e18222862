"""Interrupts in the middle of our own work: they are the program's, and no run is told wrongly."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.desk import PRELUDE, RUN

if TYPE_CHECKING:
    from tests.support.desk import Desk
    from tests.support.fault_server import FaultServer

INTERRUPTED_AT_FIRST = """
import os, time
function, calls = os.NAME, 0

def interrupted(*arguments):
    global calls
    calls += 1
    if calls == 1:
        raise KeyboardInterrupt
    return function(*arguments)

os.NAME = interrupted
"""


def test_whoever_is_interrupted_on_the_way_in_leaves_the_later_runs_alone(offline: Desk) -> None:
    source = (
        f"{INTERRUPTED_AT_FIRST.replace('NAME', 'write')}{PRELUDE}\n"
        f"try:\n    with {RUN}: print('never')\nexcept KeyboardInterrupt: print('interrupted')\n"
        f"for _ in range(3):\n    with {RUN}: pass"
    )
    ended = offline.run(source)
    assert (ended.status, ended.stdout, ended.stderr) == (0, b"interrupted\n", b"")
    assert [crumb["status"] for crumb in offline.waiting()] == ["C"] * 3
    assert offline.open() == []


def test_a_run_that_is_interrupted_on_the_way_out_has_ended_as_it_had(offline: Desk) -> None:
    source = (
        f"{INTERRUPTED_AT_FIRST.replace('NAME', 'rename')}{PRELUDE}\n"
        f"try:\n    with {RUN}: pass\nexcept KeyboardInterrupt: print('interrupted')"
    )
    ended = offline.run(source)
    assert (ended.status, ended.stdout, ended.stderr) == (0, b"interrupted\n", b"")
    assert [crumb["status"] for crumb in offline.waiting()] == ["C"]
    assert offline.open() == []


def test_an_interrupt_while_the_courier_is_waited_for_prints_nothing(
    desk: Desk, server: FaultServer
) -> None:
    server.behave("silent")
    desk.delivery = "inline"
    source = (
        f"import migas; migas.setup(exit_timeout=20)\nwith {RUN}: pass\nprint('end', flush=True)"
    )
    with desk.start(source) as process:
        assert process.stdout is not None
        process.stdout.readline()
        server.wait_for_requests(1)
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=15)
    assert (process.returncode, stderr) == (0, b"")
    assert desk.couriers() == []


def test_what_is_said_after_the_end_reaches_nobody(offline: Desk) -> None:
    ended = offline.run(f"{PRELUDE}\nwith {RUN} as run: pass\nrun.update(user_type='dev')")
    assert ended.stderr == b""
    assert [crumb["status"] for crumb in offline.waiting()] == ["C"]
    assert offline.open() == []


LIMITED = (
    "import resource; import migas; migas.setup(exit_timeout=30)\n"
    f"with {RUN} as run:\n"
    "    run.update(status_desc='x' * 1500)\n"
    "    resource.setrlimit(resource.RLIMIT_FSIZE, (%d, %d))"
)


@pytest.mark.parametrize("limit", [0, 300])
@pytest.mark.parametrize("delivery", ["detached", "inline"])
def test_a_run_whose_end_cannot_be_written_is_not_told_twice(
    desk: Desk, server: FaultServer, delivery: str, limit: int
) -> None:
    desk.delivery = delivery

    assert desk.run(LIMITED % (limit, limit)).stderr == b""
    server.wait_for_breadcrumbs(1)
    desk.flush()

    assert [crumb["status"] for crumb in server.breadcrumbs] == ["C"]
    assert desk.spool.count()["aside"] == 0


def test_a_record_that_cannot_grow_is_what_it_was(offline: Desk) -> None:
    """Nobody is there to be handed the end: the open record must not be torn."""
    assert offline.run(LIMITED % (300, 300)).stderr == b""
    (path,) = offline.open()
    assert offline.spool.read(str(path))["breadcrumb"]["status"] == "F"


def test_a_pipe_in_the_place_of_a_file_holds_nobody_up(offline: Desk) -> None:
    source = (
        f"import os; {PRELUDE}\nos.makedirs(os.environ['XDG_CONFIG_HOME'] + '/migas')\n"
        "os.mkfifo(os.environ['XDG_CONFIG_HOME'] + '/migas/user_id')\n"
        f"with {RUN}:\n"
        "    folder = os.environ['MIGAS_STATE_DIR']\n"
        "    (name,) = os.listdir(folder + '/open')\n"
        "    os.unlink(f'{folder}/open/{name}'); os.mkfifo(f'{folder}/open/{name}')\n"
        "    for name in ('looked', 'dropped'): os.mkfifo(f'{folder}/{name}')\n"
        "print('end')"
    )
    ended = offline.run(source)
    assert (ended.status, ended.stdout, ended.stderr) == (0, b"end\n", b"")
    offline.flush(5.0)


def test_a_forked_child_writes_into_the_files_that_the_program_has(offline: Desk) -> None:
    body = (
        "    files = [os.open(f'{number}.txt', os.O_WRONLY | os.O_CREAT) for number in range(60)]\n"
        "    files[:20] = [os.dup2(file, 695 + file) for file in files[:20]]\n"
        "    if not os.fork():\n"
        "        for file in files: os.write(file, b'child ')\n"
        "        os._exit(0)\n"
        "    os.wait()\n"
        "    for file in files: os.write(file, b'parent')\n"
        "    print({open(f'{number}.txt').read() for number in range(60)})\n"
    )
    ended = offline.run(
        f"import os; {PRELUDE}\nos.chdir({str(offline.folder)!r})\nwith {RUN}:\n{body}",
        options=["-W", "ignore"],
    )
    assert ended.stdout == b"{'child parent'}\n"


def test_a_child_with_an_environment_of_its_own_stays_silent_all_the_same(offline: Desk) -> None:
    child = f"{PRELUDE}\nwith {RUN}: pass"
    source = (
        f"import os, subprocess, sys; {PRELUDE}\n"
        "clean = {name: text for name, text in os.environ.items() if name != '_MIGAS_PARENT'}\n"
        f"with {RUN}:\n    subprocess.run([sys.executable, '-c', {child!r}], env=clean, check=True)"
    )
    assert offline.run(source).stderr == b""
    assert len(offline.waiting()) == 1
