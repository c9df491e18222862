"""Whole programs: pools, forks and late settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.programs import Program, bare, run_all, tracked

if TYPE_CHECKING:
    from pathlib import Path


POOL = """\
import multiprocessing, os, sys
from concurrent.futures import ProcessPoolExecutor
IMPORT

@TRACK
def square(number):
    return number * number

class Shift:
    def __init__(self, by):
        self.by = by

    @TRACK
    def apply(self, number):
        return number + self.by

@TRACK
def main(method):
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        print(list(pool.map(square, range(4))), list(pool.map(Shift(10).apply, range(4))))

if __name__ == "__main__":
    SETUP
    main(sys.argv[1])
"""

NEVER_AWAITED = """\
import gc
IMPORT
SETUP

@TRACK
async def main():
    pass

main()
gc.collect()
print("goes on")
"""

UNFINISHED = """\
import asyncio
IMPORT
SETUP

@TRACK
async def work():
    try:
        for number in range(9):
            yield number
    finally:
        await asyncio.sleep(0.05)
        print("cleaned up")

async def main():
    global kept
    asyncio.get_running_loop().slow_callback_duration = 3600  # a busy machine is no news
    kept = work()
    print(await anext(kept))

asyncio.run(main(), debug=True)
"""

FORK = """\
import os, sys
IMPORT
SETUP

@TRACK
def main():
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)
    return pid

if main():
    print("parent")
else:
    print("child")
"""

FORK_AT_ONCE = """\
import contextvars, os
IMPORT
SETUP

@TRACK
def child():
    pass

@TRACK
def main():
    pid = os.fork()
    if not pid:
        contextvars.Context().run(child)
        os._exit(0)
    os.waitpid(pid, 0)

main()
"""

LATE_OPTOUT = """\
import os, sys
IMPORT
SETUP

@migas.track("lab/tool", "1.0.0", signals=["SIGTERM"])
def main():
    migas.setup(enabled=False)
    state = os.environ["MIGAS_STATE_DIR"]
    print([os.listdir(f"{state}/{name}") for name in ("open", "ready")])
    import signal
    print(signal.getsignal(signal.SIGTERM) == signal.SIG_DFL)

main()
"""

LATE_SETUP = """\
import sys
IMPORT

@TRACK
def main():
    SETUP

main()
"""

SPOOLED = {"MIGAS_ENDPOINT": "http://127.0.0.1:9", "MIGAS_DELIVERY": "spool"}


def _waiting(folder: Path) -> int:
    return len(list((folder / "state").glob("ready/*.json")))


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers_of_a_pool_are_silent_and_their_results_right(method: str, tmp_path: Path) -> None:
    # What reads a pickled method in a forked worker warns of nothing, so neither may we.
    options = ("-W", "error")
    with_it = Program(tracked(POOL), tmp_path / "with", SPOOLED, (method,), options)
    without = Program(bare(POOL), tmp_path / "bare", {}, (method,), options)
    seen, expected = run_all([with_it, without])
    assert seen == expected
    assert _waiting(with_it.folder) == 1


@pytest.mark.parametrize(
    "text", [NEVER_AWAITED, UNFINISHED], ids=["a coroutine never awaited", "a loop that shuts down"]
)
def test_a_program_that_leaves_things_undone_says_what_the_bare_one_says(
    text: str, tmp_path: Path
) -> None:
    with_it = Program(tracked(text), tmp_path / "with", SPOOLED)
    seen, expected = run_all([with_it, Program(bare(text), tmp_path / "bare", {})])
    assert seen == expected
    assert expected.status == 0


def test_a_forked_child_leaves_the_run_to_its_parent(tmp_path: Path) -> None:
    program = Program(tracked(FORK), tmp_path, SPOOLED, options=("-W", "error"))
    ended = program.run()
    assert (ended.status, ended.stderr) == (0, "")
    assert ended.stdout == "child\nparent\n"
    assert _waiting(tmp_path) == 1


def test_a_child_that_is_forked_in_the_moment_of_the_opening_knows_of_the_run(
    tmp_path: Path,
) -> None:
    assert Program(tracked(FORK_AT_ONCE), tmp_path, SPOOLED).run().status == 0
    assert _waiting(tmp_path) == 1


def test_switching_off_inside_the_function_leaves_nothing_of_the_run(tmp_path: Path) -> None:
    ended = Program(tracked(LATE_OPTOUT), tmp_path, SPOOLED).run()
    assert ended.stderr == ""
    assert ended.stdout == "[[], []]\nTrue\n"
    assert _waiting(tmp_path) == 0


def test_setting_up_inside_the_function_is_early_enough(tmp_path: Path) -> None:
    assert Program(tracked(LATE_SETUP), tmp_path, SPOOLED).run().stderr == ""
    assert _waiting(tmp_path) == 1


def test_without_setup_nothing_is_written(tmp_path: Path) -> None:
    text = tracked(LATE_SETUP).replace("migas.setup()", "pass")
    assert Program(text, tmp_path, SPOOLED).run().stderr == ""
    assert not (tmp_path / "state").exists()
