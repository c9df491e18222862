"""Deaths that nobody reports: real ones, and what the next courier says of them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from migas.host import process
from tests.support.control_groups import little_memory
from tests.support.desk import PATIENT, PRELUDE, ROOT, RUN
from tests.support.records import open_record
from tests.support.worlds import own_processes

if TYPE_CHECKING:
    from tests.support.desk import Desk
    from tests.support.fault_server import FaultServer

IDLE = (
    f"{PRELUDE}\nimport time\nwith {RUN}:\n    print('open', flush=True)\n"
    "    for _ in range(6000): time.sleep(0.01)"
)


def end_of(desk: Desk, server: FaultServer) -> dict[str, Any]:
    """What the server hears of the one run that there was."""
    desk.flush()
    (crumb,) = server.breadcrumbs
    assert desk.spool.count()["open"] == 0
    return {name: crumb.get(name) for name in ("status", "status_desc")}


def killed_by(desk: Desk, number: int, source: str = IDLE, **how: Any) -> int:
    """Start a program, wait for its first line and send it a signal."""
    with desk.start(source, **how) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(number)
        return process.wait(20)


def bare(source: str) -> str:
    return source.replace(PRELUDE, "").replace(f"with {RUN}:", "if 1:")


@pytest.mark.parametrize(
    "name", ["SIGTERM", "SIGHUP", "SIGXCPU", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGALRM"]
)
def test_a_signal_with_its_default_action_is_known_by_name(
    desk: Desk, server: FaultServer, name: str
) -> None:
    number = signal.Signals[name]

    assert killed_by(desk, number) == -number
    assert end_of(desk, server) == {"status": "S", "status_desc": f"Terminated ({name})"}
    assert os.listdir(desk.state / "marks") == []


def test_a_death_of_sigpipe_is_known_and_no_batch_system_sent_it(
    desk: Desk, server: FaultServer
) -> None:
    source = (
        f"import signal\nsignal.signal(signal.SIGPIPE, signal.SIG_DFL)\n{PRELUDE}\nwith {RUN}:\n"
        "    while True: print('to nobody', flush=True)"
    )
    desk.settings["SLURM_JOB_ID"] = "1"
    with desk.start(source) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(20) == -signal.SIGPIPE

    assert end_of(desk, server) == {"status": "S", "status_desc": "Terminated (SIGPIPE)"}


def test_a_reader_that_goes_away_is_no_failure(desk: Desk, server: FaultServer) -> None:
    source = f"{PRELUDE}\nwith {RUN}:\n    while True: print('to nobody', flush=True)"
    with desk.start(source, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(20) != 0

    assert end_of(desk, server) == {"status": "S", "status_desc": "Terminated (SIGPIPE)"}


def test_sigkill_is_lost(desk: Desk, server: FaultServer) -> None:
    assert killed_by(desk, signal.SIGKILL) == -signal.SIGKILL
    assert end_of(desk, server) == {"status": "F", "status_desc": "Lost"}


def test_os_exit_is_lost(desk: Desk, server: FaultServer) -> None:
    ended = desk.run(f"{PRELUDE}\nimport os\nwith {RUN}:\n    os._exit(7)")

    assert (ended.status, ended.stderr) == (7, b"")
    assert end_of(desk, server) == {"status": "F", "status_desc": "Lost"}


@pytest.mark.parametrize(
    ("death", "number"),
    [("import ctypes; ctypes.string_at(0)", signal.SIGSEGV), ("os.abort()", signal.SIGABRT)],
)
def test_a_crash_is_known_by_its_signal(
    desk: Desk, server: FaultServer, death: str, number: signal.Signals
) -> None:
    ended = desk.run(f"{PRELUDE}\nimport os\nwith {RUN}:\n    {death}")

    assert (ended.status, ended.stdout, ended.stderr) == (-number, b"", b"")
    assert end_of(desk, server) == {"status": "F", "status_desc": f"Crashed ({number.name})"}


def test_a_programs_own_faulthandler_says_what_it_would_say(
    desk: Desk, server: FaultServer
) -> None:
    source = (
        f"{PRELUDE}\nimport ctypes, faulthandler\nfaulthandler.enable()\n"
        f"with {RUN}:\n    ctypes.string_at(0)"
    )

    tracked = desk.run(source)

    assert tracked.status == -signal.SIGSEGV
    assert tracked.stderr.startswith(b"Fatal Python error: Segmentation fault")
    assert end_of(desk, server) == {"status": "F", "status_desc": "Lost"}


def test_a_program_that_dumps_its_stack_at_a_signal_goes_on_doing_so(desk: Desk) -> None:
    source = (
        f"import faulthandler, os, signal\nfaulthandler.register(signal.SIGUSR1)\n{PRELUDE}\n"
        f"with {RUN}:\n    os.kill(os.getpid(), signal.SIGUSR1)\n    print('alive')"
    )

    ended = desk.run(source)

    assert (ended.status, ended.stdout) == (0, b"alive\n")
    assert b"most recent call first" in ended.stderr


def test_a_program_may_register_its_stack_dump_after_us(desk: Desk) -> None:
    source = (
        f"{PRELUDE}\nimport faulthandler, os, signal\n"
        f"with {RUN}:\n    faulthandler.register(signal.SIGUSR1)\n"
        "    os.kill(os.getpid(), signal.SIGUSR1)\n    print('alive')"
    )

    ended = desk.run(source)

    assert (ended.status, ended.stdout) == (0, b"alive\n")
    assert b"most recent call first" in ended.stderr


def test_a_handler_that_the_program_sets_later_works_in_it_and_in_its_children(
    desk: Desk,
) -> None:
    source = (
        f"{PRELUDE}\nimport os, signal, sys\n"
        f"with {RUN}:\n"
        "    signal.signal(signal.SIGTERM, lambda *_: os.write(1, b'handled\\n'))\n"
        "    child = os.fork()\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    if not child: os._exit(0)\n"
        "    assert os.waitpid(child, 0)[1] == 0\n"
    )

    ended = desk.run(source)

    assert (ended.status, ended.stdout) == (0, b"handled\nhandled\n")


def test_getsignal_shows_the_default_and_an_ignored_signal_stays_ignored(desk: Desk) -> None:
    source = (
        f"{PRELUDE}\nimport os, signal\nsignal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        f"with {RUN}:\n"
        "    os.kill(os.getpid(), signal.SIGHUP)\n"
        "    print(signal.getsignal(signal.SIGHUP).name, signal.getsignal(signal.SIGTERM).name)"
    )

    assert desk.run(source).stdout == b"SIG_IGN SIG_DFL\n"


def test_under_nohup_a_hangup_ends_nothing(desk: Desk, server: FaultServer) -> None:
    source = (
        f"{PRELUDE}\nimport os, signal\nwith {RUN}:\n"
        "    os.kill(os.getpid(), signal.SIGHUP)\n    print('alive', flush=True)"
    )

    ended = desk.run(source, prefix=["nohup"], stdin=subprocess.DEVNULL)

    assert (ended.status, ended.stdout) == (0, b"alive\n")
    assert end_of(desk, server) == {"status": "C", "status_desc": "Completed"}


def test_a_signal_for_sigwait_does_not_end_up_in_a_thread_of_ours(desk: Desk) -> None:
    source = (
        f"{PRELUDE}\nimport os, signal\nwith {RUN}:\n"
        "    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    print(signal.sigwait({signal.SIGTERM}).name)"
    )

    assert desk.run(source).stdout == b"SIGTERM\n"


def test_sigterm_does_not_wait_for_a_long_c_call(desk: Desk, server: FaultServer) -> None:
    # A power of this size takes many seconds and holds the GIL throughout: had death to wait for
    # it, the line after it would be printed, or the second program would be long dead.
    source = (
        f"{PRELUDE}\nwith {RUN}:\n"
        "    print('open', flush=True)\n    x = 3 ** 30_000_000\n    print('too late', flush=True)"
    )
    statuses = []
    for text in (source, bare(source)):
        with desk.start(text) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(0.2)
            process.terminate()
            assert process.stdout.read() == b""
            statuses.append(process.wait(60))

    assert statuses == [-signal.SIGTERM, -signal.SIGTERM]
    assert end_of(desk, server)["status_desc"] == "Terminated (SIGTERM)"


def test_a_childs_death_does_not_mark_its_parent(desk: Desk, server: FaultServer) -> None:
    source = (
        f"{PRELUDE}\nimport os, signal, time\nwith {RUN}:\n"
        "    child = os.fork()\n    if not child: time.sleep(60)\n"
        "    os.kill(child, signal.SIGTERM)\n"
        "    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGTERM\n"
        "    os._exit(3)"
    )

    assert desk.run(source).status == 3
    assert end_of(desk, server) == {"status": "F", "status_desc": "Lost"}


def test_a_terminated_pool_does_not_mark_its_parent(desk: Desk, server: FaultServer) -> None:
    source = (
        f"import multiprocessing, os\n{PRELUDE}\nif __name__ == '__main__':\n  with {RUN}:\n"
        "    with multiprocessing.get_context('fork').Pool(2) as pool:\n"
        "        print(pool.map(abs, [-1]))\n"
        "    os._exit(3)"
    )

    assert desk.run(source).status == 3
    assert end_of(desk, server) == {"status": "F", "status_desc": "Lost"}


def test_no_mark_is_written_into_a_file_of_a_program_that_closed_everything(desk: Desk) -> None:
    target = desk.folder / "data"
    source = (
        f"{PRELUDE}\nimport os, signal\nwith {RUN}:\n"
        "    os.closerange(3, 4096)\n"
        f"    files = [open({str(target)!r} + str(n), 'w') for n in range(50)]\n"
        "    os.kill(os.getpid(), signal.SIGTERM)"
    )

    assert desk.run(source).status == -signal.SIGTERM
    assert {path.read_bytes() for path in desk.folder.glob("data*")} == {b""}


def test_a_live_run_is_never_reported(desk: Desk, server: FaultServer) -> None:
    with desk.start(IDLE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        (path,) = desk.open()
        then = time.time() - 90 * 24 * 3600
        os.utime(path, (then, then))
        couriers = [desk.courier("--now") for _ in range(5)]
        for courier in couriers:
            courier.wait(30)
        assert desk.open() == [path]
        assert server.breadcrumbs == []
        process.kill()


def test_a_zombie_is_dead(desk: Desk, server: FaultServer) -> None:
    with desk.start(IDLE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)

        assert end_of(desk, server)["status_desc"] == "Lost"


def edited(desk: Desk, *, age: float = 0.0, **facts: Any) -> Path:
    """The record of a live run of this process, as if those facts were others."""
    made = open_record(desk.endpoint, **facts)
    path = Path(desk.spool.open(made))
    then = time.time() - age
    os.utime(path, (then, then))
    return path


def test_after_a_restart_a_run_is_lost_with_the_host(desk: Desk, server: FaultServer) -> None:
    edited(desk, boot="an earlier one", age=10**9)

    assert end_of(desk, server) == {"status": "F", "status_desc": "Lost"}
    server.clear()
    uptime = float(Path("/proc/uptime").read_text().split()[0])
    edited(desk, boot="an earlier one", age=min(uptime + 60, 47 * 3600))
    if uptime < 46 * 3600:
        assert end_of(desk, server)["status_desc"] == "Lost (the host restarted)"


def test_a_copy_of_this_machine_whose_run_is_alive_has_not_restarted(desk: Desk) -> None:
    path = edited(desk, boot="of the copy", age=0)

    desk.flush()

    assert desk.open() == [path]


ELSEWHERE = [
    {"machine": "another@host", "boot": "its boot"},
    {"namespace": "pid:[1]"},
    {"machine": "", "boot": "", "namespace": "", "started": ""},
]


@pytest.mark.parametrize("facts", ELSEWHERE)
def test_elsewhere_a_run_is_lost_after_two_days_of_silence(
    desk: Desk, server: FaultServer, facts: dict[str, str]
) -> None:
    path = edited(desk, age=47 * 3600, pid=4_000_000, **facts)
    desk.flush()
    assert desk.open() == [path]

    then = time.time() - 49 * 3600
    os.utime(path, (then, then))
    assert end_of(desk, server) == {"status": "F", "status_desc": "Lost"}


def test_a_signal_elsewhere_is_known_from_here_at_once(desk: Desk, server: FaultServer) -> None:
    killed_by(desk, signal.SIGTERM)
    (path,) = desk.open()
    (mark,) = (desk.state / "marks").iterdir()
    made = json.loads(path.read_text())
    path.unlink()
    made["process"].update(machine="another@host", boot="its boot")
    desk.spool.open(made)
    from migas.spool.marks import file_name

    shutil.copyfile(mark, desk.state / "marks" / file_name(made["process"]))

    assert end_of(desk, server)["status_desc"] == "Terminated (SIGTERM)"


@pytest.mark.parametrize("sees_proc", [False, True])
def test_a_live_run_in_another_pid_namespace_is_not_reported(
    desk: Desk, server: FaultServer, sees_proc: bool
) -> None:
    prefix = own_processes(sees_proc=sees_proc)
    with desk.start(IDLE, prefix=prefix, start_new_session=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        inside = subprocess.run(
            [*prefix, sys.executable, "-m", "migas", "flush", "--courier", "--now"],
            env=desk.environment(_MIGAS_COURIER="1"),
            cwd=ROOT,
            check=False,
        )
        assert inside.returncode == 0
        desk.flush()
        assert len(desk.open()) == 1
        assert server.breadcrumbs == []
        os.killpg(process.pid, signal.SIGKILL)


HALF_WRITTEN = """
from migas.courier.recovery import recover
from migas.spool import Spool
from migas.spool.record import OpenEntry
from tests.support.records import open_record
spool = Spool(STATE)
spool.prepare()
made = open_record()
assert not made["process"]["started"]
open(spool.folder("open", OpenEntry.name_for(made, 0)), "xb").close()
recover(spool)
print(spool.count()["open"], spool.dropped())
"""


def test_where_nobody_can_say_whether_it_lives_an_open_record_may_be_being_written(
    desk: Desk,
) -> None:
    source = HALF_WRITTEN.replace("STATE", repr(str(desk.state)))

    ended = desk.run(source, prefix=own_processes(sees_proc=False))

    assert (ended.stdout, ended.stderr) == (b"1 {}\n", b"")


def test_process_1_survives_sigterm_as_bare_and_reports_its_end(
    desk: Desk, server: FaultServer
) -> None:
    source = (
        f"{PATIENT}\nimport os, signal\nassert os.getpid() == 1\nwith {RUN}:\n"
        "    os.kill(1, signal.SIGTERM)\n    print('alive')"
    )
    desk.delivery = "inline"

    ended = desk.run(source, prefix=own_processes())

    assert (ended.status, ended.stdout, ended.stderr) == (0, b"alive\n", b"")
    assert end_of(desk, server) == {"status": "C", "status_desc": "Completed"}


def test_out_of_memory_is_known_from_the_control_group(desk: Desk, server: FaultServer) -> None:
    with little_memory() as entering:
        source = (
            f"{entering}{PRELUDE}\n"
            f"with {RUN}:\n    x = bytearray(512 * 1024 * 1024)\n    print(len(x))"
        )
        assert desk.run(source).status == -signal.SIGKILL
        assert end_of(desk, server) == {"status": "F", "status_desc": "Killed (out of memory)"}


@pytest.mark.parametrize(
    ("own", "file", "text"),
    [
        ("0::/job/step", "job/step/memory.events", "low 0\nhigh 0\nmax 3\noom 2\noom_kill 2\n"),
        ("4:memory:/job", "memory/job/memory.oom_control", "under_oom 0\noom_kill 2\n"),
        ("4:memory:/outside/id", "memory/memory.oom_control", "under_oom 0\noom_kill 2\n"),
    ],
)
def test_both_versions_of_control_groups_are_read(
    tmp_path: Path, own: str, file: str, text: str
) -> None:
    groups = tmp_path / "cgroup"
    groups.write_text(f"9:cpu:/job\n{own}\n")
    events = tmp_path / "root" / file
    events.parent.mkdir(parents=True)
    events.write_text(text)

    assert process.oom_kills(str(tmp_path / "root"), str(groups)) == {str(events): 2}


def test_only_the_kernels_own_counters_are_read(tmp_path: Path) -> None:
    planted = tmp_path / "memory.events"
    planted.write_text("oom_kill 7\n")

    assert process.oom_count(str(planted)) is None
    assert process.oom_count(f"/sys/fs/cgroup/../../{planted}") is None


def test_a_live_run_touches_its_record_again_and_again(offline: Desk) -> None:
    source = (
        "import os, time\nfrom migas import delivery\ndelivery.TOUCH_SECONDS = 0.1\n"
        f"{PRELUDE}\nwith {RUN}:\n"
        "    folder = os.environ['MIGAS_STATE_DIR'] + '/open'\n"
        "    (path,) = [f'{folder}/{name}' for name in os.listdir(folder)]\n"
        "    for _ in range(2):\n"
        "        os.utime(path, (1, 1))\n"
        "        deadline = time.monotonic() + 20\n"
        "        while os.stat(path).st_mtime == 1 and time.monotonic() < deadline:\n"
        "            time.sleep(0.02)\n"
        "        print(os.stat(path).st_mtime > 1)\n"
    )
    assert offline.run(source).stdout == b"True\nTrue\n"
