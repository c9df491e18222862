"""Bundled and embedded programs: how they end is told, and they behave as without us."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.bundles import build, package_folder
from tests.support.desk import (
    COUNT_THREADS,
    PATIENT,
    PRELUDE,
    ROOT,
    RUN,
    SECONDS,
    Desk,
    Ended,
    wait_until,
)
from tests.support.records import record

if TYPE_CHECKING:
    from tests.support.collector import CollectorProcess
    from tests.support.fault_server import FaultServer

FROZEN = "import sys; sys.frozen = True\n"
"""As bundlers leave it for the program, by which no courier can be a process."""

STRICT = ["-X", "dev", "-W", "error"]
ENDINGS = {
    "return": ("C", "Completed"),
    "exception": ("F", "Errored"),
    "exit": ("F", "Exited with code 3"),
    "SIGTERM": ("S", "Terminated (SIGTERM)"),
}
KINDS = [
    "zipapp",
    "embedded",
    pytest.param("one-folder", marks=pytest.mark.slow),
    pytest.param("one-file", marks=pytest.mark.slow),
]


@pytest.fixture(scope="session")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """How to start each kind of bundle; one is built when it is first asked for."""
    folder = tmp_path_factory.mktemp("bundles")

    class Built(dict[str, list[str]]):
        def __missing__(self, kind: str) -> list[str]:
            self[kind] = command = build(kind, folder)
            return command

    return Built()


def run(command: list[str], ending: str, project: str, environment: dict[str, str]) -> Ended:
    with subprocess.Popen(
        [*command, ending, project],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    ) as program:
        assert program.stdout is not None
        first = program.stdout.readline()
        if ending == "SIGTERM":
            program.send_signal(signal.SIGTERM)
        stdout, stderr = program.communicate(timeout=SECONDS)
    # PyInstaller's own words name the process.
    return Ended(program.returncode, first + stdout, re.sub(rb"PYI-\d+", b"PYI", stderr))


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("kind", KINDS)
def test_the_end_of_a_bundled_program_is_told_and_the_same(
    bundles: dict[str, list[str]],
    shared_collector: CollectorProcess,
    tmp_path: Path,
    kind: str,
    ending: str,
) -> None:
    path = os.pathsep.join((str(ROOT), str(Path(package_folder("urllib3")).parent)))
    desk = Desk(tmp_path, shared_collector.url, "auto", {"PYTHONPATH": path})
    project = f"lab/{kind}-{ending.lower()}"
    bare = run(bundles[kind], ending, project, desk.environment(MIGAS_OPTOUT="1"))

    ended = run(bundles[kind], ending, project, desk.environment())

    assert ended == bare
    expected = [ENDINGS[ending]]
    if ending == "SIGTERM":  # nobody is left to tell: the next run does, while it works
        run(bundles[kind], "return", project, desk.environment())
        expected.append(ENDINGS["return"])

    def told() -> list[tuple[str, str]]:
        crumbs = shared_collector.crumbs()
        mine = [crumb for crumb in crumbs if crumb["project"] == project]
        return sorted((crumb["status"], crumb["status_desc"]) for crumb in mine)

    wait_until(lambda: told() == sorted(expected))


@pytest.mark.slow
def test_a_bundle_holds_what_a_run_needs_and_no_collector(bundles: dict[str, list[str]]) -> None:
    folder = Path(bundles["one-folder"][0]).parents[2]

    held = (folder / "work" / "program" / "PYZ-00.toc").read_text()

    assert "'migas.courier.drain'" in held
    assert [name for name in ("migas.cli", "migas.collector", "'sqlalchemy") if name in held] == []


@pytest.mark.parametrize(
    ("trick", "way"),
    [
        ("sys.executable = '/bin/sh'", "lies beside this program"),
        ("sys.executable = ''", "lies beside this program"),
        ("sys.frozen = True", "a thread of the program: the program is frozen"),
        ("", "it runs this program"),
    ],
)
def test_what_sends_is_a_plain_interpreter_or_a_thread(
    desk: Desk, server: FaultServer, trick: str, way: str
) -> None:
    ended = desk.run(
        f"import sys\n{trick}\n{PATIENT}\nwith {RUN}: pass",
        environment=desk.environment(MIGAS_LOG_LEVEL="DEBUG"),
    )

    assert way in ended.stderr.decode()
    assert len(server.wait_for_breadcrumbs(1)) == 1


def test_status_says_what_sends_and_why(desk: Desk) -> None:
    command = [sys.executable, "-m", "migas", "status"]
    text = subprocess.check_output(command, env=desk.environment(), text=True)
    said = json.loads(subprocess.check_output([*command, "--json"], env=desk.environment()))

    assert said["courier"] == f"a process of {sys.executable}: it runs this program"
    assert said["courier"] in text


def frozen(desk: Desk, body: str, setup: str = PATIENT, **how: Any) -> Ended:
    return desk.run(f"{FROZEN}import os, signal, threading, time\n{setup}\n{body}", **how)


def test_what_earlier_runs_left_is_sent_while_the_program_works(
    desk: Desk, server: FaultServer
) -> None:
    for _ in range(5):
        desk.spool.put(record(server.url))
    ready = str(desk.state / "ready")

    ended = frozen(
        desk, f"with {RUN}:\n  while os.listdir({ready!r}): time.sleep(0.01)\n  print('all sent')"
    )

    assert (ended.status, ended.stdout, ended.stderr) == (0, b"all sent\n", b"")
    assert len(server.wait_for_breadcrumbs(6)) == 6


@pytest.mark.parametrize("manner", ["silent", "dropped", "drip", "endless", "refused", "500"])
def test_a_server_that_does_not_take_it_changes_nothing(
    desk: Desk, server: FaultServer, manner: str
) -> None:
    server.behave(manner)
    desk.spool.put(record(server.url))

    ended = frozen(desk, f"with {RUN}: print('hi')", PRELUDE, options=STRICT)

    assert (ended.status, ended.stdout, ended.stderr) == (0, b"hi\n", b"")
    assert sum(desk.spool.count().values()) == 2


@pytest.mark.parametrize("manner", ["ok", "300ms", "silent"])
def test_a_program_that_forks_meanwhile_notices_nothing(
    desk: Desk, server: FaultServer, manner: str
) -> None:
    server.behave(manner)
    for _ in range(20):
        desk.spool.put(record(server.url))
    body = (
        f"with {RUN}:\n  for _ in range(10):\n    pid = os.fork()\n"
        "    if not pid: import urllib3, colorsys; os._exit(threading.active_count())\n"
        "    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1\n"
        "    time.sleep(0.05)\nprint(*threads)\n"
    )
    # Not every Python warns of a thread that is still there.
    setup = f"{COUNT_THREADS}\n{PRELUDE if manner == 'silent' else PATIENT}"

    ended = frozen(desk, body, setup, options=STRICT)

    assert (ended.status, ended.stdout, ended.stderr) == (0, b"1 1 1 1 1 1 1 1 1 1\n", b"")
    if manner != "silent":
        assert sum(desk.spool.count().values()) == 0
        # One that a fork broke off may be sent again.
        assert len({crumb["session_id"] for crumb in server.wait_for_breadcrumbs(21)}) == 21


def test_a_fork_finds_no_thread_where_proxies_have_to_be_looked_up(
    desk: Desk, server: FaultServer
) -> None:
    desk.spool.put(record(server.url))
    body = (
        "is_there = threading.Event()\n"
        "def linger(frame, event, argument):\n"
        "  if event == 'call' and frame.f_code.co_name == '_proxy_for':\n"
        "    is_there.set()\n"
        "    time.sleep(0.25)\n"
        f"threading.setprofile(linger)\nwith {RUN}:\n  is_there.wait()\n  pid = os.fork()\n"
        "  if not pid: os._exit(0)\n  os.waitpid(pid, 0)\nthreading.setprofile(None)\n"
        "print(*threads)\n"
    )

    ended = frozen(
        desk,
        body,
        f"{COUNT_THREADS}\n{PATIENT}",
        options=STRICT,
        environment=desk.environment(no_proxy="127.0.0.1", https_proxy="http://127.0.0.1:9"),
    )

    assert (ended.status, ended.stdout, ended.stderr) == (0, b"1\n", b"")


def test_what_a_fork_after_the_run_has_broken_off_is_sent(desk: Desk, server: FaultServer) -> None:
    server.behave("300ms")
    body = f"with {RUN}: pass\npid = os.fork()\nif not pid: os._exit(0)\nos.waitpid(pid, 0)\n"

    ended = frozen(desk, body, options=STRICT)

    assert (ended.status, ended.stdout, ended.stderr) == (0, b"", b"")
    if (3, 12) <= sys.version_info < (3, 14):  # another run sends it
        frozen(desk, f"with {RUN}: pass")
    wait_until(lambda: sum(desk.spool.count().values()) == 0)
    assert "C" in [crumb["status"] for crumb in server.breadcrumbs]


def test_ctrl_c_while_a_fork_waits_leaves_no_thread(desk: Desk, server: FaultServer) -> None:
    server.behave("silent")
    desk.spool.put(record(server.url))
    body = (
        f"with {RUN}:\n  while not os.listdir({str(desk.state / 'sending')!r}): time.sleep(0.01)\n"
        "  signal.signal(signal.SIGALRM, signal.default_int_handler)\n"
        "  signal.setitimer(signal.ITIMER_REAL, 0.1)\n"
        "  pid = os.fork()\n  if not pid: os._exit(0)\n  os.waitpid(pid, 0)\n"
        "print(*threads)\n"
    )

    ended = frozen(desk, body, f"{COUNT_THREADS}\n{PRELUDE}", options=STRICT)

    assert (ended.status, ended.stdout, ended.stderr) == (0, b"1\n", b"")


def test_a_fork_before_the_thread_has_come_to_its_work_is_noticed_by_nobody(
    desk: Desk, server: FaultServer
) -> None:
    body = (
        "def linger(frame, event, argument):\n"
        "  if event == 'call' and frame.f_back.f_code.co_filename == threading.__file__:\n"
        "    time.sleep(0.1)\n"
        f"threading.setprofile(linger)\nwith {RUN}:\n  for _ in range(3):\n    pid = os.fork()\n"
        "    if not pid: os._exit(0)\n    os.waitpid(pid, 0)\n    time.sleep(0.05)\n"
        "threading.setprofile(None)\n"
    )

    ended = frozen(desk, body, options=STRICT)

    assert (ended.status, ended.stdout, ended.stderr) == (0, b"", b"")
    assert sum(desk.spool.count().values()) == 0
    assert [crumb["status"] for crumb in server.wait_for_breadcrumbs(1)] == ["C"]


def test_a_program_that_leaves_by_os_exit_is_told_as_lost_by_the_next(
    desk: Desk, server: FaultServer
) -> None:
    assert frozen(desk, f"with {RUN}: os._exit(7)").status == 7
    frozen(desk, f"with {RUN}: pass")

    crumbs = server.wait_for_breadcrumbs(2)
    assert sorted(crumb["status_desc"] for crumb in crumbs) == ["Completed", "Lost"]


def test_a_run_that_ends_with_the_interpreter_is_told(desk: Desk, server: FaultServer) -> None:
    ended = frozen(desk, "migas.track_exit('lab/tool', '1.0.0')\nsys.exit(3)", options=STRICT)

    assert (ended.status, ended.stderr) == (3, b"")
    (crumb,) = server.wait_for_breadcrumbs(1)
    assert crumb["status_desc"] == "Exited with code 3"


def test_a_signal_that_is_served_is_told_at_once(desk: Desk, server: FaultServer) -> None:
    body = (
        f"with {RUN[:-1]}, signals=['SIGTERM']):\n"
        "  os.kill(os.getpid(), signal.SIGTERM)\n  while True: time.sleep(1)"
    )

    assert frozen(desk, body).status == -signal.SIGTERM
    (crumb,) = server.wait_for_breadcrumbs(1)
    assert crumb["status_desc"] == "Terminated (SIGTERM)"


def test_what_no_disk_takes_is_sent_by_the_thread(desk: Desk, server: FaultServer) -> None:
    environment = desk.environment(MIGAS_STATE_DIR="/proc/nowhere")

    ended = frozen(desk, f"with {RUN}: print('hi')", environment=environment)

    assert (ended.status, ended.stdout, ended.stderr) == (0, b"hi\n", b"")
    assert [crumb["status"] for crumb in server.wait_for_breadcrumbs(1)] == ["C"]


def test_a_long_run_announces_itself_and_its_end_follows(desk: Desk, server: FaultServer) -> None:
    body = f"with {RUN[:-1]}, announce_after=0.1): time.sleep(2)"

    ended = frozen(desk, body, options=STRICT)

    assert (ended.status, ended.stderr) == (0, b"")
    assert [crumb["status"] for crumb in server.wait_for_breadcrumbs(2)] == ["R", "C"]


@pytest.mark.parametrize("settings", [{"MIGAS_OPTOUT": "1"}, {"MIGAS_DELIVERY": "spool"}])
def test_who_sends_nothing_starts_no_thread(desk: Desk, settings: dict[str, str]) -> None:
    names = "[one.name for one in threading.enumerate() if one.name != 'migas-watch']"

    ended = frozen(desk, f"with {RUN}: print({names})", environment=desk.environment(**settings))

    assert ended.stdout == b"['MainThread']\n"
