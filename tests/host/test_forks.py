"""Forks beside threads of ours, and beside what they have begun: nobody waits for ever."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.desk import COUNT_THREADS, PRELUDE, RUN

if TYPE_CHECKING:
    from tests.support.desk import Desk

STRICT = ["-X", "dev", "-W", "error"]

FORK = """
pid = os.fork()
if not pid: os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
"""

A_RUN_BESIDE = f"""
def work():
    with {RUN}: pass
thread = threading.Thread(target=work)
thread.start()
"""

BESIDE_THE_FIRST_RUN = f"""
import os, sys, threading, time
class NoCiInfo:
    def find_spec(self, name, *rest):
        if name == "ci_info":
            is_inside.set()
            time.sleep(0.2)
            raise ImportError("a bundle without it")
is_inside = threading.Event()
sys.meta_path.insert(0, NoCiInfo())
{PRELUDE}
import logging
{A_RUN_BESIDE}
is_inside.wait()
{FORK}
thread.join()
print("over")
"""
"""A fork takes the lock of `logging` and waits for the run to be open, which has to be logged."""


def test_a_fork_while_another_thread_opens_the_first_run_and_logs(offline: Desk) -> None:
    ended = offline.run(BESIDE_THE_FIRST_RUN, options=["-X", "dev"])

    assert (ended.status, ended.stdout) == (0, b"over\n")


WHILE_A_MODULE_LOADS = f"""
import os, sys, threading, time
from importlib.machinery import PathFinder
class SlowDisk:
    def find_spec(self, name, path, target=None):
        if name == "migas.settings.setup":
            spec = PathFinder.find_spec(name, path)
            load = spec.loader.exec_module
            def linger(module):
                is_inside.set()
                time.sleep(0.3)
                load(module)
            spec.loader.exec_module = linger
            return spec
is_inside = threading.Event()
sys.meta_path.insert(0, SlowDisk())
import migas
{A_RUN_BESIDE}
is_inside.wait()
import logging
{FORK}
thread.join()
print("over")
"""
"""`logging` comes, and a fork takes its lock, while a thread holds off forks."""

FORKS_WITHOUT_END = f"""
import os, sys, threading, time, logging
sys.frozen = True
os.register_at_fork(before=lambda: time.sleep(0.1))
{PRELUDE}
{A_RUN_BESIDE}
while thread.is_alive():
    {FORK.strip().replace(chr(10), chr(10) + "    ")}
    time.sleep(0.0005)
print("over")
"""
"""One fork after the other is in its hooks, whichever lock a thread takes to register its own."""


@pytest.mark.parametrize("source", [WHILE_A_MODULE_LOADS, FORKS_WITHOUT_END])
def test_whoever_comes_before_logging_at_forks_waits_for_no_fork(
    offline: Desk, source: str
) -> None:
    # That the program's own thread is there at its forks is nothing new to it.
    ended = offline.run(source, options=["-X", "dev", "-W", "ignore::DeprecationWarning"])

    assert (ended.status, ended.stdout, ended.stderr) == (0, b"over\n", b"")


@pytest.mark.parametrize("comes", ["before", "after"])
def test_a_fork_while_the_watch_logs_its_first_word(offline: Desk, comes: str) -> None:
    source = f"""
{COUNT_THREADS}
import threading, time
{"import logging" if comes == "before" else ""}
{PRELUDE}
from migas import log
from migas.delivery import hooks
begun = threading.Event()
def speak():
    begun.set()
    time.sleep(0.1)
    log.debug("a first word")
with {RUN}:
    import logging
    hooks.current().watch.call_later("speak", 0, speak)
    begun.wait()
    {FORK.strip().replace(chr(10), chr(10) + "    ")}
print(*threads)
"""

    ended = offline.run(source, options=STRICT)

    assert (ended.status, ended.stdout, ended.stderr) == (0, b"1\n", b"")


def test_a_child_does_not_take_its_thread_for_one_of_the_parent_that_was_broken_off(
    offline: Desk,
) -> None:
    source = """
import os, threading
from migas.transport import exchanges
exchanges.break_off(threading.get_ident())
pid = os.fork()
if not pid:
    exchanges.use(None)
    os._exit(0)
print(os.waitpid(pid, 0)[1])
"""

    assert offline.run(source, options=STRICT).stdout == b"0\n"
