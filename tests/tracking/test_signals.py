"""`signals=`: what a program gets told, how it dies, and what is as it was afterwards."""

from __future__ import annotations

import contextlib
import signal
import threading
import uuid
from typing import TYPE_CHECKING, Any

import pytest

import migas
from tests.support.programs import Program, bare, run_all, tracked

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Spool
    from tests.support.collector import CollectorProcess

TERMINATED = ("S", "Terminated (SIGUSR1)")


@pytest.fixture(autouse=True)
def default_action() -> Iterator[None]:
    """SIGUSR1 as a program finds it, and as it was before the test."""
    before = signal.signal(signal.SIGUSR1, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGUSR1, before)


def session(project: str = "lab/tool") -> migas.Session:
    return migas.session(project, "1.0.0", signals=["SIGUSR1"])


def handler() -> Any:
    return signal.getsignal(signal.SIGUSR1)


class Told:
    """A handler of the program's own."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.times = 0
        self.error = error

    def __call__(self, number: int, frame: object) -> None:
        self.times += 1
        if self.error is not None:
            raise self.error


def test_a_handler_is_there_while_the_run_is(spool: Spool) -> None:
    with session():
        assert callable(handler())
    assert handler() == signal.SIG_DFL


def test_a_run_that_asks_for_no_signals_changes_none(spool: Spool) -> None:
    with migas.session("lab/tool", "1.0.0"):
        assert handler() == signal.SIG_DFL


def test_signals_may_be_given_by_name_or_number_and_twice(spool: Spool) -> None:
    with migas.session("lab/tool", "1.0.0", signals=["SIGUSR1", 10, signal.SIGUSR1]):
        assert callable(handler())
    assert handler() == signal.SIG_DFL


def test_a_signal_that_is_ignored_stays_so(spool: Spool) -> None:
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    with session():
        assert handler() == signal.SIG_IGN
        signal.raise_signal(signal.SIGUSR1)
    assert spool.endings() == [("C", "Completed")]


def test_the_previous_handler_is_called_and_comes_back(spool: Spool) -> None:
    told = Told()
    signal.signal(signal.SIGUSR1, told)
    with session():
        signal.raise_signal(signal.SIGUSR1)
    assert told.times == 1
    assert handler() is told


def test_a_run_that_survives_the_signal_reports_its_real_end(spool: Spool) -> None:
    signal.signal(signal.SIGUSR1, Told())
    with contextlib.suppress(ValueError), session():
        signal.raise_signal(signal.SIGUSR1)
        raise ValueError("odd")
    assert spool.endings() == [("F", "Errored")]


@pytest.mark.parametrize("error", [SystemExit(0), SystemExit(143), InterruptedError("told")])
def test_a_handler_that_ends_the_run_by_an_exception_has_it_terminated(
    error: BaseException, spool: Spool
) -> None:
    signal.signal(signal.SIGUSR1, Told(error))
    with pytest.raises(type(error)) as caught, session():
        signal.raise_signal(signal.SIGUSR1)
    assert caught.value is error
    assert spool.endings() == [TERMINATED]


def test_an_exit_made_of_what_the_handler_raised_is_terminated_too(spool: Spool) -> None:
    signal.signal(signal.SIGUSR1, Told(InterruptedError()))
    with contextlib.suppress(SystemExit), session():
        try:
            signal.raise_signal(signal.SIGUSR1)
        except InterruptedError:
            raise SystemExit(1) from None
    assert spool.endings() == [TERMINATED]


def test_a_run_that_catches_what_the_handler_raised_reports_its_real_end(spool: Spool) -> None:
    signal.signal(signal.SIGUSR1, Told(InterruptedError()))
    with contextlib.suppress(ValueError), session():
        with contextlib.suppress(InterruptedError):
            signal.raise_signal(signal.SIGUSR1)
        raise ValueError("odd")
    assert spool.endings() == [("F", "Errored")]


def test_only_the_main_thread_sets_handlers(spool: Spool) -> None:
    seen: list[Any] = []

    def work() -> None:
        with session():
            seen.append(handler())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(30)
    assert seen == [signal.SIG_DFL]
    assert spool.endings() == [("C", "Completed")]


def test_runs_inside_one_another_share_one_handler(spool: Spool) -> None:
    with session():
        outer = handler()
        with session("lab/other"):
            assert handler() is outer
        assert handler() is outer
    assert handler() == signal.SIG_DFL


def test_all_open_runs_are_terminated_by_one_signal(spool: Spool) -> None:
    signal.signal(signal.SIGUSR1, Told(SystemExit(1)))
    with pytest.raises(SystemExit), session(), session("lab/other"):
        signal.raise_signal(signal.SIGUSR1)
    assert spool.endings() == [TERMINATED, TERMINATED]


def test_runs_that_end_out_of_order_restore_once_both_have_ended(spool: Spool) -> None:
    first, second = session().start(), session("lab/other").start()
    first.stop()
    assert callable(handler())
    second.stop()
    assert handler() == signal.SIG_DFL


def test_a_handler_that_the_program_sets_meanwhile_stays(spool: Spool) -> None:
    told = Told()
    with session():
        signal.signal(signal.SIGUSR1, told)
    assert handler() is told


def test_a_program_s_handler_may_call_ours_after_the_run(spool: Spool) -> None:
    before, after = Told(), Told()
    signal.signal(signal.SIGUSR1, before)
    with session():
        ours = handler()

        def chained(number: int, frame: Any) -> None:
            after(number, frame)
            ours(number, frame)

        signal.signal(signal.SIGUSR1, chained)
    signal.raise_signal(signal.SIGUSR1)
    assert (before.times, after.times) == (1, 1)


def test_a_later_run_over_a_handler_that_calls_ours_does_not_go_in_circles(spool: Spool) -> None:
    before = Told()
    signal.signal(signal.SIGUSR1, before)
    with session():
        ours = handler()

        def chained(number: int, frame: Any) -> None:
            ours(number, frame)

        signal.signal(signal.SIGUSR1, chained)
    with session():
        signal.raise_signal(signal.SIGUSR1)
    assert before.times == 1
    assert handler() is chained


def test_a_joined_run_asks_for_no_signals_of_its_own(spool: Spool) -> None:
    with migas.session("lab/tool", "1.0.0"), session():
        assert handler() == signal.SIG_DFL


# Programs

DEATH = """\
import os, signal, time
IMPORT
SETUP

@TRACK
def main():
    os.kill(os.getpid(), signal.NAME)
    time.sleep(20)

main()
"""

GROUP = """\
import os, signal, time
IMPORT
SETUP

@TRACK
def main():
    pid = os.fork()
    if not pid:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(20)
    print(os.waitpid(pid, 0)[1])

main()
"""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGUSR1", "SIGXCPU"])
@pytest.mark.parametrize("delivery", ["detached", "inline"])
def test_a_program_dies_by_the_signal_and_the_server_knows(
    name: str, delivery: str, tmp_path: Path, shared_collector: CollectorProcess
) -> None:
    text = DEATH.replace("NAME", name)
    session_id = str(uuid.uuid4())
    settings = {"MIGAS_ENDPOINT": shared_collector.url, "MIGAS_DELIVERY": delivery}
    with_it = tracked(text, f', signals=["{name}"]').replace(
        "setup()", f'setup(session_id="{session_id}", exit_timeout=20)'
    )
    seen, expected = run_all(
        [Program(with_it, tmp_path / "with", settings), Program(bare(text), tmp_path / "bare", {})]
    )
    assert seen == expected
    assert expected.status == -getattr(signal, name)
    rows = _wait_for(shared_collector, session_id)
    assert rows == [("S", f"Terminated ({name})")]


def _wait_for(collector: CollectorProcess, session_id: str) -> list[tuple[str, str]]:
    known = 0
    while True:
        crumbs = collector.wait_for_crumbs(known + 1)
        found = [
            (crumb["status"], crumb["status_desc"])
            for crumb in crumbs
            if crumb["session_id"] == session_id
        ]
        if found:
            return found
        known = len(crumbs)


def test_a_forked_child_that_a_signal_ends_leaves_the_run_to_its_parent(
    tmp_path: Path, spool: Spool
) -> None:
    settings = {"MIGAS_ENDPOINT": "http://127.0.0.1:9", "MIGAS_DELIVERY": "spool"}
    ended = Program(tracked(GROUP, ', signals=["SIGTERM"]'), tmp_path, settings).run()
    assert ended.stdout == f"{int(signal.SIGTERM)}\n"
    assert spool.endings() == [("C", "Completed")]
