"""The courier: whose it is, how long it lives, and what a program sees of it: nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.desk import PATIENT, PRELUDE, ROOT, RUN, last_statuses, wait_until
from tests.support.records import record

if TYPE_CHECKING:
    from tests.support.desk import Desk
    from tests.support.fault_server import FaultServer

SHORT = f"{PATIENT}\nwith {RUN}: print('hi')"


@pytest.fixture(autouse=True)
def no_courier_outlives_its_test(desk: Desk) -> Any:
    yield
    desk.end_couriers()


@pytest.mark.parametrize("delivery", ["detached", "inline"])
def test_a_runs_end_arrives(desk: Desk, server: FaultServer, delivery: str) -> None:
    desk.delivery = delivery

    ended = desk.run(SHORT)

    assert (ended.status, ended.stdout, ended.stderr) == (0, b"hi\n", b"")
    (crumb,) = server.wait_for_breadcrumbs(1)
    assert crumb["status"] == "C"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere more is needed")
def test_a_courier_starts_without_what_the_site_has_installed(
    desk: Desk, server: FaultServer
) -> None:
    server.behave("silent")

    desk.run(SHORT)

    wait_until(desk.couriers)
    (pid,) = desk.couriers()
    said = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    assert (b"-S" in said) == ("sitecustomize" not in sys.modules)


def test_spool_only_writes_until_a_flush(desk: Desk, server: FaultServer) -> None:
    desk.delivery = "spool"

    desk.run(SHORT)

    assert len(desk.waiting()) == 1
    assert desk.couriers() == []
    assert server.requests == []
    assert desk.flush() == {"delivered": 1, "refused": 0, "waiting": 0}


def test_log_prints_and_leaves_nothing(desk: Desk, server: FaultServer) -> None:
    desk.delivery = "log"

    ended = desk.run(SHORT)

    assert ended.stderr.startswith(b"migas would send {")
    assert not desk.state.exists()
    assert server.requests == []


@pytest.mark.parametrize("settings", [{"SLURM_JOB_ID": "7"}, {"CI": "true"}, {"PBS_JOBID": "7"}])
def test_where_nothing_may_outlive_it_a_program_waits(
    desk: Desk, server: FaultServer, settings: dict[str, str]
) -> None:
    desk.delivery = "auto"

    desk.run(SHORT, environment=desk.environment(**settings))

    assert len(server.breadcrumbs) == 1


def test_who_hangs_is_waited_for_no_longer_than_exit_timeout_and_killed(
    desk: Desk, server: FaultServer
) -> None:
    server.behave("silent")
    desk.delivery = "inline"
    source = SHORT.replace("=30", "=0.5")

    ended = desk.run(source)

    assert (ended.status, ended.stdout, ended.stderr) == (0, b"hi\n", b"")
    assert desk.couriers() == []
    assert sum(desk.spool.count().values()) == 1


def test_who_has_a_moment_left_gives_back_what_it_could_not_send(
    desk: Desk, server: FaultServer
) -> None:
    server.behave("silent")
    desk.delivery = "inline"

    desk.run(SHORT.replace("=30", "=4"))

    assert desk.spool.count() == {"open": 0, "ready": 1, "sending": 0, "aside": 0}
    assert (desk.state / "servers.json").exists()


def test_who_is_waited_for_does_not_wait_for_a_servers_silence_to_end(
    desk: Desk, server: FaultServer
) -> None:
    server.behave("429")
    desk.spool.put(record(server.url))
    code = (
        "import time; from migas.courier import main as courier; "
        "courier.main([f'--until={time.monotonic() + 50}'])"
    )

    subprocess.run([sys.executable, "-c", code], env=desk.environment(), check=True, timeout=30)

    assert desk.spool.count()["ready"] == 1


def test_a_slow_servers_answer_is_not_needed_for_storing(desk: Desk, server: FaultServer) -> None:
    server.behave("2s")
    desk.delivery = "inline"

    desk.run(SHORT.replace("=30", "=1.5"))

    assert len(last_statuses(server.wait_for_breadcrumbs(1))) == 1


def test_a_caller_that_reads_the_output_does_not_wait_for_a_courier(
    desk: Desk, server: FaultServer
) -> None:
    server.behave("silent")

    ended = desk.run(SHORT)  # returns when the pipes of its output are closed

    assert ended.stdout == b"hi\n"
    wait_until(lambda: server.requests)
    assert len(desk.couriers()) == 1


def test_a_courier_has_nothing_of_the_programs(desk: Desk, server: FaultServer) -> None:
    server.behave("silent")
    held = desk.folder / "held"
    source = (
        "import os\n"
        f"os.set_inheritable(os.open({str(held)!r}, os.O_CREAT | os.O_RDWR), True)\n"
        f"os.chdir({str(desk.folder)!r})\n{SHORT}"
    )

    desk.run(source, start_new_session=True)
    wait_until(lambda: server.requests)

    (pid,) = desk.couriers()
    proc = Path("/proc", str(pid))
    links = {os.readlink(link) for link in (proc / "fd").iterdir()}
    assert str(held) not in links
    assert {os.readlink(proc / "fd" / number) for number in ("0", "2")} == {"/dev/null"}
    assert os.readlink(proc / "cwd") == "/"
    command = (proc / "cmdline").read_bytes()
    assert b"lab/tool" not in command
    parent, _group, session = (proc / "stat").read_text().rpartition(")")[2].split()[1:4]
    assert parent != str(os.getpid())
    assert session not in (str(os.getsid(0)), "0")


WAITS_FOR_ANY = f"""{PRELUDE}
import os
with {RUN}:
    pass
with {RUN}:
    child = os.fork()
    if not child: os._exit(0)
    assert os.wait()[0] == child
try:
    print(os.wait())
except ChildProcessError:
    print('no child')
"""


@pytest.mark.parametrize("delivery", ["detached", "inline"])
def test_a_program_that_waits_for_its_children_meets_no_other(desk: Desk, delivery: str) -> None:
    desk.delivery = delivery

    ended = desk.run(WAITS_FOR_ANY)

    assert (ended.status, ended.stdout, ended.stderr) == (0, b"no child\n", b"")


def test_a_program_that_is_waiting_for_any_child_meets_no_other(
    desk: Desk, server: FaultServer
) -> None:
    source = f"""{PRELUDE}
import os, threading, time
child = os.fork()
if not child:
    time.sleep(1)
    os._exit(0)
met = []
thread = threading.Thread(target=lambda: met.append(os.wait()[0]))
thread.start()
time.sleep(0.3)
with {RUN}: pass
thread.join()
print(met == [child])
"""

    assert desk.run(source).stdout == b"True\n"
    assert len(server.wait_for_breadcrumbs(1)) == 1


@pytest.mark.parametrize("delivery", ["detached", "inline"])
def test_a_handler_of_sigchld_is_not_called_for_a_courier(
    desk: Desk, server: FaultServer, delivery: str
) -> None:
    desk.delivery = delivery
    source = f"""{PATIENT}
import os, signal, time
calls = []
def reap(*_):
    calls.append(os.waitpid(-1, os.WNOHANG))
signal.signal(signal.SIGCHLD, reap)
with {RUN}: pass
for _ in range(100): time.sleep(0.001)
print(calls)
child = os.fork()
if not child: os._exit(0)
while not calls: time.sleep(0.01)
print(calls == [(child, 0)])
"""

    ended = desk.run(source)

    assert (ended.status, ended.stdout, ended.stderr) == (0, b"[]\nTrue\n", b"")
    assert len(server.wait_for_breadcrumbs(1)) == 1


def test_a_program_that_ignores_sigchld_is_served(desk: Desk, server: FaultServer) -> None:
    ended = desk.run(f"import signal\nsignal.signal(signal.SIGCHLD, signal.SIG_IGN)\n{SHORT}")

    assert (ended.status, ended.stdout, ended.stderr) == (0, b"hi\n", b"")
    assert len(server.wait_for_breadcrumbs(1)) == 1


@pytest.mark.parametrize("delivery", ["detached", "inline", "spool"])
def test_nothing_is_said_in_developer_mode_with_warnings_as_errors(
    desk: Desk, server: FaultServer, delivery: str
) -> None:
    desk.delivery = delivery

    ended = desk.run(SHORT, options=["-X", "dev", "-W", "error"])

    assert (ended.status, ended.stdout, ended.stderr) == (0, b"hi\n", b"")


@pytest.mark.parametrize("delivery", ["detached", "inline"])
@pytest.mark.parametrize("when", ["before", "inside", "after"])
def test_a_program_that_closes_all_descriptors_loses_none_of_its_own(
    desk: Desk, server: FaultServer, delivery: str, when: str
) -> None:
    desk.delivery = delivery
    target = desk.folder / "data"
    close = (
        "os.closerange(3, 5000)\n"
        f"{{indent}}files = [open({str(target)!r} + str(n), 'w') for n in range(20)]\n"
        "{indent}for file in files: file.write('mine')\n"
    )
    lines = {"before": "", "inside": "", "after": ""}
    lines[when] = close.format(indent="    " if when == "inside" else "")
    source = (
        f"import os\n{lines['before']}{PATIENT}\n"
        f"with {RUN}:\n    pass\n    {lines['inside']}\n{lines['after']}"
    )

    ended = desk.run(source)

    assert (ended.status, ended.stderr) == (0, b"")
    assert {path.read_text() for path in desk.folder.glob("data*")} == {"mine"}
    assert len(server.wait_for_breadcrumbs(1)) == 1


@pytest.mark.parametrize("delivery", ["detached", "inline", "log"])
def test_a_program_without_standard_streams_is_served(
    desk: Desk, server: FaultServer, delivery: str
) -> None:
    desk.delivery = delivery
    path = desk.folder / "bare.py"
    path.write_text(f"{PATIENT}\nwith {RUN}: pass")

    done = subprocess.run(
        ["/bin/sh", "-c", f"exec {sys.executable} {path} <&- >&- 2>&-"],
        env=desk.environment(),
        check=False,
    )

    assert done.returncode == 0
    if delivery != "log":
        assert len(server.wait_for_breadcrumbs(1)) == 1


def test_after_no_route_the_next_programs_only_write(desk: Desk, server: FaultServer) -> None:
    server.behave("refused")
    desk.run(SHORT)
    wait_until((desk.state / "servers.json").exists)
    wait_until(lambda: not desk.couriers())
    server.behave("ok")

    for _ in range(3):
        desk.run(SHORT)

    assert desk.couriers() == []
    assert server.connections == 0
    assert desk.flush()["delivered"] == 4


def test_many_runs_of_one_program_need_few_couriers(desk: Desk, server: FaultServer) -> None:
    source = f"{PRELUDE}\nfor _ in range(50):\n    with {RUN}: pass"
    desk.run(source)

    crumbs = server.wait_for_breadcrumbs(50)
    assert len({crumb["session_id"] for crumb in crumbs}) == 50
    assert server.connections <= 2


def test_who_makes_no_progress_dies(desk: Desk, server: FaultServer) -> None:
    server.behave("silent")
    code = (
        "from migas.courier import main as courier; courier.ANSWER_SECONDS = 60.0; "
        "courier.main([], stall=0.5, life=60)"
    )

    # As it inherits them from a program that blocks or ignores all signals.
    for line in ("", "signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 32)); "):
        desk.spool.put(record(server.url))
        inherited = f"import signal; signal.signal(signal.SIGALRM, signal.SIG_IGN); {line}"
        command = [sys.executable, "-c", inherited + code]
        done = subprocess.run(command, env=desk.environment(), check=False, timeout=30)
        assert done.returncode == -signal.SIGALRM


def test_who_makes_progress_dies_in_the_end_all_the_same(desk: Desk, server: FaultServer) -> None:
    server.behave("300ms")
    for _ in range(40):
        desk.spool.put(record(server.url))
    code = "from migas.courier import main as courier; courier.main([], stall=60, life=4)"

    done = subprocess.run([sys.executable, "-c", code], env=desk.environment(), check=False)

    assert done.returncode in (0, -signal.SIGALRM)
    assert 0 < len(server.breadcrumbs) < 40


def test_who_finds_the_lease_held_leaves_without_having_loaded_urllib3(desk: Desk) -> None:
    from migas.spool.lease import Lease

    desk.spool.put(record())
    lease = Lease(str(desk.state))
    assert lease.acquire()
    code = (
        "import sys; from migas.courier import main as courier; courier.main([]); "
        "print(sorted({'urllib3', 'ssl', 'socket'} & set(sys.modules)))"
    )

    done = subprocess.run(
        [sys.executable, "-c", code],
        env=desk.environment(),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
    )

    lease.release()
    assert done.stdout == b"[]\n"
    assert len(desk.waiting()) == 1


def test_opted_out_a_courier_sends_nothing(desk: Desk, server: FaultServer) -> None:
    desk.spool.put(record(server.url))
    desk.settings["MIGAS_OPTOUT"] = "1"

    desk.courier().wait(20)

    assert server.requests == []


def test_a_run_that_lasts_says_so_once_and_its_end_follows_by_a_second(
    desk: Desk, server: FaultServer
) -> None:
    session = RUN.replace(")", ", announce_after=0.1)")
    source = f"{PRELUDE}\nimport time\nwith {session}:\n    time.sleep(2)"

    desk.run(source)

    first, last = server.wait_for_breadcrumbs(2)
    assert (first["status"], last["status"]) == ("R", "C")
    assert server.requests[1].time - server.requests[0].time >= 1.0


def test_a_run_that_lasts_says_nothing_when_it_may_not(desk: Desk, server: FaultServer) -> None:
    server.behave("refused")
    desk.run(SHORT)
    wait_until((desk.state / "servers.json").exists)
    session = RUN.replace(")", ", announce_after=0.05)")

    desk.run(f"{PRELUDE}\nimport time\nwith {session}:\n    time.sleep(0.4)")

    assert {crumb["status"] for crumb in desk.waiting()} == {"C"}


def test_flush_in_a_program_waits_for_delivery(desk: Desk, server: FaultServer) -> None:
    desk.delivery = "spool"
    source = f"{SHORT}\nprint(migas.flush(20))"

    assert desk.run(source).stdout == b"hi\nTrue\n"
    assert len(server.breadcrumbs) == 1


def test_flush_in_a_program_says_when_something_still_waits(
    desk: Desk, server: FaultServer
) -> None:
    server.behave("refused")
    desk.delivery = "spool"

    assert desk.run(f"{SHORT}\nprint(migas.flush(20))").stdout == b"hi\nFalse\n"


def test_flush_in_a_frozen_program_sends_from_the_program_itself(
    desk: Desk, server: FaultServer
) -> None:
    source = f"import sys\nsys.frozen = True\n{SHORT}\nprint(migas.flush(20))"

    assert desk.run(source).stdout == b"hi\nTrue\n"
    assert len(server.breadcrumbs) == 1


def test_by_hand_a_flush_waits_for_who_is_at_work(desk: Desk, server: FaultServer) -> None:
    server.behave("300ms")
    for _ in range(5):
        desk.spool.put(record(server.url))
    courier = desk.courier()
    wait_until(lambda: server.requests)

    assert desk.flush()["waiting"] == 0
    courier.wait(20)
    assert len(server.breadcrumbs) == 5


@pytest.mark.slow
def test_a_courier_outlasts_a_silence_and_then_goes_on(desk: Desk, server: FaultServer) -> None:
    asked = time.time()
    server.behave("429")
    desk.spool.put(record(server.url))
    courier = desk.courier()
    wait_until(lambda: server.requests)
    server.behave("ok")

    # Its first silence is a minute, and up to another one to spread those who come back.
    assert len(server.wait_for_breadcrumbs(1, 130)) == 1
    assert server.requests[1].time - asked >= 60
    assert courier.wait(20) == 0


SET_BACK = """\
import time
from migas.courier import main as courier

wall, sleep = time.time, time.sleep

def sleep_while_the_clock_is_set_back(seconds):
    sleep(seconds)
    time.time = lambda: wall() - 3600

time.sleep = sleep_while_the_clock_is_set_back
print(*courier.flush(20))
"""


def test_a_clock_that_is_set_back_keeps_nobody_waiting(desk: Desk, server: FaultServer) -> None:
    made = record(server.url)
    made["not_before"] = time.time() + 1.5
    desk.spool.put(made)

    assert desk.run(SET_BACK).stdout == b"1 0 0\n"
    assert len(server.breadcrumbs) == 1
