"""Several processes behind one listening socket, and one above them that answers no request.

They are forked before the first thread and the first event loop exist.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import threading
import time
from typing import TYPE_CHECKING

from migas.collector.errors import CollectorError

if TYPE_CHECKING:
    from collections.abc import Callable

    Work = Callable[[int, Callable[[], None]], None]

START_SECONDS = 60.0
PAUSE = 1.0
"""Seconds before a worker that ended by itself is replaced, and between looks at the parent."""

_log = logging.getLogger("migas.collector")


def supervise(
    number: int,
    work: Work,
    announce: Callable[[], None],
    mourn: Callable[[int], None],
    patience: float,
) -> None:
    """Run workers until SIGTERM or SIGINT, and replace those that end by themselves.

    Args:
        number: How many.
        work: What each of them does, given its number from 0 and what to call when it is ready.
            It returns when the process gets SIGTERM.
        announce: Called once, when all of them are ready.
        mourn: Called with the id of each process that ended by itself.
        patience: Seconds that a worker has to end before it is killed.

    Raises:
        CollectorError: A worker did not start, or this system has no `fork`.
    """
    if not hasattr(os, "fork"):
        raise CollectorError("this system runs one worker only: leave --workers out")
    stopping: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _frame: stopping.append(number))
    signal.signal(signal.SIGINT, lambda number, _frame: stopping.append(number))
    processes: dict[int, int] = {}
    try:
        for index in range(number):
            processes[_start(index, work, stopping)] = index
        if not stopping:
            announce()
        missing: list[int] = []
        while not stopping:
            time.sleep(PAUSE if missing else 0.1)  # a signal ends it early
            for index in missing[: not stopping]:
                try:
                    processes[_start(index, work, stopping)] = index
                    missing.remove(index)
                except (CollectorError, OSError) as error:  # the others go on
                    _log.error("worker %d is started again in a while: %s", index, error)
            for process in _ended(processes):
                missing.append(processes.pop(process))
                mourn(process)
                _log.error("worker %d ended by itself and is replaced", missing[-1])
    finally:
        _stop(processes, patience)


def _start(index: int, work: Work, stopping: list[int]) -> int:
    """Fork a worker and wait until it is ready."""
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:
        os.close(reading)
        _be_worker(index, work, writing)
    os.close(writing)
    try:
        deadline = time.monotonic() + START_SECONDS
        while not stopping:
            if select.select([reading], [], [], 0.1)[0]:
                if os.read(reading, 1):
                    break
                raise CollectorError("a worker did not start")
            if time.monotonic() > deadline:
                raise CollectorError(f"a worker did not start in {START_SECONDS:.0f} seconds")
    except CollectorError:
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        raise
    finally:
        os.close(reading)
    return process


def _be_worker(index: int, work: Work, writing: int) -> None:
    """Do a worker's work and end the process, without a word of the parent's own ending."""
    parent = os.getppid()
    status = 1
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        # Ctrl-C reaches the whole group; it is the parent who tells the workers.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        threading.Thread(target=_leave_with, args=(parent,), daemon=True).start()
        work(index, lambda: _say_ready(writing))
        status = 0
    except CollectorError as error:
        _log.error("worker %d: %s", index, error)
    except BaseException:  # noqa: BLE001  nothing may run on in what was the parent's code
        _log.exception("worker %d failed", index)
    finally:
        logging.shutdown()
        os._exit(status)


def _say_ready(writing: int) -> None:
    os.write(writing, b"+")
    os.close(writing)


def _leave_with(parent: int) -> None:
    """End this process as if told to, when the parent is gone and cannot tell it."""
    while os.getppid() == parent:
        time.sleep(PAUSE)
    os.kill(os.getpid(), signal.SIGTERM)


def _ended(processes: dict[int, int]) -> list[int]:
    return [process for process in processes if os.waitpid(process, os.WNOHANG)[0]]


def _stop(processes: dict[int, int], patience: float) -> None:
    for process in processes:
        os.kill(process, signal.SIGTERM)
    deadline = time.monotonic() + patience
    left = set(processes)
    while left and time.monotonic() < deadline:
        left -= set(_ended(dict.fromkeys(left, 0)))
        time.sleep(0.02)
    for process in left:
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
