"""Programs that have put something else in the place of threads, locks, processes and waiting.

Under gevent and eventlet what waits runs other code of the program's meanwhile; tools that watch a
program stand before its functions. None of this may be met on the way of a breadcrumb.
"""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from migas.delivery import spawn
from migas.host import children
from migas.host.files import OwnDescriptor
from tests.support.desk import Desk
from tests.support.programs import SIDE_BY_SIDE, bare, tracked

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.desk import Ended
    from tests.support.fault_server import FaultServer

PATCHES = {
    "gevent": "import gevent.monkey; gevent.monkey.patch_all()",
    # The first line says that it is no longer cared for.
    "eventlet": "import warnings; warnings.simplefilter('ignore')\n"
    "import eventlet; eventlet.monkey_patch()",
}
BEFORE = "PATCH\nIMPORT\nSETUP\n"
AFTER = "IMPORT\nSETUP\nPATCH\n"
# A courier leaves with the first run, and another one at the end.
GREEN = """\
import subprocess, sys, threading, time

@TRACK
def first():
    print("first")

@TRACK
def second():
    ticks = []
    def tick():
        for number in range(3):
            time.sleep(0.01)
            ticks.append(number)
    thread = threading.Thread(target=tick)
    thread.start()
    child = subprocess.run([sys.executable, "-c", "print('child')"], stdout=subprocess.PIPE)
    thread.join()
    print(child, ticks, threading.active_count())
    sys.exit(3)

first()
second()
"""
WATCHED = """\
import _thread, os, select, signal, subprocess, sys, threading, time
IMPORT
SETUP

def watched(name, function):
    def stand_in(*arguments, **named):
        if sys._getframe(1).f_globals["__name__"].startswith("migas."):
            print(name, "was called", flush=True)
        return function(*arguments, **named)
    return stand_in

for module, names in {
    subprocess: "Popen call run",
    os: "kill killpg pipe posix_spawn waitid waitpid",
    select: "poll select",
    threading: "Condition Event Lock RLock Thread current_thread enumerate get_ident main_thread",
    _thread: "RLock allocate_lock get_ident start_new_thread",
    time: "sleep",
}.items():
    for name in names.split():
        setattr(module, name, watched(name, getattr(module, name)))

@TRACK
def main():
    print("hi")

main()
"""
FORBIDDEN = """\
import sys
IMPORT
SETUP

def forbid(event, _arguments):
    if event in ("subprocess.Popen", "os.posix_spawn", "os.fork", "os.exec"):
        raise SystemError(event)

sys.addaudithook(forbid)

@TRACK
def main():
    print("hi")

main()
"""


def run_deliveries(desk: Desk, text: str, deliveries: tuple[str, ...]) -> tuple[Ended, list[Ended]]:
    """The bare program, and how it ends in each delivery, at places of their own."""
    places = [Desk(desk.folder / name, desk.endpoint, name) for name in ("bare", *deliveries)]
    for place in places:
        place.folder.mkdir()
    # An attended courier must not be killed, on a machine however busy.
    with_it = tracked(text).replace("migas.setup()", "migas.setup(exit_timeout=30)")
    texts = [bare(text), *[with_it] * len(deliveries)]
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        ended = list(pool.map(Desk.run, places, texts))
    return ended[0], ended[1:]


@pytest.mark.parametrize("order", [BEFORE, AFTER], ids=["before", "after"])
@pytest.mark.parametrize("framework", PATCHES)
def test_a_program_of_greenlets_is_the_bare_one_and_each_run_is_told_once(
    desk: Desk, server: FaultServer, framework: str, order: str
) -> None:
    text = order.replace("PATCH", PATCHES[framework]) + GREEN

    expected, (detached, inline, spooled, logged) = run_deliveries(
        desk, text, ("detached", "inline", "spool", "log")
    )

    assert expected.status == 3
    assert detached == inline == spooled == expected
    assert (logged.status, logged.stdout) == (expected.status, expected.stdout)
    # From Python 3.14 on eventlet complains of a lock of the interpreter's own.
    told = logged.stderr.removeprefix(expected.stderr).splitlines()
    assert [line[:16] for line in told] == [b"migas would send"] * 2
    waiting = Desk(desk.folder / "spool").waiting()
    assert [crumb["status"] for crumb in waiting] == ["C", "F"]
    crumbs = server.wait_for_breadcrumbs(4, 30)
    assert sorted(crumb["status"] for crumb in crumbs) == ["C", "C", "F", "F"]
    assert len({crumb["session_id"] for crumb in crumbs}) == 4


@pytest.mark.parametrize("framework", PATCHES)
def test_a_call_to_a_silent_server_ends_in_time_among_greenlets(
    desk: Desk, server: FaultServer, framework: str
) -> None:
    server.behave("silent")
    call = "print(migas.add_breadcrumb('lab/tool', '1.0.0', wait=True)['message'])"
    setup = "import migas; migas.setup(timeout=1)"

    expected = desk.run(f"{PATCHES[framework]}\nprint('No answer within 1 s')")
    ended = desk.run(f"{PATCHES[framework]}\n{setup}\n{call}")

    assert expected.status == 0
    assert ended == expected


def test_nothing_that_the_program_has_replaced_is_called(desk: Desk, server: FaultServer) -> None:
    expected, ended = run_deliveries(desk, WATCHED, ("detached", "inline"))

    assert (expected.status, expected.stdout, expected.stderr) == (0, b"hi\n", b"")
    assert ended == [expected, expected]
    assert len(server.wait_for_breadcrumbs(2, 30)) == 2


def test_where_a_hook_forbids_processes_the_breadcrumb_waits(desk: Desk) -> None:
    expected, ended = run_deliveries(desk, FORBIDDEN, ("detached", "inline"))

    assert (expected.status, expected.stdout, expected.stderr) == (0, b"hi\n", b"")
    assert ended == [expected, expected]
    assert len(Desk(desk.folder / "detached").waiting()) == 1
    assert len(Desk(desk.folder / "inline").waiting()) == 1


def test_a_shell_that_starts_no_courier_is_not_waited_for(tmp_path: Path) -> None:
    number, end = os.pipe()
    output = OwnDescriptor(number)
    source = os.open(os.devnull, os.O_RDONLY)
    launcher = children.start(["/bin/sh", "-c", "exec sleep 60"], {}, source, end)
    for one in (source, end):
        os.close(one)

    with pytest.raises(OSError, match="in time"):
        spawn._left_behind(launcher, output, time.monotonic() + 0.1)

    output.close()
    with pytest.raises(ProcessLookupError):
        os.kill(launcher, signal.SIGKILL)
