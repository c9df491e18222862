"""Every name that released clients offer is here, and means what programs mean by it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import inspect
import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

import migas.request
from migas.error import inspect_error, status_from_exception
from tests.support.fault_server import FaultServer
from tests.support.programs import environment

if TYPE_CHECKING:
    from pathlib import Path

NAMES = {
    "migas": "setup add_breadcrumb add_project check_project get_usage print_config clear_user_id "
    "track track_exit",
    "migas.operations": "add_breadcrumb add_project check_project get_usage",
    "migas.helpers": "track_exit",
    "migas.config": "Config setup print_config logger telemetry_enabled gen_uuid clear_user_id",
    "migas.request": "request",
    "migas.error": "inspect_error status_from_exception status_from_signal strip_filenames "
    "resolve_error_handlers ERROR_PRESETS",
    "migas.error.nipype": "node_execution_error MAX_TRACEBACK_SIZE",
    "migas.api": "add_breadcrumb add_project check_project get_usage",
    "migas.api.operations": "add_project check_project get_usage",
    "migas.api.rest": "add_breadcrumb Breadcrumb Context Process",
    "migas.tracker": "track track_exit Tracker",
}
SESSION = "0d2f0e6c-7a52-4d0f-9c55-7e29b7a1a7a1"


class Python:
    """Runs programs in a folder of their own, and reads what they would send."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(
        self, text: str, *options: str, status: int = 0, **settings: str
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, *options, "-c", text],
            cwd=self.folder,
            env={**environment(self.folder), "MIGAS_DELIVERY": "log", **settings},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == status, done.stderr
        return done

    def crumbs(self, text: str, **kwargs: Any) -> list[dict[str, Any]]:
        """The breadcrumbs that a program would send."""
        lines = self.run(SETUP + text, **kwargs).stderr.splitlines()
        mark = "migas would send "
        found = [json.loads(line.removeprefix(mark)) for line in lines if line.startswith(mark)]
        return [body["variables"]["p"] for body in found]

    def end(self, text: str, **kwargs: Any) -> tuple[str | None, ...]:
        """Status, description and error of the only breadcrumb that a program would send."""
        (crumb,) = self.crumbs(text, **kwargs)
        return tuple(
            crumb.get(name) for name in ("status", "status_desc", "error_type", "error_desc")
        )


SETUP = "import os, sys, migas\nmigas.setup(endpoint='http://127.0.0.1:9')\n"
TRACKED = "migas.track_exit('lab/tool', '1.0')\n"


@pytest.fixture
def python(tmp_path: Path) -> Python:
    return Python(tmp_path)


@pytest.mark.parametrize(("module", "names"), NAMES.items())
def test_a_released_name_can_be_imported(module: str, names: str) -> None:
    found = importlib.import_module(module)
    for name in names.split():
        assert getattr(found, name) is not None


def test_the_requirement_of_a_released_client_is_satisfied() -> None:
    assert tuple(map(int, importlib.metadata.version("migas").split(".")[:2])) >= (0, 4)
    assert importlib.util.find_spec("migas") is not None


def test_importing_the_package_loads_nothing_dear(python: Python) -> None:
    python.run(
        "import sys, migas, migas.config\n"
        "dear = {'wrapt', 'urllib3', 'ssl', 'asyncio', 'logging', 'tomllib', 'json.decoder'}\n"
        "found = dear & set(sys.modules) - {'json.decoder'}\n"
        "assert not found, found\n"
    )


def test_the_settings_are_read_where_released_clients_had_them(python: Python) -> None:
    python.run(
        "import migas\n"
        "from migas.config import Config\n"
        "assert (Config._is_setup, Config.endpoint, Config.user_id) == (False, None, None)\n"
        f"migas.setup(endpoint='http://127.0.0.1:9/graphql', session_id='{SESSION}',\n"
        f"            user_id='{SESSION}')\n"
        "assert Config._is_setup\n"
        "assert Config.endpoint == 'http://127.0.0.1:9'\n"
        f"assert Config.session_id == Config.user_id == '{SESSION}'\n"
        "assert Config.populate()['language'] == Config.language == 'python'\n"
    )


def test_who_opted_out_has_no_user_id(python: Python) -> None:
    done = python.run(
        "import migas\n"
        "from migas.config import Config, gen_uuid\n"
        "migas.setup()\n"
        "assert Config._is_setup\n"
        "assert Config.user_id is None\n"
        "assert gen_uuid() is None\n"
        "print(migas.add_breadcrumb('lab/tool', '1.0'))\n",
        MIGAS_OPTOUT="1",
    )
    assert "MIGAS_OPTOUT is set" in done.stdout


def test_the_settings_can_be_printed(python: Python) -> None:
    done = python.run(SETUP + "migas.print_config()")
    assert "endpoint: http://127.0.0.1:9" in done.stdout
    assert "sending: enabled" in done.stdout


def test_the_user_id_can_be_cleared(python: Python) -> None:
    python.folder.joinpath("home/config/migas").mkdir(parents=True)
    kept = python.folder / "home/config/migas/user_id"
    kept.write_text(f"{SESSION}\n")
    python.run(
        SETUP + "from migas.config import Config, gen_uuid\n"
        f"assert Config.user_id == gen_uuid() == '{SESSION}'\n"
        f"assert gen_uuid('random') != '{SESSION}'\n"
        "migas.clear_user_id()\n"
    )
    assert not kept.exists()


def test_a_function_of_ones_own_can_ask_whether_sending_is_enabled(python: Python) -> None:
    python.run(
        "import migas\n"
        "from migas.config import telemetry_enabled\n"
        "@telemetry_enabled\n"
        "def ask(number, word='x'):\n"
        "    return number, word\n"
        "assert ask(1)['success'] is False\n"
        "migas.setup(endpoint='http://127.0.0.1:9')\n"
        "assert ask(1, word='y') == (1, 'y')\n"
        "assert ask.__name__ == 'ask'\n"
    )


def test_a_raw_request_is_answered_with_status_and_body() -> None:
    with FaultServer() as server:
        status, body = migas.request.request(
            f"{server.url}/graphql", query='query{check_project(project:"a/b"){success}}'
        )
    assert status == 200
    assert isinstance(body, dict)


def test_a_raw_request_without_a_server_is_answered_too() -> None:
    with FaultServer("refused") as server:
        status, body = migas.request.request(server.url, query="query{get_projects}")
    assert (status, body["data"]) == (503, None)


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("running", "R"),
        ("pending", "R"),
        ("completed", "C"),
        ("success", "C"),
        ("failed", "F"),
        ("error", "F"),
        ("suspended", "S"),
        ("F", "F"),
    ],
)
def test_a_status_has_a_short_and_a_long_name(given: str, stored: str) -> None:
    assert migas.message.compose({"project": "a/b", "status": given})["status"] == stored


def test_classes_and_exceptions_are_taken_as_meant(python: Python) -> None:
    (crumb,) = python.crumbs(
        "migas.add_breadcrumb('lab/tool', '1.0', status='error', error_type=ValueError,\n"
        "                     error_desc=ValueError('7 is odd'), unknown=object())"
    )
    assert crumb["error_type"], crumb["error_desc"] == ("ValueError", "7 is odd")


COMPLETED = ("C", "Completed", None, None)


@pytest.mark.parametrize(
    ("end", "exit_status", "told"),
    [
        ("", 0, COMPLETED),
        ("sys.exit()", 0, COMPLETED),
        ("sys.exit(0)", 0, COMPLETED),
        ("sys.exit(3)", 3, ("F", "Exited with code 3", "SystemExit", None)),
        ("sys.exit('no input')", 1, ("F", "Exited with code 1", "SystemExit", "no input")),
        ("raise ValueError('odd')", 1, ("F", "Errored", "ValueError", "odd")),
        ("raise KeyboardInterrupt", -signal.SIGINT, ("S", "Suspended", None, None)),
        (
            "try:\n  raise ValueError('odd')\nexcept ValueError:\n  raise\nfinally:\n  sys.exit(1)",
            1,
            ("F", "Exited with code 1", "ValueError", "odd"),
        ),
        ("try:\n  sys.exit(3)\nexcept SystemExit:\n  pass", 0, COMPLETED),
        ("try:\n  sys.exit(3)\nexcept SystemExit as error:\n  kept = error", 0, COMPLETED),
        (
            "import threading as t\nx = t.Thread(target=sys.exit, args=(3,))\nx.start()\nx.join()",
            0,
            COMPLETED,
        ),
        (
            "import asyncio\nasync def main():\n  sys.exit(5)\nasyncio.run(main())",
            5,
            ("F", "Exited with code 5", "SystemExit", None),
        ),
        (
            (
                "import asyncio\nasync def main():\n  sys.exit(5)\n"
                "try:\n  asyncio.run(main())\nexcept SystemExit:\n  pass"
            ),
            0,
            COMPLETED,
        ),
        ("if os.fork() == 0:\n  sys.exit(3)\nos.wait()", 0, COMPLETED),
        ("import argparse\nargparse.ArgumentParser().parse_args(['-h'])", 0, COMPLETED),
        (
            "import click\n@click.command()\ndef main():\n  raise click.Abort\nmain()",
            1,
            ("S", "Suspended", None, None),
        ),
        (
            "import click\n@click.command()\ndef main():\n  raise KeyboardInterrupt\nmain()",
            1,
            ("S", "Suspended", None, None),
        ),
        ("sys.exit(3221225477)", 5, ("F", "Exited with code 5", "SystemExit", None)),
    ],
)
def test_a_tracked_exit_is_told_as_it_was(
    python: Python, end: str, exit_status: int, told: tuple[str | None, ...]
) -> None:
    assert python.end(TRACKED + end, status=exit_status) == told


def test_an_exit_inside_a_module_run_by_its_name_counts(python: Python) -> None:
    python.folder.joinpath("tool.py").write_text(SETUP + TRACKED + "sys.exit(3)\n")
    done = subprocess.run(
        [sys.executable, "-m", "tool"],
        cwd=python.folder,
        env={**environment(python.folder), "MIGAS_DELIVERY": "log"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    assert "Exited with code 3" in done.stderr


def test_the_stand_in_for_exit_behaves_as_the_real_one(python: Python) -> None:
    python.run(
        SETUP + "before = sys.exit\n" + TRACKED + "assert sys.exit is not before\n"
        "import inspect, types\n"
        "assert isinstance(sys.exit, types.FunctionType)\n"
        "assert inspect.signature(sys.exit) == inspect.signature(before)\n"
        "assert (sys.exit.__name__, sys.exit.__doc__) == ('exit', before.__doc__)\n"
        "error = None\n"
        "try:\n  sys.exit(7)\nexcept SystemExit as caught:\n  error = caught\n"
        "assert (type(error), error.code, vars(error)) == (SystemExit, 7, {})\n"
        "once = sys.exit\n" + TRACKED + "assert sys.exit is once\n"
    )


def test_handlers_are_taken_by_either_name_and_by_position(python: Python) -> None:
    text = (
        "def describe(etype, evalue, etraceback):\n"
        "    return {'status_desc': f'{etype.__name__} described', 'error_desc': evalue}\n"
        "migas.track_exit('lab/tool', '1.0', %s)\nraise ValueError('odd')"
    )
    expected = ("F", "ValueError described", "ValueError", "odd")
    for given in (
        "{'ValueError': describe}",
        "error_funcs={'ValueError': describe}",
        "error_handlers={ValueError: describe}",
        "error_handlers=['nipype', {'ValueError': describe}]",
    ):
        assert python.end(text % given, status=1) == expected


def test_unknown_fields_and_wrong_handlers_do_not_disturb_the_program(python: Python) -> None:
    python.run(SETUP + "migas.track_exit('lab/tool', '1.0', 3)\nmigas.track_exit(None, None)")
    crumbs = python.crumbs("migas.track_exit('lab/tool', '1.0', arguments='-v', user_type='dev')")
    assert crumbs[0]["user_type"] == "dev"


def test_opted_out_nothing_stands_in_for_exit(python: Python) -> None:
    text = "import sys, migas\nbefore = sys.exit\nmigas.setup()\n" + TRACKED
    python.run(text + "assert sys.exit is before", MIGAS_OPTOUT="1")
    python.run(text.replace("setup()", "setup(enabled=False)") + "assert sys.exit is before")


def test_tracked_before_setup_is_tracked_all_the_same(python: Python) -> None:
    done = python.run("import migas\n" + TRACKED + "migas.setup(endpoint='http://127.0.0.1:9')")
    assert '"status":"C"' in done.stderr


def test_never_set_up_nothing_is_sent(python: Python) -> None:
    assert python.run("import migas\n" + TRACKED).stderr == ""


def test_an_error_is_inspected_while_it_is_handled() -> None:
    assert inspect_error() == {"status": "C", "status_desc": "Completed"}
    try:
        raise ValueError("odd")
    except ValueError:
        assert inspect_error() == {
            "status": "F",
            "status_desc": "Errored",
            "error_type": "ValueError",
            "error_desc": "odd",
        }
        assert inspect_error({"ValueError": lambda *_: {"status": "S"}})["status"] == "S"


def test_an_interruption_is_a_suspension() -> None:
    suspended = {"status": "S", "status_desc": "Suspended"}
    assert status_from_exception(KeyboardInterrupt()) == suspended
    assert status_from_exception(None) == {"status": "C", "status_desc": "Completed"}


def test_what_is_public_is_what_all_names_say() -> None:
    public = {
        name
        for name, value in vars(migas).items()
        if not name.startswith("_") and not inspect.ismodule(value) and name != "annotations"
    }
    assert public - {"TYPE_CHECKING"} <= set(migas.__all__)
    assert {name for name in migas.__all__ if getattr(migas, name) is None} == set()


def test_no_module_hides_a_public_function() -> None:
    folder = os.path.dirname(migas.__file__)
    modules = {name.partition(".")[0] for name in os.listdir(folder)}
    assert modules & set(migas.__all__) == set()


FAILING_TRACKER = """
tracker = migas.track('lab/tool', '1.0').start()
try:
    1 / 0
except ZeroDivisionError:
    tracker.stop()
"""
STATEMENT = SETUP + "migas.track('lab/tool', '1.0')\n"


@pytest.mark.parametrize(
    ("ends", "status", "description"),
    [
        ("", 0, ("C", "Completed")),
        ("sys.exit(3)", 3, ("F", "Exited with code 3")),
        ("raise KeyError('x')", 1, ("F", "Errored")),
    ],
)
def test_track_as_a_statement_of_its_own_reports_the_programs_end(
    python: Python, ends: str, status: int, description: tuple[str, str]
) -> None:
    (crumb,) = python.crumbs(STATEMENT.removeprefix(SETUP) + ends, status=status)
    assert (crumb["status"], crumb["status_desc"]) == description


def test_track_as_a_statement_of_who_opted_out_does_nothing(python: Python) -> None:
    assert python.run(STATEMENT, MIGAS_OPTOUT="1").stderr == ""
    assert not list(python.folder.rglob("*.json"))


@pytest.mark.parametrize(
    ("text", "endings"),
    [
        ("tracker = migas.track('lab/tool', '1.0'); tracker.stop(); tracker.stop()", ["C"]),
        ("tracker = migas.track('lab/tool', '1.0').start().start(); tracker.stop()", ["C"]),
        ("kept = migas.track('lab/tool', '1.0').start()", ["C"]),
        (FAILING_TRACKER, ["F"]),
        ("@migas.track('lab/tool', '1.0')\ndef main(): pass\nmain(); main()", ["C", "C"]),
        ("with migas.track('lab/tool', '1.0') as run:\n    assert run.project, run.version", ["C"]),
    ],
)
def test_a_tracker_starts_and_stops(python: Python, text: str, endings: list[str]) -> None:
    assert [crumb["status"] for crumb in python.crumbs(text)] == endings


def test_a_tracker_names_its_project_and_takes_handlers_as_third_argument() -> None:
    tracker = migas.track("lab/tool", "1.0", {"ValueError": lambda *_: {"status_desc": "odd"}})
    assert (tracker.project, tracker.version) == ("lab/tool", "1.0")
    tracker(len)


def test_a_breadcrumb_of_the_rest_call_is_built_from_the_facts_of_this_process(
    python: Python,
) -> None:
    python.run(
        SETUP + "from migas.api.rest import Breadcrumb\n"
        "crumb = Breadcrumb.from_config('lab/tool', '1.0', status='C').to_dict()\n"
        "assert crumb['proc'] == {'status': 'C'}, crumb\n"
        "assert crumb['ctx']['platform'] == 'linux', crumb\n"
        "from migas.config import Config\nassert Config.user_type is None\n"
    )


def test_a_request_may_read(python: Python) -> None:
    with FaultServer() as server:
        asks = f"request({server.url!r}, path='/x', method='GET')"
        text = f"from migas.request import request; print({asks})"
        assert python.run(SETUP + text, MIGAS_DELIVERY="detached").stdout == "(200, {})\n"
        assert [(asked.method, asked.body) for asked in server.requests] == [("GET", b"")]
