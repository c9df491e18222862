"""`migas run`: any program, as if it ran alone, and its end reported."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from migas.cli.supervise import read_end
from tests.support.control_groups import little_memory
from tests.support.desk import wait_until
from tests.support.programs import environment
from tests.support.terminals import Terminal

if TYPE_CHECKING:
    from pathlib import Path

ON_TERMINATION = """\
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (print("caught"), sys.exit(%d)))
print("ready", flush=True)
for _ in range(6000):
    time.sleep(0.01)
"""


class Supervisor:
    """Runs programs under `migas run` and reads what would be sent."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environ = {
            **environment(folder),
            "MIGAS_ENDPOINT": "http://127.0.0.1:9",
            "MIGAS_DELIVERY": "spool",
        }

    def command(self, *program: str) -> list[str]:
        ours = ["-m", "migas", "run", "--project", "lab/tool", "--version", "1.0", "--"]
        return [sys.executable, *ours, *program]

    def run(self, *program: str, **settings: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            self.command(*program),
            env={**self.environ, **settings},
            input=b"from stdin\n",
            capture_output=True,
            timeout=60,
            check=False,
        )

    def start(self, *program: str, **options: Any) -> subprocess.Popen[bytes]:
        """Start a program and wait for its first line."""
        process = subprocess.Popen(
            self.command(*program),
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            **options,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        return process

    def told(self) -> tuple[str, str]:
        """Status and description of the only breadcrumb that waits."""
        (crumb,) = self.requests()
        return crumb["status"], crumb["status_desc"]

    def requests(self) -> list[dict[str, Any]]:
        """The breadcrumbs that wait."""
        done = subprocess.run(
            [sys.executable, "-m", "migas", "show", "--json"],
            env=self.environ,
            capture_output=True,
            check=True,
        )
        requests = json.loads(done.stdout)["requests"]
        return [json.loads(request["body"])["variables"]["p"] for request in requests]


@pytest.fixture
def supervisor(tmp_path: Path) -> Supervisor:
    return Supervisor(tmp_path)


def test_streams_arguments_and_status_are_the_programs_own(supervisor: Supervisor) -> None:
    done = supervisor.run("sh", "-c", 'cat; echo "$1" >&2; exit 3', "sh", "an -- argument")
    assert (done.returncode, done.stdout, done.stderr) == (3, b"from stdin\n", b"an -- argument\n")
    assert supervisor.told() == ("F", "Exited with code 3")


@pytest.mark.parametrize("optout", ["", "1"])
def test_a_script_that_names_no_interpreter_is_the_one_on_the_path(
    supervisor: Supervisor, optout: str
) -> None:
    found, here = supervisor.folder / "found", supervisor.folder / "here"
    for folder, word in ((found, "right"), (here, "wrong")):
        folder.mkdir()
        script = folder / "-tool"
        script.write_text(f'echo {word} "$1"; exit 5\n')
        script.chmod(0o755)
    done = subprocess.run(
        supervisor.command("-tool", "x"),
        env={**supervisor.environ, "PATH": f"{found}:{os.environ['PATH']}", "MIGAS_OPTOUT": optout},
        cwd=here,
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (5, b"right x\n")


@pytest.mark.parametrize("optout", ["", "1"])
def test_what_is_no_program_is_said_in_a_line(
    supervisor: Supervisor, tmp_path: Path, optout: str
) -> None:
    nothing = supervisor.run("", MIGAS_OPTOUT=optout)
    assert (nothing.returncode, nothing.stderr) == (127, b"migas: : No such file or directory\n")
    folder = supervisor.run(str(tmp_path), MIGAS_OPTOUT=optout)
    assert (folder.returncode, folder.stderr) == (
        126,
        f"migas: {tmp_path}: Is a directory\n".encode(),
    )


def test_a_program_that_succeeds_is_completed(supervisor: Supervisor) -> None:
    assert supervisor.run("true").returncode == 0
    assert supervisor.told() == ("C", "Completed")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("SIGTERM", ("S", "Terminated (SIGTERM)")),
        ("SIGSEGV", ("F", "Crashed (SIGSEGV)")),
        ("SIGINT", ("S", "Suspended")),
    ],
)
def test_a_program_that_dies_by_a_signal_has_a_shells_status(
    supervisor: Supervisor, name: str, told: tuple[str, str]
) -> None:
    done = supervisor.run("sh", "-c", f"kill -{name.removeprefix('SIG')} $$")
    assert done.returncode == 128 + getattr(signal, name)
    assert supervisor.told() == told


def test_a_signal_goes_on_to_the_program(supervisor: Supervisor) -> None:
    process = supervisor.start(sys.executable, "-c", ON_TERMINATION % 7)
    process.send_signal(signal.SIGTERM)
    assert process.communicate()[0] == b"caught\n"
    assert process.returncode == 7
    assert supervisor.told() == ("F", "Exited with code 7")


def test_a_program_that_ends_by_our_signals_is_terminated(supervisor: Supervisor) -> None:
    process = supervisor.start(sys.executable, "-c", ON_TERMINATION % 143)
    process.terminate()
    process.communicate()
    assert process.returncode == 143
    assert supervisor.told() == ("S", "Terminated (SIGTERM)")


def test_the_program_shares_our_process_group_and_session(supervisor: Supervisor) -> None:
    text = "import os; print(os.getpgrp() == os.getpgid(os.getppid()), os.getsid(0))"
    done = supervisor.run(sys.executable, "-c", text)
    assert done.stdout.decode().split() == ["True", str(os.getsid(0))]


def test_signals_are_as_they_were(supervisor: Supervisor) -> None:
    text = (
        "import signal\n"
        "print(signal.pthread_sigmask(signal.SIG_BLOCK, ()))\n"
        "(ignored,) = [line for line in open('/proc/self/status') if 'SigIgn' in line]\n"
        "own_of_libc = 0b11 << 31\n"
        "print(hex(int(ignored.split()[1], 16) & ~own_of_libc))\n"
    )
    alone = subprocess.run(
        ["sh", "-c", 'exec "$@"', "sh", sys.executable, "-c", text],
        stdout=subprocess.PIPE,
        check=True,
    )
    assert supervisor.run(sys.executable, "-c", text).stdout == alone.stdout


def test_descriptors_are_inherited(supervisor: Supervisor) -> None:
    read, write = os.pipe()
    with os.fdopen(read, "rb") as ours:
        subprocess.run(
            supervisor.command(sys.executable, "-c", f"import os; os.write({write}, b'inherited')"),
            env=supervisor.environ,
            pass_fds=[write],
            check=True,
        )
        os.close(write)
        assert ours.read() == b"inherited"


@pytest.mark.parametrize(("program", "status"), [("no-such-program", 127), ("/etc/passwd", 126)])
def test_what_cannot_be_run_has_a_shells_status_and_is_no_run(
    supervisor: Supervisor, program: str, status: int
) -> None:
    for settings in ({}, {"MIGAS_OPTOUT": "1"}):
        done = supervisor.run(program, **settings)
        assert (done.returncode, done.stdout) == (status, b"")
        assert done.stderr.startswith(f"migas: {program}: ".encode())
    assert not list(supervisor.folder.rglob("*.json"))


def test_a_script_without_an_interpreter_is_a_shells(supervisor: Supervisor) -> None:
    script = supervisor.folder / "script"
    script.write_text('echo "$1"; exit 4\n')
    script.chmod(0o755)
    for settings in ({}, {"MIGAS_OPTOUT": "1"}):
        done = supervisor.run(str(script), "argument", **settings)
        assert (done.returncode, done.stdout) == (4, b"argument\n")


def test_opted_out_the_program_takes_our_place(supervisor: Supervisor) -> None:
    process = subprocess.Popen(
        supervisor.command("sh", "-c", "echo $$; kill -9 $$"),
        env={**supervisor.environ, "DO_NOT_TRACK": "1"},
        stdout=subprocess.PIPE,
    )
    assert int(process.communicate()[0]) == process.pid
    assert process.returncode == -signal.SIGKILL
    assert not (supervisor.folder / "state").exists()


def test_a_program_that_is_tracked_itself_is_one_run(supervisor: Supervisor) -> None:
    text = "import migas; migas.setup()\nwith migas.session('lab/tool', '1.0'): raise SystemExit(3)"
    assert supervisor.run(sys.executable, "-c", text).returncode == 3
    assert supervisor.told() == ("F", "Exited with code 3")


def test_a_wrong_command_line_is_explained(supervisor: Supervisor) -> None:
    for arguments in (
        ["run"],
        ["run", "--project", "a/b", "--version", "1"],
        ["run", "--project", "tool", "--version", "1", "--", "true"],
    ):
        done = subprocess.run(
            [sys.executable, "-m", "migas", *arguments], capture_output=True, check=False
        )
        assert done.returncode == 2
        assert b"usage: migas run --project OWNER/REPO" in done.stderr


def test_the_terminals_interrupt_reaches_the_program_once(supervisor: Supervisor) -> None:
    text = (
        "import signal, sys, time\n"
        "count = []\n"
        "signal.signal(signal.SIGINT, lambda *_: count.append(1))\n"
        "print('ready', sys.stdin.isatty(), flush=True)\n"
        "while not count:\n"
        "    time.sleep(0.01)\n"
        "time.sleep(0.5)\n"
        "print('interrupts:', len(count))\n"
        "signal.signal(signal.SIGINT, signal.SIG_DFL)\n"
        "signal.raise_signal(signal.SIGINT)\n"
    )
    command = supervisor.command(sys.executable, "-c", text)
    with Terminal(command, supervisor.environ, whole=True) as terminal:
        terminal.read_until("ready True")
        terminal.types("\x03")
        assert "interrupts: 1" in terminal.read_all()
    assert terminal.process.returncode == 128 + signal.SIGINT
    assert supervisor.told() == ("S", "Suspended")


def test_an_interrupt_after_the_programs_end_does_nothing(supervisor: Supervisor) -> None:
    """The courier is waited for meanwhile: the impatient press the keys once more."""
    noted = supervisor.folder / "pid"
    text = (
        f"import os, pathlib, sys; pathlib.Path({str(noted)!r}).write_text(str(os.getpid()));"
        " print('ready', flush=True); sys.stdin.readline(); sys.exit(7)"
    )
    settings = {"MIGAS_DELIVERY": "inline", "MIGAS_ENDPOINT": "http://192.0.2.1:9"}
    command = supervisor.command(sys.executable, "-c", text)
    with Terminal(command, supervisor.environ | settings, whole=True) as terminal:
        terminal.read_until("ready")
        terminal.types("\n")
        wait_until(lambda: not _is_there(int(noted.read_text())))  # nobody is left to get them
        for _ in range(20):
            os.kill(terminal.process.pid, signal.SIGINT)
            time.sleep(0.02)
        shown = terminal.read_all()
    assert "Traceback" not in shown
    assert terminal.process.returncode == 7


def _is_there(pid: int) -> bool:
    """Whether nobody has waited for a process yet."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_what_a_program_is_written_in_is_not_known(supervisor: Supervisor) -> None:
    supervisor.run("true")
    (request,) = supervisor.requests()
    assert (request["language"], request["language_version"]) == ("unknown", "0")


def test_a_stopped_program_stops_us_and_both_go_on(supervisor: Supervisor) -> None:
    process = supervisor.start("sh", "-c", "echo ready; kill -STOP $$; echo on; exit 5")
    _, status = os.waitpid(process.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    process.send_signal(signal.SIGCONT)
    assert process.communicate()[0] == b"on\n"
    assert process.returncode == 5


def test_job_control_of_a_shell_works(supervisor: Supervisor) -> None:
    inner = " ".join(supervisor.command("sh", "-c", "'echo rea''dy; read x; echo got $x'"))
    environ = {**supervisor.environ, "PS1": "next> "}
    with Terminal(["bash", "--norc", "-i"], environ, whole=True) as terminal:
        terminal.read_until("next> ")
        terminal.types(f"{inner}\n")
        terminal.read_until("ready")
        terminal.types("\x1a")
        terminal.read_until("Stopped")
        terminal.read_until("next> ")
        terminal.types("fg; echo st''atus $?\n")
        terminal.read_until("echo got $x'")
        terminal.types("typed\n")
        terminal.read_until("got typed")
        terminal.read_until("status 0")
        terminal.types("exit\n")
        terminal.read_all()
    assert supervisor.told() == ("C", "Completed")


def test_a_program_that_is_killed_for_want_of_memory_is_told_as_such(
    supervisor: Supervisor,
) -> None:
    hog = "x = bytearray(512 * 1024 * 1024); print(len(x))"
    with little_memory() as entering:
        command = supervisor.command(sys.executable, "-c", hog)
        shell = f"{entering}os.execv({command[0]!r}, {command!r})"
        done = subprocess.run(
            [sys.executable, "-c", shell],
            env=supervisor.environ,
            capture_output=True,
            timeout=60,
            check=False,
        )
    assert (done.returncode, done.stdout, done.stderr) == (137, b"", b"")
    assert supervisor.told() == ("F", "Killed (out of memory)")


def test_a_kill_for_want_of_memory_is_told_apart() -> None:
    killed = int(signal.SIGKILL)
    by_exit = (128 + killed) << 8
    out_of_memory = {"status": "F", "status_desc": "Killed (out of memory)"}
    assert read_end(killed, was_out_of_memory=True) == (137, out_of_memory)
    assert read_end(by_exit, was_out_of_memory=True) == (137, out_of_memory)
    assert read_end(killed)[1]["status_desc"] == "Terminated (SIGKILL)"
    assert read_end(1 << 8, was_out_of_memory=True)[1]["status_desc"] == "Exited with code 1"


def test_a_long_name_of_a_signal_without_one() -> None:
    assert read_end(int(signal.SIGRTMIN) + 1)[1]["status_desc"].startswith("Terminated (signal ")
