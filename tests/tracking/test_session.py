"""`session`: a block, or two explicit calls, that are a run."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sys
import weakref
from typing import TYPE_CHECKING, Any

import pytest

import migas
from migas.settings import setup
from migas.tracking import nesting
from tests.support.programs import Program

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Spool
    from tests.support.collector import CollectorProcess
    from tests.support.fault_server import FaultServer

COMPLETED = ("C", "Completed")


def session(**options: Any) -> migas.Session:
    return migas.session("lab/tool", "1.0.0", **options)


# A block


def test_a_block_is_a_run(spool: Spool) -> None:
    with session() as run:
        assert [crumb["session_id"] for crumb in spool.open_crumbs()] == [run.session_id]
    assert spool.endings() == [COMPLETED]
    assert spool.crumbs()[0]["session_id"] == run.session_id


def test_an_asynchronous_block_is_a_run(spool: Spool) -> None:
    async def main() -> None:
        async with session():
            await asyncio.sleep(0)

    asyncio.run(main())
    assert spool.endings() == [COMPLETED]


def test_an_exception_leaves_the_block_and_is_told(spool: Spool) -> None:
    error = ValueError("odd")
    with pytest.raises(ValueError, match="odd") as caught, session():
        raise error
    assert caught.value is error
    assert spool.crumbs()[0]["error_desc"] == "odd"


def test_an_exception_leaves_an_asynchronous_block_and_is_told(spool: Spool) -> None:
    async def main() -> None:
        async with session():
            raise ValueError("odd")

    with pytest.raises(ValueError, match="odd"):
        asyncio.run(main())
    assert spool.endings() == [("F", "Errored")]


def test_a_session_keeps_no_exception(spool: Spool) -> None:
    class MarkedError(Exception):
        pass

    run = session()
    try:
        with run:
            raise MarkedError
    except MarkedError as error:
        kept = weakref.ref(error)
    gc.collect()
    assert kept() is None


# Two calls


def test_start_and_stop_are_a_run(spool: Spool) -> None:
    run = session().start()
    assert len(spool.open_crumbs()) == 1
    run.stop()
    assert spool.endings() == [COMPLETED]


def test_stop_takes_the_exception_that_ended_the_run(spool: Spool) -> None:
    session().start().stop(ValueError("odd"))
    assert spool.crumbs()[0]["error_type"] == "ValueError"


def test_a_second_stop_says_nothing(spool: Spool) -> None:
    run = session().start()
    run.stop()
    run.stop(ValueError())
    assert spool.endings() == [COMPLETED]


def test_a_second_start_changes_nothing(spool: Spool) -> None:
    run = session().start()
    assert run.start() is run
    run.stop()
    assert len(spool.crumbs()) == 1


def test_a_session_that_never_started_says_nothing(spool: Spool) -> None:
    session().stop()
    assert spool.crumbs() == []


# What the program says of itself


def test_update_describes_the_end(spool: Spool) -> None:
    with session() as run:
        run.update(status_desc="Wrote 7 files")
    assert spool.endings() == [("C", "Wrote 7 files")]


def test_update_is_part_of_what_is_sent_if_the_program_dies(spool: Spool) -> None:
    with session() as run:
        run.update(user_type="dev")
        assert spool.open_crumbs()[0]["user_type"] == "dev"


def test_update_does_not_describe_a_failure(spool: Spool) -> None:
    with contextlib.suppress(ValueError), session() as run:
        run.update(status_desc="Wrote 7 files")
        raise ValueError("odd")
    assert spool.endings() == [("F", "Errored")]


def test_fail_makes_a_run_that_came_to_its_end_a_failure(spool: Spool) -> None:
    with session() as run:
        run.fail("Nothing converged")
    assert spool.endings() == [("F", "Nothing converged")]


def test_fail_and_an_exception_tell_both(spool: Spool) -> None:
    with contextlib.suppress(ValueError), session() as run:
        run.fail("Nothing converged")
        raise ValueError("odd")
    crumb = spool.crumbs()[0]
    assert (crumb["status_desc"], crumb["error_type"]) == ("Nothing converged", "ValueError")


def test_complete_takes_a_failure_back(spool: Spool) -> None:
    with session() as run:
        run.fail("Nothing converged")
        run.complete()
    assert spool.endings() == [COMPLETED]


def test_an_exception_counts_for_more_than_complete(spool: Spool) -> None:
    with contextlib.suppress(ValueError), session() as run:
        run.complete()
        raise ValueError
    assert spool.endings() == [("F", "Errored")]


@pytest.mark.parametrize(("code", "ending"), [(0, COMPLETED), (4, ("F", "Exited with code 4"))])
def test_set_exit_code_decides_the_end(code: int, ending: tuple[str, str], spool: Spool) -> None:
    with session() as run:
        run.set_exit_code(code)
    assert spool.endings() == [ending]


def test_discard_leaves_nothing_of_the_run(spool: Spool) -> None:
    with session() as run:
        run.discard()
        assert spool.open_crumbs() == []
    assert spool.crumbs() == []


def test_a_discarded_run_stays_so_when_the_program_sets_up_again(spool: Spool) -> None:
    with session() as run:
        run.discard()
        setup.setup()
        assert spool.open_crumbs() == []
    assert spool.crumbs() == []


def test_switching_off_inside_erases_the_open_record_at_once(spool: Spool) -> None:
    with session():
        migas.setup(enabled=False)
        assert spool.open_crumbs() == []
    assert spool.crumbs() == []


def test_a_bad_endpoint_given_inside_erases_the_open_record_at_once(spool: Spool) -> None:
    with session():
        migas.setup(endpoint="nowhere")
        assert spool.open_crumbs() == []
    assert spool.crumbs() == []


def test_switching_off_by_the_environment_inside_silences_the_run(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with session():
        monkeypatch.setenv("MIGAS_OPTOUT", "1")
    assert spool.crumbs() == spool.open_crumbs() == []


def test_a_run_that_was_opted_out_when_it_opened_stays_silent(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIGAS_OPTOUT", "1")
    with session() as run:
        monkeypatch.delenv("MIGAS_OPTOUT")
        run.fail("odd")
        with session():
            assert len(spool.open_crumbs()) == 1
    assert spool.endings() == [COMPLETED]


def test_setting_up_inside_a_run_is_early_enough(
    fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIGAS_DELIVERY", "spool")
    with session():
        assert not fresh.exists()
        migas.setup(endpoint="http://127.0.0.1:9")
        assert len(list(fresh.glob("open/*"))) == 1
    assert len(list(fresh.glob("ready/*"))) == 1


def test_what_setup_said_of_the_session_id_holds_for_a_run_already_open(
    fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIGAS_DELIVERY", "spool")
    given = "00000000-0000-4000-8000-000000000001"
    with session() as run:
        migas.setup(endpoint="http://127.0.0.1:9", session_id=given)
    assert run.session_id == given


# Inside one another


def test_a_session_of_the_same_project_inside_another_joins_it(spool: Spool) -> None:
    with session() as outer, session() as inner:
        inner.fail("is not asked")
    assert spool.endings() == [COMPLETED]
    assert inner.session_id == outer.session_id


def test_a_session_of_another_project_is_a_run_of_its_own(spool: Spool) -> None:
    with session(), migas.session("lab/other", "1.0.0"):
        pass
    assert sorted(crumb["project"] for crumb in spool.crumbs()) == ["lab/other", "lab/tool"]
    assert len({crumb["session_id"] for crumb in spool.crumbs()}) == 2


def test_a_session_of_another_version_is_a_run_of_its_own(spool: Spool) -> None:
    with session(), migas.session("lab/tool", "2.0.0"):
        pass
    assert len(spool.crumbs()) == 2


def test_a_session_joins_the_one_of_its_project_further_out(spool: Spool) -> None:
    with session(), migas.session("lab/other", "1.0.0"), session():
        pass
    assert len(spool.crumbs()) == 2


def test_an_ended_session_is_no_parent(spool: Spool) -> None:
    first = session().start()
    second = migas.session("lab/other", "1.0.0").start()
    first.stop()
    third = session().start()
    third.stop()
    second.stop()
    assert len(spool.crumbs()) == 3
    assert len({crumb["session_id"] for crumb in spool.crumbs()}) == 3
    assert nesting.current() is None


def test_runs_that_overlap_without_end_do_not_keep_those_that_ended(spool: Spool) -> None:
    kept = []
    running = migas.session("lab/tool", "0").start()
    for number in range(1, 20):
        kept.append(weakref.ref(running))
        following = migas.session("lab/tool", str(number)).start()
        running.stop()
        running = following
    running.stop()
    gc.collect()
    assert sum(reference() is not None for reference in kept) <= 2


# Waiting


def test_waiting_gives_the_server_s_answer(fresh: Path, shared_collector: CollectorProcess) -> None:
    migas.setup(endpoint=shared_collector.url)
    with session(wait=True) as run:
        pass
    assert run.response is not None
    assert run.response["latest_version"] is not None
    assert [crumb["status"] for crumb in shared_collector.crumbs() if _is_of(run, crumb)] == ["C"]
    assert list(fresh.glob("open/*")) == list(fresh.glob("ready/*")) == []


def _is_of(run: migas.Session, crumb: dict[str, Any]) -> bool:
    return bool(crumb["session_id"] == run.session_id)


def test_without_waiting_there_is_no_response(spool: Spool) -> None:
    with session() as run:
        pass
    assert run.response is None


@pytest.mark.parametrize("manner", ["refused", "silent", "reset", "500", "not-http", "drip"])
def test_waiting_for_a_server_that_does_not_answer_leaves_the_end_in_the_spool(
    manner: str, fresh: Path, server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.behave(manner)
    # No courier: what is left behind is to be seen.
    monkeypatch.setenv("_MIGAS_COURIER", "1")
    migas.setup(endpoint=server.url, timeout=0.3)
    with session(wait=True) as run:
        pass
    assert run.response is not None
    assert run.response["success"] is False
    assert run.response["message"]
    assert len(list(fresh.glob("ready/*.json"))) == 1
    assert list(fresh.glob("open/*")) == []


# Programs


def _program(lines: str, folder: Path) -> Program:
    head = 'import sys, migas\nmigas.setup(endpoint="http://127.0.0.1:9")\n'
    start = 'run = migas.session("lab/tool", "1.0.0").start()\n'
    return Program(head + start + lines, folder, {"MIGAS_DELIVERY": "spool"})


@pytest.mark.parametrize(
    ("lines", "ending"),
    [
        ("", COMPLETED),
        ("raise ValueError('odd')", ("F", "Errored")),
        ("raise KeyboardInterrupt", ("S", "Suspended")),
        ("run.fail('Nothing converged')", ("F", "Nothing converged")),
    ],
)
def test_a_session_that_is_never_stopped_ends_with_the_interpreter(
    lines: str, ending: tuple[str, str], tmp_path: Path, spool: Spool
) -> None:
    _program(lines, tmp_path).run()
    assert spool.endings() == [ending]


def test_a_program_with_a_session_that_is_never_stopped_shows_its_own_traceback(
    tmp_path: Path,
) -> None:
    ended = _program("raise ValueError('odd')", tmp_path).run()
    assert ended.status == 1
    assert ended.stderr.endswith("ValueError: odd\n")
    assert ended.stderr.count("File ") == 1


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
def test_a_program_with_a_short_run_has_no_thread_at_its_end(tmp_path: Path) -> None:
    lines = "run.stop()\nimport threading\nprint([t.name for t in threading.enumerate()][1:])\n"
    text = _program(lines, tmp_path)
    assert text.run().stdout in ("[]\n", "['migas-watch']\n")


GONE = """\
import gc, weakref
import migas
migas.setup(endpoint="http://127.0.0.1:9")
gc.disable()
run = migas.session("lab/tool", "1.0.0", init_ping=False)
with run, migas.session("lab/inner", "1.0.0", init_ping=False):
    pass
is_there = weakref.ref(run)
del run
print(is_there())
"""


def test_a_run_that_has_ended_is_gone_without_the_collector_of_cycles(tmp_path: Path) -> None:
    settings = {"MIGAS_DELIVERY": "spool", "MIGAS_STATE_DIR": str(tmp_path / "state")}
    assert Program(GONE, tmp_path, settings).run().stdout == "None\n"


# What a run in a program that has had others touches

EVENTS = """\
import os, sys
import migas
migas.setup(endpoint="http://127.0.0.1:9")
state, seen, pairs = os.environ["MIGAS_STATE_DIR"], [], []
for number in range(30):
    name = f"{number:016d}-00009-E-00000000-{number:032x}-{number:016x}.json"
    os.makedirs(f"{state}/ready", 0o700, exist_ok=True)
    open(f"{state}/ready/{name}", "w").close()
NAMES = {"open", "os.listdir", "os.rename", "os.remove", "os.mkdir", "os.utime"}
def look(event, details):
    if event in NAMES and not str(details[0]).endswith(".py"):
        seen.append((event, str(details[0]).replace(state, "").strip(os.sep).partition(os.sep)[0]))
sys.addaudithook(look)
for _ in range(30):
    seen.clear()
    with migas.session("lab/tool", "1.0.0"):
        pass
    pairs.append(seen.copy())
# Now and then one looks what others do here: it is believed for a moment.
print(*min(pairs, key=len), sep="\\n")
"""


def test_a_further_run_writes_one_file_twice_moves_it_once_and_lists_no_folder(
    tmp_path: Path,
) -> None:
    settings = {"MIGAS_DELIVERY": "spool", "MIGAS_STATE_DIR": str(tmp_path / "state")}
    ended = Program(EVENTS, tmp_path, settings).run()
    assert (ended.status, ended.stderr) == (0, "")
    assert ended.stdout.splitlines() == [
        "('open', 'open')",
        "('open', 'open')",
        "('os.rename', 'open')",
    ]
