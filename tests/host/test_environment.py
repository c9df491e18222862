"""Where a run happens, as its breadcrumb tells it."""

from __future__ import annotations

import os
import sys
import zipfile
from typing import TYPE_CHECKING, Any

import ci_info
import platformdirs
import pytest

from migas import host
from migas.host import environment
from migas.settings import places
from tests.support.bundles import package_folder
from tests.support.desk import PRELUDE, ROOT, RUN

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.desk import Desk


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment in which nothing says anything of containers, schedulers or MPI."""
    for name in list(os.environ):
        if name.startswith(("SLURM_", "PBS_", "LSB_", "SGE_", "OMPI_", "PMI", "MV2_", "XDG_")):
            monkeypatch.delenv(name)
    for name in ("JOB_ID", "KUBERNETES_SERVICE_HOST", "container", "APPTAINER_CONTAINER"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_a_variable_is_what_the_program_has_made_of_it_by_now(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("PLACE", raising=False)
    assert host.variable("PLACE") is None
    assert not host.has_variable("PLACE", "NOWHERE")
    monkeypatch.setenv("PLACE", "Zürich\udcff")
    assert host.variable("PLACE") == "Zürich\udcff"
    assert host.has_variable("NOWHERE", "PLACE")
    monkeypatch.setattr(os, "environ", {"PLACE": "Bern"})
    assert host.variable("PLACE") == "Bern"
    assert host.has_variable("PLACE")


def test_the_fields_of_every_breadcrumb() -> None:
    fields = environment.telemetry_fields()
    assert fields["language"] == "python"
    assert str(fields["language_version"]).startswith(
        f"{sys.version_info.major}.{sys.version_info.minor}"
    )
    assert fields["platform"] == sys.platform
    assert fields["container"] in ("unknown", "docker", "apptainer")
    assert isinstance(fields["is_ci"], bool)


@pytest.mark.parametrize(
    ("version", "text"),
    [
        ((3, 13, 0, "final", 0), "3.13.0"),
        ((3, 14, 0, "candidate", 2), "3.14.0rc2"),
        ((3, 15, 0, "alpha", 1), "3.15.0a1"),
    ],
)
def test_the_languages_version_is_one_that_servers_take(
    monkeypatch: pytest.MonkeyPatch, version: tuple[int, int, int, str, int], text: str
) -> None:
    names = ("major", "minor", "micro", "releaselevel", "serial")
    info = type("VersionInfo", (), dict(zip(names, version, strict=True)))
    monkeypatch.setattr(sys, "version_info", info)
    assert environment.language_version() == text


@pytest.mark.parametrize(
    ("variable", "value", "kind"),
    [
        ("APPTAINER_CONTAINER", "/images/tool.sif", "apptainer"),
        ("SINGULARITY_CONTAINER", "/images/tool.sif", "apptainer"),
        ("KUBERNETES_SERVICE_HOST", "10.0.0.1", "docker"),
        ("container", "podman", "docker"),
    ],
)
def test_a_container_is_known_by_its_variables(
    bare: pytest.MonkeyPatch, variable: str, value: str, kind: str
) -> None:
    bare.setenv(variable, value)
    assert environment.container() == kind


def test_continuous_integration_is_known_by_its_variables(bare: pytest.MonkeyPatch) -> None:
    bare.setenv("CI", "true")
    assert environment.is_ci()
    bare.delenv("CI")
    bare.setenv("GITHUB_ACTIONS", "true")
    assert environment.is_ci()


def _said_by(service: dict[str, Any]) -> dict[str, str]:
    """Variables that a service sets, as ci-info's list tells them."""
    told = service["env"]
    if isinstance(told, str):
        return {told: "x"}
    if isinstance(told, list):
        return dict.fromkeys(told, "x")
    if "includes" in told:
        return {told["env"]: f"/{told['includes']}/"}
    return {told["any"][-1]: "x"} if "any" in told else told


def _without_services(bare: pytest.MonkeyPatch) -> None:
    for service in ci_info.vendors:
        told = service["env"]
        more = told.get("any", ()) if isinstance(told, dict) else ()
        for name in {"CI", *more, *_said_by(service)}:
            bare.delenv(name, raising=False)


@pytest.mark.parametrize("service", ci_info.vendors, ids=lambda service: service["constant"])
def test_every_service_on_the_list_is_known_by_its_variables(
    bare: pytest.MonkeyPatch, service: dict[str, Any]
) -> None:
    _without_services(bare)
    assert environment.is_ci() is False
    for name, value in _said_by(service).items():
        bare.setenv(name, value)
    assert environment.is_ci() is True


def test_a_variable_that_a_service_sets_to_something_else_tells_no_service(
    bare: pytest.MonkeyPatch,
) -> None:
    _without_services(bare)
    bare.setenv("CI_NAME", "my own")
    assert environment.is_ci() is False


def test_a_run_is_reported_where_a_fact_cannot_be_found_out(offline: Desk) -> None:
    """As in a bundle, where the list of services that ci-info reads is missing."""
    package = package_folder("ci_info")
    archive = offline.folder / "bundle.zip"
    with zipfile.ZipFile(archive, "w") as bundle:
        bundle.write(os.path.join(package, "__init__.py"), "ci_info/__init__.py")

    path = os.pathsep.join((str(archive), str(ROOT)))
    ended = offline.run(
        f"{PRELUDE}\nwith {RUN}: print('hi')", environment=offline.environment(PYTHONPATH=path)
    )

    assert (ended.status, ended.stdout, ended.stderr) == (0, b"hi\n", b"")
    (crumb,) = offline.waiting()
    assert crumb["status"] == "C"
    assert "is_ci" not in crumb


@pytest.mark.parametrize(
    ("variables", "name"),
    [
        ({}, ""),
        ({"SLURM_JOB_ID": "7"}, "slurm"),
        ({"PBS_JOBID": "7.host"}, "pbs"),
        ({"LSB_JOBID": "7"}, "lsf"),
        ({"JOB_ID": "7", "SGE_ROOT": "/opt/sge"}, "sge"),
        ({"JOB_ID": "7"}, ""),
    ],
)
def test_a_scheduler_is_known_by_its_variables(
    bare: pytest.MonkeyPatch, variables: dict[str, str], name: str
) -> None:
    for variable, value in variables.items():
        bare.setenv(variable, value)
    assert environment.scheduler() == name
    assert environment.is_short_lived() >= bool(name)


@pytest.mark.parametrize(
    ("variables", "is_task"),
    [
        ({}, False),
        ({"SLURM_ARRAY_TASK_ID": "3"}, True),
        ({"PBS_ARRAY_INDEX": "3"}, True),
        ({"LSB_JOBINDEX": "0"}, False),
        ({"LSB_JOBINDEX": "3"}, True),
        ({"SGE_TASK_ID": "undefined"}, False),
        ({"SGE_TASK_ID": "3"}, True),
    ],
)
def test_a_task_of_an_array_is_known_by_its_variables(
    bare: pytest.MonkeyPatch, variables: dict[str, str], is_task: bool
) -> None:
    for variable, value in variables.items():
        bare.setenv(variable, value)
    assert environment.is_array_task() == is_task


@pytest.mark.parametrize(
    ("variables", "rank"),
    [
        ({}, None),
        ({"OMPI_COMM_WORLD_RANK": "3"}, 3),
        ({"MV2_COMM_WORLD_RANK": "3"}, 3),
        ({"PMIX_RANK": "3"}, 3),
        ({"PMI_RANK": "0"}, 0),
        ({"PMI_RANK": "three"}, None),
        # A farm of tasks: srun numbers them, by PMI too where that is its default.
        ({"SLURM_STEP_ID": "0", "SLURM_PROCID": "3"}, None),
        ({"SLURM_STEP_ID": "0", "SLURM_PROCID": "3", "PMI_RANK": "3"}, None),
        # Under srun, but another launcher's ranks: several on one node.
        ({"SLURM_STEP_ID": "0", "SLURM_PROCID": "0", "PMI_RANK": "3"}, 3),
        ({"SLURM_STEP_ID": "0", "SLURM_PROCID": "3", "OMPI_COMM_WORLD_RANK": "3"}, 3),
    ],
)
def test_a_rank_is_known_where_mpi_runs(
    bare: pytest.MonkeyPatch, variables: dict[str, str], rank: int | None
) -> None:
    for variable, value in variables.items():
        bare.setenv(variable, value)
    assert environment.mpi_rank() == rank


def test_under_srun_mpi_runs_where_its_library_is_loaded(bare: pytest.MonkeyPatch) -> None:
    bare.setenv("SLURM_STEP_ID", "0")
    bare.setenv("SLURM_PROCID", "3")
    bare.setitem(sys.modules, "mpi4py.MPI", sys)
    assert environment.mpi_rank() == 3


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere platformdirs is asked")
def test_folders_are_where_platformdirs_has_them(bare: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bare.delenv("MIGAS_STATE_DIR", raising=False)
    bare.setenv("HOME", str(tmp_path))
    for variables in ({}, {"XDG_STATE_HOME": "/state", "XDG_CONFIG_HOME": "/config"}):
        for variable, value in variables.items():
            bare.setenv(variable, value)
        assert places.state_folder() == platformdirs.user_state_dir("migas", appauthor=False)
        assert places.config_folder() == platformdirs.user_config_dir("migas", appauthor=False)
    bare.setenv("XDG_CONFIG_HOME", "relative")
    assert places.config_folder() == str(tmp_path / ".config/migas")


def test_the_state_folder_can_be_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MIGAS_STATE_DIR", str(tmp_path))
    assert places.state_folder() == str(tmp_path)
