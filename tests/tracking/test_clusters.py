"""Batch jobs: who speaks for an MPI job, what a scheduler's signal is called, what is inherited."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from migas.courier import main as courier
from tests.support.programs import environment

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.support.collector import CollectorProcess

RUN = """\
import sys, time, migas
migas.setup(endpoint="http://127.0.0.1:9"%s)
with migas.session("lab/tool", "1.0"%s):
    %s
"""
SLURM = {"SLURM_JOB_ID": "4711", "SLURM_JOB_NAME": "secret"}
SRUN = {**SLURM, "SLURM_STEP_ID": "0", "SLURM_NTASKS": "8"}
MARK = "migas would send "


class Job:
    """Runs a program as a scheduler's task would run it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def task(self, text: str = RUN % ("", "", "pass"), **settings: str) -> list[dict[str, Any]]:
        """The breadcrumbs that a task would send."""
        done = subprocess.run(
            [sys.executable, "-c", text],
            **self._options({"MIGAS_DELIVERY": "log", **settings}),
            check=True,
        )
        lines = done.stderr.decode().splitlines()
        found = [json.loads(line.removeprefix(MARK)) for line in lines if line.startswith(MARK)]
        return [body["variables"]["p"] for body in found]

    def terminated(self, text: str, **settings: str) -> None:
        """Start a task, terminate it as soon as it says that it runs, and wait for its death."""
        options = self._options({"MIGAS_DELIVERY": "spool", **settings})
        del options["capture_output"], options["timeout"]
        with subprocess.Popen(
            [sys.executable, "-c", text], **options, stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()
            process.send_signal(signal.SIGTERM)
        assert process.returncode == -signal.SIGTERM

    def waiting(self) -> list[dict[str, Any]]:
        """What `migas show` says waits, after the dead were looked for."""
        self._migas("flush", "--timeout", "1", MIGAS_ENDPOINT="http://127.0.0.1:9")
        shown = json.loads(self._migas("show", "--json").stdout)
        return [json.loads(one["body"])["variables"]["p"] for one in shown["requests"]]

    def _migas(self, *arguments: str, **settings: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [sys.executable, "-m", "migas", *arguments], **self._options(settings), check=False
        )

    def _options(self, settings: Mapping[str, str]) -> dict[str, Any]:
        return {
            "env": {**environment(self.folder), **settings},
            "stdin": subprocess.DEVNULL,
            "capture_output": True,
            "timeout": 60,
        }


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path)


WAITING = 'print("runs", flush=True); any(time.sleep(0.01) for _ in range(6000))'


@pytest.mark.parametrize(
    ("variables", "speaks"),
    [
        ({"OMPI_COMM_WORLD_RANK": "0"}, True),
        ({"OMPI_COMM_WORLD_RANK": "1"}, False),
        ({"PMIX_RANK": "5"}, False),
        ({"PMI_RANK": "5"}, False),
        ({"MV2_COMM_WORLD_RANK": "5"}, False),
    ],
)
def test_of_an_mpi_job_rank_0_speaks(job: Job, variables: dict[str, str], speaks: bool) -> None:
    assert len(job.task(**variables)) == speaks


def test_every_task_of_a_farm_is_a_run(job: Job) -> None:
    for rank in ("0", "7"):
        assert len(job.task(**SRUN, SLURM_PROCID=rank, PMI_RANK=rank)) == 1


def test_mpi_that_is_loaded_during_a_run_silences_it(job: Job) -> None:
    text = RUN % ("", "", "sys.modules['mpi4py.MPI'] = sys")
    assert len(job.task(text, **SRUN, SLURM_PROCID="0")) == 1
    assert job.task(text, **SRUN, SLURM_PROCID="7") == []
    job.task(text, **SRUN, SLURM_PROCID="7", MIGAS_DELIVERY="spool")
    assert list((job.folder / "state").rglob("*.json")) == []


def test_all_ranks_speak_where_that_is_asked_for(job: Job) -> None:
    assert len(job.task(RUN % (", ranks='all'", "", "pass"), OMPI_COMM_WORLD_RANK="7")) == 1


def test_an_explicit_call_of_a_silent_rank_says_why(job: Job) -> None:
    text = 'import migas; migas.setup(endpoint="http://127.0.0.1:9")\n'
    text += "assert 'rank 7' in str(migas.add_breadcrumb('lab/tool', '1.0'))"
    assert job.task(text, PMI_RANK="7") == []


@pytest.mark.parametrize(
    ("asked", "variables", "description"),
    [
        ("", SLURM, "Terminated (SIGTERM, slurm)"),
        (", signals=['SIGTERM']", {"PBS_JOBID": "7"}, "Terminated (SIGTERM, pbs)"),
    ],
)
def test_a_signal_under_a_scheduler_says_so(
    job: Job, asked: str, variables: dict[str, str], description: str
) -> None:
    job.terminated(RUN % ("", asked, WAITING), **variables)
    (crumb,) = job.waiting()
    assert (crumb["status"], crumb["status_desc"]) == ("S", description)


def test_ids_of_jobs_never_leave(job: Job) -> None:
    (crumb,) = job.task(**SRUN, SLURM_ARRAY_TASK_ID="815", SLURM_PROCID="0")
    assert not {"4711", "815", "secret"} & set(json.dumps(crumb).replace('"', " ").split())


CHILD = """
child = "import migas\\nmigas.setup()\\nfrom migas.config import Config; print(Config.session_id)"
import os, subprocess
environ = dict(os.environ)
def started(environ):
    done = subprocess.run([sys.executable, "-c", child], env=environ, capture_output=True)
    return done.stdout.decode().strip()
"""
SESSION = "7b3c9b52-3c0e-4f6f-8a53-1d2f9c0f6a11"


def test_a_session_is_inherited_by_children_and_by_nobody_else(job: Job) -> None:
    text = (
        f"import sys, migas\nmigas.setup(endpoint='http://127.0.0.1:9', session_id='{SESSION}')"
        + CHILD
        + f"assert started(environ) == '{SESSION}'\n"
        "pid, began, boot, namespace, session, endpoint = environ['_MIGAS_PARENT'].split(' ')\n"
        "# another node; another boot; a process that has this one's pid by chance\n"
        "for other in ((pid, began, 'f' * 36, namespace), (pid, began, boot, 'pid:[1]'),\n"
        "              (pid, '1', boot, namespace)):\n"
        "    environ['_MIGAS_PARENT'] = ' '.join((*other, session, endpoint))\n"
        "    assert started(environ) == 'None'\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", text],
        env=environment(job.folder),
        stderr=subprocess.PIPE,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()


def test_a_job_submitted_with_the_whole_environment_is_no_child(job: Job) -> None:
    text = (
        f"import os, sys, migas\nmigas.setup(endpoint='http://127.0.0.1:9', session_id='{SESSION}')"
        "\nprint(os.environ['_MIGAS_PARENT'])"
    )
    environ = environment(job.folder)
    submitted = subprocess.check_output([sys.executable, "-c", text], env=environ, text=True)
    child = "import migas; migas.setup()\nfrom migas.config import Config; print(Config.session_id)"
    environ["_MIGAS_PARENT"] = submitted.strip()
    assert subprocess.check_output([sys.executable, "-c", child], env=environ) == b"None\n"


def test_tasks_of_an_array_spread_their_sending() -> None:
    drawn = [courier.spread(None) for _ in range(200)]
    assert max(drawn) <= courier.SPREAD_SECONDS
    assert max(drawn) - min(drawn) > courier.SPREAD_SECONDS / 2


def test_a_courier_that_is_waited_for_keeps_time_to_send() -> None:
    assert all(courier.spread(1.0) <= 0.5 for _ in range(200))
    assert courier.spread(-1.0) == 0.0


def test_a_task_that_is_waited_for_sends_all_the_same(
    shared_collector: CollectorProcess, tmp_path: Path
) -> None:
    project = "lab/array"
    text = f"import migas; migas.setup()\nwith migas.session('{project}', '1.0'): pass"
    subprocess.run(
        [sys.executable, "-c", text],
        env={
            **environment(tmp_path),
            "MIGAS_ENDPOINT": shared_collector.url,
            "MIGAS_DELIVERY": "inline",
            "SLURM_ARRAY_TASK_ID": "3",
        },
        check=True,
    )
    subprocess.run(
        [sys.executable, "-m", "migas", "flush"],
        env={**environment(tmp_path), "SLURM_ARRAY_TASK_ID": "3"},
        check=True,
        stdout=subprocess.DEVNULL,
    )
    rows = [row for row in shared_collector.crumbs() if row["project"] == project]
    assert [row["status"] for row in rows] == ["C"]
    assert os.path.isdir(tmp_path / "state")
