"""Forks, pools, threads and children: one process speaks for a run, and nobody waits for a lock."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.desk import NOBODY, PATIENT, PRELUDE, RUN

if TYPE_CHECKING:
    from tests.support.desk import Desk, Ended
    from tests.support.fault_server import FaultServer

STRICT = ["-X", "dev", "-W", "error"]
HEAD = f"import atexit, multiprocessing, os, subprocess, sys, threading, time\n{PRELUDE}\n"
MAIN = f"if __name__ == '__main__':\n  with {RUN} as run:\n"


def indented(text: str) -> str:
    return "".join(f"    {line}\n" for line in text.strip().splitlines())


def run(desk: Desk, body: str, head: str = "", **how: Any) -> Ended:
    return desk.run(f"{HEAD}{head}\n{MAIN}{indented(body)}", options=STRICT, **how)


def ends(desk: Desk) -> list[str]:
    """The final breadcrumbs' statuses that one flush delivers or that wait."""
    return [crumb["status"] for crumb in desk.waiting()]


FORKS = {
    "that leaves by os._exit": "pid = os.fork()\nif not pid: os._exit(0)\nos.waitpid(pid, 0)",
    "that leaves by sys.exit": "pid = os.fork()\nif not pid: sys.exit(0)\nos.waitpid(pid, 0)",
    "that raises": (
        "pid = os.fork()\nif not pid:\n    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)\n"
        "    raise ValueError\nos.waitpid(pid, 0)"
    ),
    "that runs on to the end of the block": ("pid = os.fork()\nif pid: os.waitpid(pid, 0)"),
    "whose child forks again": (
        "pid = os.fork()\nif not pid:\n    pid = os.fork()\n    os.waitpid(pid, 0) if pid else 0\n"
        "    os._exit(0)\nos.waitpid(pid, 0)"
    ),
    "fifty times": (
        "for _ in range(50):\n    pid = os.fork()\n    if not pid: os._exit(0)\n"
        "    assert os.waitpid(pid, 0)[1] == 0"
    ),
    "with an atexit of its own": (
        "pid = os.fork()\nif not pid:\n    atexit.register(print, 'left')\n    sys.exit(0)\n"
        "os.waitpid(pid, 0)"
    ),
}


@pytest.mark.parametrize("fork", FORKS)
def test_a_fork_changes_nothing(offline: Desk, fork: str) -> None:
    ended = run(offline, FORKS[fork])

    assert (ended.status, ended.stderr) == (0, b"")
    assert ended.stdout == (b"left\n" if "atexit" in fork else b"")
    assert ends(offline) == ["C"]
    assert offline.open() == []


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_a_pools_workers_say_nothing(offline: Desk, method: str) -> None:
    head = f"def work(n):\n    with {RUN}:\n        return n * n\n"
    body = (
        f"with multiprocessing.get_context('{method}').Pool(2) as pool:\n"
        "    print(pool.map(work, range(4)))\n"
    )

    ended = run(offline, body, head)

    assert (ended.status, ended.stdout, ended.stderr) == (0, b"[0, 1, 4, 9]\n", b"")
    assert ends(offline) == ["C"]


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_process_pool_executor_is_served(offline: Desk, method: str) -> None:
    head = "from concurrent.futures import ProcessPoolExecutor\ndef work(n): return n + 1\n"
    body = (
        f"context = multiprocessing.get_context('{method}')\n"
        "with ProcessPoolExecutor(2, mp_context=context) as pool:\n"
        "    print(list(pool.map(work, range(3))))\n"
    )
    # In 3.12 and later the executor's own thread makes this fork warn, with and without us.
    options = [] if method == "fork" else STRICT

    ended = offline.run(f"{HEAD}{head}\n{MAIN}{indented(body)}", options=options)

    assert (ended.status, ended.stdout) == (0, b"[1, 2, 3]\n")
    assert ends(offline) == ["C"]


def test_a_child_program_of_the_same_project_says_nothing(offline: Desk) -> None:
    (offline.folder / "child.py").write_text(f"{PRELUDE}\nwith {RUN}: pass\n")
    child = str(offline.folder / "child.py")

    ended = run(offline, f"subprocess.run([sys.executable, {child!r}], check=True)")

    assert (ended.status, ended.stderr) == (0, b"")
    assert ends(offline) == ["C"]


def test_a_fork_before_the_run_is_a_process_of_its_own(offline: Desk) -> None:
    source = (
        f"{HEAD}pid = os.fork()\nif pid: os.waitpid(pid, 0)\n"
        f"with {RUN}: pass\nif not pid: sys.exit(0)\n"
    )

    ended = offline.run(source, options=STRICT)

    assert (ended.status, ended.stderr) == (0, b"")
    assert ends(offline) == ["C", "C"]


def test_runs_in_a_thread_that_forks_are_served(offline: Desk) -> None:
    body = """
def work():
    pid = os.fork()
    if not pid: os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""
    # Forking with threads of one's own warns in 3.12 and later, with and without us.
    ended = offline.run(f"{HEAD}\n{MAIN}{indented(body)}")

    assert ended.status == 0
    assert ends(offline) == ["C"]


def test_forks_while_other_threads_end_runs_do_not_deadlock(offline: Desk) -> None:
    # The first mention of a name imports its room, and forking then is deadly with any library.
    source = f"""{HEAD}
stop, _ = False, migas.session
def spin():
    while not stop:
        with {RUN}: pass
threads = [threading.Thread(target=spin) for _ in range(4)]
for thread in threads: thread.start()
for _ in range(60):
    pid = os.fork()
    if not pid:
        with migas.session("lab/other", "1"): pass
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
stop = True
for thread in threads: thread.join()
"""
    ended = offline.run(source)

    assert ended.status == 0
    children = [crumb for crumb in offline.waiting() if crumb["project"] == "lab/other"]
    assert len(children) == 60
    assert offline.open() == []


def test_a_run_in_a_daemon_thread_ends_with_the_program(offline: Desk) -> None:
    source = f"""{HEAD}
opened = threading.Event()
def work():
    with {RUN}:
        opened.set()
        time.sleep(60)
threading.Thread(target=work, daemon=True).start()
opened.wait(60)
"""
    ended = offline.run(source, options=STRICT)

    assert (ended.status, ended.stderr) == (0, b"")
    assert ends(offline) == ["C"]


@pytest.mark.parametrize("delivery", ["detached", "inline"])
def test_a_run_that_ends_while_the_interpreter_shuts_down_is_delivered(
    desk: Desk, server: FaultServer, delivery: str
) -> None:
    desk.delivery = delivery
    head = HEAD.replace(PRELUDE, PATIENT)
    source = f"{head}\nrun = {RUN}\natexit.register(run.stop)\nrun.start()\n"

    ended = desk.run(source, options=STRICT)

    assert (ended.status, ended.stdout, ended.stderr) == (0, b"", b"")
    assert [crumb["status"] for crumb in server.wait_for_breadcrumbs(1)] == ["C"]


def test_an_explicit_call_leaves_no_thread_that_a_fork_would_warn_of(
    desk: Desk, server: FaultServer
) -> None:
    desk.delivery = "inline"
    body = """
assert migas.add_project("lab/tool", "1.0.0")["success"]
pid = os.fork()
if not pid: os._exit(0)
os.waitpid(pid, 0)
print(threading.active_count() <= 2)
"""
    ended = run(desk, body)

    assert (ended.status, ended.stdout, ended.stderr) == (0, b"True\n", b"")


def test_a_run_whose_thread_a_fork_has_stopped_is_not_taken_for_silent(offline: Desk) -> None:
    import time

    body = "pid = os.fork()\nif not pid: os._exit(0)\nos.waitpid(pid, 0)\nos._exit(1)"
    run(offline, body)

    (path,) = offline.open()
    assert path.stat().st_mtime > time.time() + 20 * 24 * 3600


def test_a_fork_lets_the_programs_own_signals_through(offline: Desk) -> None:
    body = """
import signal
before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
pid = os.fork()
assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == before
if not pid: os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
"""
    assert run(offline, body).status == 0


def test_a_program_that_gives_up_its_rights_is_not_disturbed(offline: Desk) -> None:
    # An ordinary user has none, and may still say so.
    user, group = (NOBODY, NOBODY) if os.geteuid() == 0 else (os.getuid(), os.getgid())
    ended = run(offline, f"os.setgid({group}); os.setuid({user})\nprint('hi')")

    assert (ended.status, ended.stdout, ended.stderr) == (0, b"hi\n", b"")


def test_four_threads_with_a_hundred_sessions_each(desk: Desk, server: FaultServer) -> None:
    source = f"""{HEAD}
def work():
    for _ in range(100):
        with {RUN}: pass
threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""
    ended = desk.run(source, options=STRICT)
    crumbs = server.wait_for_breadcrumbs(400, 30)

    assert (ended.status, ended.stderr) == (0, b"")
    assert len(crumbs) == len({crumb["session_id"] for crumb in crumbs}) == 400


def test_the_thread_is_gone_when_nothing_is_due(offline: Desk) -> None:
    source = f"{HEAD}\nprint(threading.active_count())"

    assert offline.run(source).stdout == b"1\n"
    assert sys.version_info >= (3, 11)
