"""Programs written for released clients, in the manner of the tools in the field, run unchanged.

Each sets up, leaves one breadcrumb of its own, asks for its exit to be tracked, runs a pool of
workers and ends in one of the ways in which such programs end. A real collector is asked.
"""

from __future__ import annotations

import subprocess
import sys
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.programs import environment, flush

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.collector import CollectorProcess

SECONDS = 60

TELEMETRY = """\
import multiprocessing
import os
import sys

import migas


def setup_migas(init_ping=True, exit_ping=True):
    session_id = None
    if RUN_UUID:
        session_id = RUN_UUID.split("_", 1)[-1]
    migas.setup(session_id=session_id)
    if init_ping:
        send_crumb(status="R", status_desc="workflow start")
    if exit_ping:
        from migas.error.nipype import node_execution_error

        migas.track_exit(PROJECT, "25.1.0", {"NodeExecutionError": node_execution_error})


def send_crumb(**kwargs):
    return migas.add_breadcrumb(PROJECT, "25.1.0", **kwargs)


PROJECT, RUN_UUID = sys.argv[1], sys.argv[2]


class NodeExecutionError(RuntimeError):
    pass


def node(number):
    return number * number


def run_workflow(method, fails=False):
    print("started", flush=True)
    sys.stdin.readline()
    with multiprocessing.get_context(method).Pool(2) as pool:
        assert pool.map(node, range(4)) == [0, 1, 4, 9]
    if fails:
        raise NodeExecutionError(NODE_FAILURE)


NODE_FAILURE = '''Exception raised while executing Node bold_to_std.

Cmdline:
\\tantsApplyTransforms -i /data/jane doe/sub-01/bold.nii.gz -o out.nii.gz
Stdout:
\\treading /data/jane doe/sub-01/bold.nii.gz
Stderr:

Traceback:
\\tTraceback (most recent call last):
\\t  File "/opt/conda/lib/python3.11/site-packages/nipype/core.py", line 454, in run
\\t    raise FileNotFoundError(msg)
\\tFileNotFoundError: No such file '/data/jane doe/sub-01/out.nii.gz' for output 'out_file'
'''
"""
"""What these tools share: a module of telemetry, an engine with workers, a node that fails."""

FMRIPREP = """
def main(fails):
    setup_migas()
    errno = 1
    try:
        run_workflow("fork", fails)
    except Exception:
        print("fMRIPrep failed", file=sys.stderr)
        raise
    else:
        errno = 0
    finally:
        sys.exit(int(errno > 0))


if __name__ == "__main__":
    main(fails="fails" in sys.argv)
"""

MRIQC = """
def main():
    setup_migas()
    run_workflow("fork")
    child = os.fork()
    if child == 0:
        sys.exit(3)
    os.waitpid(child, 0)
    if "fails" in sys.argv:
        raise ValueError(f"no image of sub-01 in {os.getcwd()}")


if __name__ == "__main__":
    sys.exit(main())
"""

NIBABIES = """
# Its configuration is loaded in every process, and sets telemetry up without a first ping.
if multiprocessing.parent_process() is not None:
    setup_migas(init_ping=False)


def main():
    setup_migas()
    run_workflow("forkserver", fails="fails" in sys.argv)


if __name__ == "__main__":
    main()
"""

SDCFLOWS = """
setup_migas()

from migas import operations
from migas.helpers import track_exit

track_exit(PROJECT, "25.1.0", error_funcs={}, user_type="dev")


def main():
    run_workflow("fork")
    try:
        sys.exit(4)
    except SystemExit:
        print("a caught exit is none")


main()
"""

PETPREP = """
from migas.config import Config, telemetry_enabled


@telemetry_enabled
def send(**kwargs):
    return send_crumb(**kwargs)


def main():
    setup_migas(init_ping=False)
    assert Config._is_setup
    send(status="running", status_desc="workflow start", user_id=Config.user_id)
    run_workflow("spawn")
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
"""


@dataclass(frozen=True)
class Tool:
    """A program, its arguments, and how it is to end."""

    source: str
    arguments: tuple[str, ...]
    exit_status: int
    final: dict[str, Any]
    has_session: bool = True


COMPLETED = {"status": "C", "status_desc": "Completed", "error_type": None, "error_desc": None}
NODE = {
    "error_type": "NodeExecutionError",
    "status_desc": "Exception raised from node bold_to_std",
    "error_desc": (
        'Traceback (most recent call last): File "<path>", line 454, in run raise'
        " FileNotFoundError(msg) FileNotFoundError: No such file '<path>' for output 'out_file'"
    ),
}
TOOLS = {
    "fmriprep": Tool(FMRIPREP, (), 0, COMPLETED),
    "fmriprep-failing": Tool(
        FMRIPREP,
        ("fails",),
        1,
        {
            **NODE,
            "status": "F",
            "status_desc": "Exited with code 1",
            # The exit's own description leaves the node no other place.
            "error_desc": f"{NODE['status_desc']}: {NODE['error_desc']}",
        },
    ),
    "mriqc": Tool(MRIQC, (), 0, COMPLETED),
    "mriqc-failing": Tool(
        MRIQC,
        ("fails",),
        1,
        {
            "status": "F",
            "status_desc": "Errored",
            "error_type": "ValueError",
            "error_desc": "no image of sub-<id> in <path>",
        },
    ),
    "nibabies": Tool(NIBABIES, (), 0, COMPLETED),
    "nibabies-failing": Tool(NIBABIES, ("fails",), 1, {"status": "F", **NODE}),
    "sdcflows": Tool(SDCFLOWS, (), 0, COMPLETED),
    "petprep": Tool(
        PETPREP, (), -2, {**COMPLETED, "status": "S", "status_desc": "Suspended"}, has_session=False
    ),
}


@dataclass(frozen=True)
class Ended:
    """What came of a tool: its exit status, and the rows that the collector stored."""

    exit_status: int
    rows: list[dict[str, Any]]


@pytest.fixture(scope="module")
def ended(
    shared_collector: CollectorProcess, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Ended]]:
    """All tools, run two at a time."""

    def run(name: str) -> Ended:
        return _run(shared_collector, name, TOOLS[name], tmp_path_factory.mktemp(name))

    with ThreadPoolExecutor(2) as pool:
        yield dict(zip(TOOLS, pool.map(run, TOOLS), strict=True))


def _run(collector: CollectorProcess, name: str, tool: Tool, folder: Path) -> Ended:
    project = f"nipreps/{name}"
    path = folder / "tool.py"
    path.write_text(TELEMETRY + tool.source, encoding="utf-8")
    run_uuid = f"20261122-101500_{uuid.uuid4()}" if tool.has_session else ""
    process = subprocess.Popen(
        [sys.executable, "-X", "dev", "-W", "error", str(path), project, run_uuid, *tool.arguments],
        cwd=folder,
        env={
            **environment(folder),
            "MIGAS_ENDPOINT": f"{collector.url}/graphql",
            "MIGAS_DELIVERY": "detached",
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    # The workflow goes on until its first breadcrumb is stored, as one of hours would.
    _wait_for(collector, project, 1)
    _, complaints = process.communicate("go on\n", timeout=SECONDS)
    _wait_for(collector, project, 2)
    flush(folder / "state")
    assert "migas" not in complaints.replace(str(folder), "")
    return Ended(process.returncode, _rows(collector, project))


def _wait_for(collector: CollectorProcess, project: str, count: int) -> None:
    deadline = time.monotonic() + SECONDS
    while len(_rows(collector, project)) < count:
        assert time.monotonic() < deadline, f"{project}: {_rows(collector, project)}"
        time.sleep(0.05)


def _rows(collector: CollectorProcess, project: str) -> list[dict[str, Any]]:
    return [row for row in collector.crumbs() if row["project"] == project]


@pytest.mark.parametrize("name", TOOLS)
def test_a_tool_ends_as_without_migas(ended: dict[str, Ended], name: str) -> None:
    assert ended[name].exit_status == TOOLS[name].exit_status


@pytest.mark.parametrize("name", TOOLS)
def test_a_tool_leaves_its_own_breadcrumb_and_one_of_its_end(
    ended: dict[str, Ended], name: str
) -> None:
    first, *others = ended[name].rows
    assert (first["status"], first["status_desc"]) == ("R", "workflow start")
    assert len(others) == 1


@pytest.mark.parametrize("name", TOOLS)
def test_a_tools_end_is_told_as_it_was(ended: dict[str, Ended], name: str) -> None:
    last = ended[name].rows[-1]
    assert {field: last[field] or None for field in TOOLS[name].final} == TOOLS[name].final


@pytest.mark.parametrize("name", TOOLS)
def test_a_tools_breadcrumbs_are_of_one_session(ended: dict[str, Ended], name: str) -> None:
    sessions = {row["session_id"] for row in ended[name].rows}
    assert len(sessions) == 1
    assert sessions != {None}
