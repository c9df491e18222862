"""Disks that are full, homes that are missing, users without an entry: the program goes on."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from migas.delivery import spawn
from tests.support.desk import NOBODY, PATIENT, ROOT, RUN, wait_until
from tests.support.records import record
from tests.support.silent_files import silent_files
from tests.support.worlds import another_user

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.desk import Desk
    from tests.support.fault_server import FaultServer

FORKING = "import os; os.fork() and os.wait() or os._exit(0)"
SHORT = f"{PATIENT}\nwith {RUN}: print('hi')"


@pytest.fixture(params=["detached", "inline"])
def both(desk: Desk, request: pytest.FixtureRequest) -> Desk:
    desk.delivery = request.param
    return desk


def assert_unaffected(desk: Desk, **how: Any) -> None:
    ended = desk.run(SHORT, **how)
    assert (ended.status, ended.stdout, ended.stderr) == (0, b"hi\n", b"")


def assert_arrives(server: FaultServer) -> None:
    assert [crumb["status"] for crumb in server.wait_for_breadcrumbs(1)] == ["C"]


@pytest.fixture
def full_disk(desk: Desk) -> Iterator[Path]:
    """A small file system with nothing left on it, as the state folder."""
    desk.state.mkdir(mode=0o700)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k,mode=700", "tmpfs", str(desk.state)],
        check=False,
        capture_output=True,
    )
    if mounted.returncode != 0:
        pytest.skip("this machine does not let us mount a file system")
    try:
        yield desk.state
    finally:
        subprocess.run(["umount", "-l", str(desk.state)], check=True)


def fill(folder: Path) -> None:
    with open(folder / "filler", "wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            return


def test_on_a_full_disk_the_breadcrumb_goes_through_the_couriers_input(
    both: Desk, server: FaultServer, full_disk: Path
) -> None:
    fill(full_disk)

    assert_unaffected(both)
    assert_arrives(server)


def test_what_waits_on_a_disk_that_became_full_is_delivered(
    both: Desk, server: FaultServer, full_disk: Path
) -> None:
    both.spool.put(record(server.url))
    fill(full_disk)

    assert_unaffected(both)
    assert len(server.wait_for_breadcrumbs(2)) == 2


def test_a_disk_that_is_full_when_the_run_ends_has_the_open_record_still(
    both: Desk, server: FaultServer, full_disk: Path
) -> None:
    source = (
        f"{PATIENT}\nwith {RUN}:\n    print('hi')\n"
        f"    with open({str(full_disk / 'filler')!r}, 'wb', buffering=0) as file:\n"
        "        try:\n            while True: file.write(b'x' * 4096)\n"
        "        except OSError: pass"
    )

    ended = both.run(source)

    assert (ended.status, ended.stdout, ended.stderr) == (0, b"hi\n", b"")
    assert server.wait_for_breadcrumbs(1)[0]["status"] == "C"


def test_where_no_file_may_be_written_the_breadcrumb_arrives(
    both: Desk, server: FaultServer
) -> None:
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\n"
    path = both.folder / "limited.py"
    path.write_text(limit + SHORT)

    ended = both.run(limit + SHORT)

    assert (ended.status, ended.stdout, ended.stderr) == (0, b"hi\n", b"")
    assert_arrives(server)


NARROW = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)); files = []\n"
EXHAUST = "while True: files.append(open('/dev/null'))"


def test_a_run_that_has_no_descriptor_left_says_how_it_ended(
    both: Desk, server: FaultServer
) -> None:
    ended = both.run(f"{NARROW}{PATIENT}\nwith {RUN}:\n  {EXHAUST}")
    assert ended.status == 1
    assert ended.stderr.endswith(b"OSError: [Errno 24] Too many open files: '/dev/null'\n")
    both.flush()
    (crumb,) = server.wait_for_breadcrumbs(1)
    assert (crumb["status"], crumb["status_desc"]) == ("F", "Errored")
    assert (crumb["error_type"], crumb["error_desc"][:30]) == (
        "OSError",
        "[Errno 24] Too many open files",
    )


ANSWERED = "; assert not answer['success'] and answer['message'], answer"
USES = {
    "track": "assert migas.track('a/b', '1')(main)() == 5",
    "handlers": "assert migas.track('a/b', '1', ['nipype'], signals=['SIGTERM'])(main)() == 5",
    "statement": "migas.track('a/b', '1')",
    "start": "run = migas.track('a/b', '1').start(); run.stop()",
    "session": "with migas.session('a/b', '1') as run: run.update(status_desc='x'), run.fail('x')",
    "track_exit": "migas.track_exit('a/b', '1')",
    "add_project": f"answer = migas.add_project('a/b', '1'){ANSWERED}",
    "add_breadcrumb": f"answer = migas.add_breadcrumb('a/b', '1'){ANSWERED}",
    "wait": f"answer = migas.add_breadcrumb('a/b', '1', wait=True){ANSWERED}",
    "check_project": f"answer = migas.check_project('a/b', '1'); answer['latest']{ANSWERED}",
    "get_usage": f"answer = migas.get_usage('a/b', '2026-01-01'); answer['hits']{ANSWERED}",
    "get_projects": f"answer = migas.get_projects(){ANSWERED}",
    "flush": "assert not migas.flush(0.1)",
}


@pytest.mark.parametrize("used", ["", "; migas.track; migas.track_exit; migas.flush"])
@pytest.mark.parametrize("use", USES)
def test_what_is_used_without_a_descriptor_left_raises_nothing(
    desk: Desk, use: str, used: str
) -> None:
    ended = desk.run(
        f"{NARROW}import migas; migas.setup(){used}\ndef main(): return 5\n"
        f"try:\n  {EXHAUST}\nexcept OSError: pass\n{USES[use]}\nfiles.clear()\nprint('hi')"
    )
    assert (ended.status, ended.stdout, ended.stderr) == (0, b"hi\n", b"")


def test_a_run_around_one_that_had_no_descriptor_left_has_one(
    desk: Desk, server: FaultServer
) -> None:
    inner = RUN.replace("lab/tool", "lab/inner")
    desk.run(
        f"{NARROW}{PATIENT}\nwith {RUN}:\n  try:\n    with {inner}:\n      {EXHAUST}\n"
        f"  except OSError:\n    {EXHAUST}"
    )
    desk.flush()
    crumbs = server.wait_for_breadcrumbs(2)
    assert [crumb["status_desc"] for crumb in crumbs] == ["Errored", "Errored"]


def test_a_child_that_is_forked_without_a_descriptor_left_gets_its_signals(desk: Desk) -> None:
    ended = desk.run(
        f"{NARROW}{PATIENT}\nimport os, signal\nwith {RUN}:\n  try:\n    {EXHAUST}\n"
        "  except OSError:\n    if os.fork() == 0:\n"
        "      os.write(1, str(signal.pthread_sigmask(signal.SIG_BLOCK, [])).encode())\n"
        "      os._exit(0)\n    os.wait()\n"
    )
    assert ended.stdout == b"set()"


def test_what_changes_every_python_changes_a_courier(
    desk: Desk, server: FaultServer, tmp_path: Path
) -> None:
    noted = tmp_path / "noted"
    noted.mkdir()
    (tmp_path / "sitecustomize.py").write_text(
        f"import os\nopen(os.path.join({str(noted)!r}, str(os.getpid())), 'w').close()\n"
    )
    desk.delivery = "inline"
    desk.settings["PYTHONPATH"] = os.pathsep.join((str(tmp_path), str(ROOT)))

    desk.run(f"{PATIENT}\nwith {RUN}: pass\n")

    assert [crumb["status"] for crumb in server.breadcrumbs] == ["C"]
    assert len(list(noted.iterdir())) == 2


def test_a_mere_folder_named_like_a_library_is_not_taken_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "urllib3").mkdir()
    library = spawn.find_way().library
    assert library
    monkeypatch.syspath_prepend(tmp_path)
    assert spawn.find_way().library == library


def test_a_shell_that_does_not_come_to_it_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell = tmp_path / "sh"
    shell.write_text(f"#!/bin/sh\necho $$ >{tmp_path}/pid\nsleep 4\necho 4194304\n")
    shell.chmod(0o700)
    monkeypatch.setattr(spawn, "_SHELL", str(shell))

    assert spawn.dispatch(spawn.find_way()) is None
    assert not Path("/proc", (tmp_path / "pid").read_text().strip()).exists()


def test_a_state_folder_that_never_answers_holds_nobody(both: Desk, server: FaultServer) -> None:
    folder = both.folder / "silent"
    with silent_files(folder) as is_mounted:
        if not is_mounted:
            pytest.skip("this machine does not let us mount a file system")
        both.settings["MIGAS_STATE_DIR"] = str(folder / "state")
        # A courier that has sent cannot leave: its look at the folder waits for the program's.
        ended = both.run(SHORT.replace("exit_timeout=30", "exit_timeout=8"))
        assert (ended.status, ended.stdout, ended.stderr) == (0, b"hi\n", b"")
        assert_arrives(server)


@pytest.mark.parametrize("variable", ["XDG_CONFIG_HOME", "XDG_CONFIG_DIRS"])
def test_choices_that_nobody_can_look_for_hold_nobody_and_permit_nothing(
    desk: Desk, server: FaultServer, variable: str
) -> None:
    with silent_files(desk.folder / "silent") as is_mounted:
        if not is_mounted:
            pytest.skip("this machine does not let us mount a file system")
        environment = desk.environment(**{variable: str(desk.folder / "silent")})

        assert_unaffected(desk, environment=environment)
        status = [sys.executable, "-m", "migas", "status"]
        told = subprocess.run(status, env=environment, capture_output=True, timeout=60, check=True)
    assert b"its file system does not answer" in told.stdout
    assert not server.breadcrumbs
    assert not desk.state.exists()


@pytest.mark.parametrize("how", ["pass", "run.discard()", "run.update(status_desc='x')", FORKING])
def test_a_state_folder_that_falls_silent_during_a_run_holds_nobody(both: Desk, how: str) -> None:
    # A thread that looks into the silence is alive, of which Python 3.12 warns whoever forks.
    quiet = "import warnings; warnings.simplefilter('ignore', DeprecationWarning)"
    opened = f"{PATIENT.replace('30', '1')}\nwith {RUN} as run:"
    source = f"{quiet}\n{opened}\n  input()\n  {how}"
    with both.start(source, stdin=subprocess.PIPE) as process:
        wait_until(both.open)
        with silent_files(both.state, over=True) as is_mounted:
            try:
                if not is_mounted:
                    pytest.skip("this machine does not let us mount a file system")
                time.sleep(1.1)  # so long the last look is believed
                assert process.communicate(b"\n", timeout=60) == (b"", b"")
            finally:
                process.kill()
        assert process.returncode == 0


def test_in_a_read_only_home_the_breadcrumb_arrives(both: Desk, server: FaultServer) -> None:
    home = both.folder / "home"
    home.mkdir(mode=0o555)
    environment = both.environment()
    del environment["MIGAS_STATE_DIR"]

    assert_unaffected(both, environment=environment, prefix=another_user())
    assert_arrives(server)
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("user", [NOBODY, 54321])
def test_a_user_without_an_entry_and_without_a_home_is_served(
    both: Desk, server: FaultServer, user: int
) -> None:
    environment = both.environment()
    for name in ("HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME", "MIGAS_STATE_DIR", "USER", "LOGNAME"):
        environment.pop(name, None)

    assert_unaffected(both, environment=environment, prefix=another_user(user))
    assert_arrives(server)


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user's twin is the test below")
def test_a_state_folder_of_somebody_else_is_left_alone(both: Desk, server: FaultServer) -> None:
    both.spool.put(record(server.url))
    both.state.chmod(0o777)
    before = sorted(both.state.rglob("*"))

    assert_unaffected(both, prefix=another_user())
    assert_arrives(server)
    assert sorted(both.state.rglob("*")) == before
    assert len(server.breadcrumbs) == 1


@pytest.mark.parametrize("state", ["/", "/tmp"])
def test_the_systems_own_folders_are_no_state_folder(
    both: Desk, server: FaultServer, state: str
) -> None:
    assert_unaffected(
        both, environment=both.environment(MIGAS_STATE_DIR=state), prefix=another_user()
    )
    assert_arrives(server)
    assert not {"open", "ready", "sending", "servers.json"} & set(os.listdir(state))


def test_a_state_folder_in_which_others_may_write_is_left_alone(
    both: Desk, server: FaultServer
) -> None:
    both.state.mkdir()
    both.state.chmod(0o777)

    assert_unaffected(both)
    assert_arrives(server)
    assert list(both.state.iterdir()) == []


@pytest.mark.parametrize("state", ["/proc/nowhere", "/dev/null/state", "/dev/null"])
def test_a_state_folder_that_cannot_be_made_is_done_without(
    both: Desk, server: FaultServer, state: str
) -> None:
    assert_unaffected(both, environment=both.environment(MIGAS_STATE_DIR=state))
    assert_arrives(server)


def test_a_planted_breadcrumb_of_another_server_goes_where_it_says_and_no_setting_changes(
    both: Desk, server: FaultServer
) -> None:
    """A file of this user is this user's: only what others could have written is distrusted."""
    both.spool.put(record(server.url, project="lab/planted"))

    assert_unaffected(both)
    assert {crumb["project"] for crumb in server.wait_for_breadcrumbs(2)} == {
        "lab/planted",
        "lab/tool",
    }


def test_what_nobody_took_over_standard_input_is_spooled_when_that_is_possible_again(
    desk: Desk, server: FaultServer
) -> None:
    from migas.spool.record import encode

    server.behave("refused")
    courier = desk.courier("--stdin", stdin=subprocess.PIPE)
    courier.communicate(encode(record(server.url)), timeout=30)

    assert len(desk.waiting()) == 1


@pytest.mark.parametrize("text", [b"", b"{", b"[" * 5000, b'{"endpoint": 7}'])
def test_nonsense_on_standard_input_is_nothing(
    desk: Desk, server: FaultServer, text: bytes
) -> None:
    desk.spool.put(record(server.url))
    courier = desk.courier("--stdin", stdin=subprocess.PIPE, stderr=subprocess.PIPE)

    _, stderr = courier.communicate(text, timeout=30)

    assert (courier.returncode, stderr) == (0, b"")
    assert len(server.breadcrumbs) == 1
