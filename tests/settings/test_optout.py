"""Opted out means nothing: no connection, no file, no thread, no process, no handler."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

import migas
from migas import settings as table
from migas.settings import values
from tests.support.collector import plain_environment
from tests.support.programs import Program, run_all

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.fault_server import FaultServer

SAYS_NO = [
    {"MIGAS_OPTOUT": "1"},
    {"MIGAS_OPTOUT": "0"},
    {"MIGAS_OPTOUT": "false"},
    {"MIGAS_OPTOUT": " "},
    {"DO_NOT_TRACK": "1"},
    {"DO_NOT_TRACK": "true"},
    {"DO_NOT_TRACK": "yes"},
    {"DO_NOT_TRACK": "whatever"},
]
SAYS_NOTHING = [
    {"MIGAS_OPTOUT": ""},
    {"DO_NOT_TRACK": ""},
    {"DO_NOT_TRACK": "0"},
    {"DO_NOT_TRACK": "false"},
    {"DO_NOT_TRACK": "No"},
    {"DO_NOT_TRACK": "OFF"},
]


def _name(settings: dict[str, str]) -> str:
    return "=".join(*settings.items())


# Everything that could leave a trace, and then a look at what there is of the process.
PROGRAM = """\
import asyncio, faulthandler, os, signal, sys, threading
import migas

migas.setup(endpoint=sys.argv[1], filename="settings.json", enabled=sys.argv[2] == "enabled")

def plain():
    return signal.getsignal(signal.SIGTERM)

decorated = migas.track("lab/tool", "1.0.0", signals=["SIGTERM"], announce_after=0)(plain)
print(decorated() == signal.SIG_DFL, decorated is plain)

@migas.track("lab/tool", "1.0.0", announce_after=0)
async def later():
    pass

asyncio.run(later())
with migas.session("lab/tool", "1.0.0", signals=["SIGTERM"], announce_after=0) as run:
    run.update(status_desc="x")
    print(signal.getsignal(signal.SIGTERM) == signal.SIG_DFL)
with migas.session("lab/tool", "1.0.0", wait=True):
    pass
with migas.track("lab/tool", "1.0.0"):
    pass
migas.session("lab/tool", "1.0.0").start()
print(migas.add_project("lab/tool", "1.0.0")["success"])
print(migas.add_breadcrumb("lab/tool", "1.0.0")["success"])
print(migas.check_project("lab/tool", "1.0.0")["success"])
print(migas.get_usage("lab/tool", "2026-11-22")["success"])
print(migas.get_projects()["success"], migas.flush(1))
print(threading.active_count(), len(os.listdir("/proc/self/task")))
with open(f"/proc/self/task/{os.getpid()}/children") as children:
    print(children.read().split())
print("urllib3" in sys.modules, faulthandler.is_enabled())
"""

NOTHING_HAPPENED = "True\nFalse\nFalse\nFalse\nFalse\nFalse False\n1 1\n[]\nFalse False\n"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
def test_a_no_leaves_no_trace_of_any_kind(tmp_path: Path, server: FaultServer) -> None:
    ways = [(settings, "enabled") for settings in SAYS_NO] + [({}, "disabled")]
    programs = [
        Program(PROGRAM, tmp_path / str(number), settings, (server.url, way))
        for number, (settings, way) in enumerate(ways)
    ]
    for (settings, way), program, ended in zip(ways, programs, run_all(programs), strict=True):
        assert (ended.status, ended.stderr) == (0, ""), settings
        first, _, rest = ended.stdout.partition("\n")
        assert first == ("True True" if way == "enabled" else "True False")
        assert rest == NOTHING_HAPPENED
        assert [path.name for path in program.folder.rglob("*")] == ["program.py"]
    assert server.connections == 0


# A home on a hung file system would hold for ever whoever looks at it.
LOOKS = """\
import os, sys
looked = []
for name in ("stat", "lstat", "open", "listdir", "access", "mkdir", "readlink"):
    def look(path, *rest, _real=getattr(os, name), **more):
        looked.append(str(path)) if "home" in str(path) or "/etc/xdg" in str(path) else None
        return _real(path, *rest, **more)
    setattr(os, name, look)
"""


@pytest.mark.parametrize("settings", [{"MIGAS_OPTOUT": "1"}, {"DO_NOT_TRACK": "1"}], ids=_name)
def test_after_a_no_of_the_environment_nobody_looks_at_the_disk(
    settings: dict[str, str], tmp_path: Path
) -> None:
    more = 'migas.add_breadcrumb("lab/tool", "1.0.0", wait=True); migas.track_exit("a/b", "1")\n'
    text = f"{LOOKS}{PROGRAM}{more}print(looked)"
    elsewhere = {"MIGAS_STATE_DIR": "", "PYTHONNOUSERSITE": "1"}
    arguments = ("http://127.0.0.1:9", "enabled")
    ended = Program(text, tmp_path, {**settings, **elsewhere}, arguments).run()
    assert (ended.status, ended.stderr) == (0, "")
    assert ended.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("settings", SAYS_NOTHING, ids=_name)
def test_these_values_are_no_no(
    settings: dict[str, str], fresh: Path, server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    migas.setup(endpoint=server.url)
    assert migas.add_project("lab/tool", "1.0.0")["success"] is True


@pytest.mark.parametrize("settings", SAYS_NO, ids=_name)
def test_these_values_are_a_no(
    settings: dict[str, str], fresh: Path, server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    migas.setup(endpoint=server.url)
    assert next(iter(settings)) in migas.add_project("lab/tool", "1.0.0")["errors"][0]["message"]
    assert server.connections == 0


def test_decorating_after_a_no_hands_the_function_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIGAS_OPTOUT", "1")

    def function() -> None:
        return None

    assert migas.track("lab/tool", "1.0.0")(function) is function


def test_a_wrong_use_is_a_type_error_after_a_no_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIGAS_OPTOUT", "1")
    wrong: Any = 3
    with pytest.raises(TypeError):
        migas.track("lab/tool", "1.0.0")(wrong)


def test_a_no_reads_and_writes_no_file_of_the_caller(
    fresh: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIGAS_OPTOUT", "1")
    path = tmp_path / "mine.json"
    path.write_text('{"endpoint": "http://127.0.0.1:9"}')
    before = path.stat().st_mtime_ns
    migas.setup(filename=path)
    assert path.stat().st_mtime_ns == before
    assert values.settings().endpoint == table.ENDPOINT.default


def test_a_no_offers_nothing_to_children(tmp_path: Path) -> None:
    text = "import os, migas\nmigas.setup(endpoint='http://127.0.0.1:9')\n"
    text += "print(os.environ.get('_MIGAS_PARENT'))\n"
    assert Program(text, tmp_path, {"MIGAS_OPTOUT": "1"}).run().stdout == "None\n"


@pytest.mark.parametrize("settings", [{"MIGAS_OPTOUT": "1"}, {"DO_NOT_TRACK": "1"}], ids=_name)
def test_what_waits_from_before_stays_where_it_is_after_a_no(
    settings: dict[str, str], tmp_path: Path, server: FaultServer
) -> None:
    run = (
        f"import migas\nmigas.setup(endpoint={server.url!r})\n"
        "with migas.session('lab/tool', '1.0.0'):\n    pass\n"
    )
    Program(run, tmp_path, {"MIGAS_DELIVERY": "spool"}).run()
    assert len(list((tmp_path / "state" / "ready").iterdir())) == 1
    ended = Program(run + "print(migas.flush(2))\n", tmp_path, settings).run()
    assert ended.stdout == "False\n"
    assert len(list((tmp_path / "state" / "ready").iterdir())) == 1
    assert server.connections == 0


def test_who_is_opted_out_by_a_file_loads_nothing_that_delivers(tmp_path: Path) -> None:
    program = (
        "import migas, sys; migas.setup(endpoint='http://127.0.0.1:9')\n"
        "with migas.session('lab/tool', '1.0.0'): pass\n"
        "print([name for name in sys.modules if name.startswith('migas.delivery')])"
    )
    folders = dict.fromkeys(("HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME"), str(tmp_path))
    environment = {**plain_environment(), **folders}
    optout = [sys.executable, "-m", "migas", "optout"]
    subprocess.run(optout, env=environment, check=True, timeout=60, capture_output=True)
    told = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        check=True,
        timeout=60,
        capture_output=True,
        text=True,
    )
    assert told.stdout == "[]\n"
