"""Where a run happens: language, platform, container, continuous integration, batch scheduler."""

from __future__ import annotations

import os
import sys

from migas import host, log, message

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    Fact = TypeVar("Fact")

_SCHEDULERS = (
    ("slurm", "SLURM_JOB_ID"),
    ("pbs", "PBS_JOBID"),
    ("lsf", "LSB_JOBID"),
    ("sge", "JOB_ID"),
)
_SCHEDULER_VARIABLES = tuple(variable for _name, variable in _SCHEDULERS)
SCHEDULERS = tuple(name for name, _variable in _SCHEDULERS)
"""The batch systems that are known here; a name, never a job's number, may leave."""

_ARRAY_VARIABLES = (
    "SLURM_ARRAY_TASK_ID",
    "PBS_ARRAY_INDEX",
    "PBS_ARRAYID",
    "LSB_JOBINDEX",
    "SGE_TASK_ID",
)
_MPI_VARIABLES = ("OMPI_COMM_WORLD_RANK", "MV2_COMM_WORLD_RANK")
_PMI_VARIABLES = ("PMIX_RANK", "PMI_RANK")
_RELEASE_SUFFIX = {"alpha": "a", "beta": "b", "candidate": "rc", "final": ""}


_of_this_process: dict[str, object] = {}


def telemetry_fields() -> dict[str, object]:
    """The breadcrumb's fields that describe where this process runs, ready for the wire.

    They are found out once: nothing of it changes while a process lives. One that cannot be found
    out is left out.
    """
    if not _of_this_process:
        facts = {
            "language": "python",
            "language_version": known(language_version),
            "platform": sys.platform,
            "container": known(container),
            "is_ci": is_ci(),
        }
        _of_this_process.update({name: fact for name, fact in facts.items() if fact is not None})
    return _of_this_process.copy()


def known(find_out: Callable[[], Fact]) -> Fact | None:
    """A fact, or None where it cannot be found out, for whatever reason: no run is lost over it."""
    try:
        return find_out()
    except Exception as error:  # noqa: BLE001  what a bundle lacks shows itself in any way
        log.debug("a fact cannot be found out: %r", error)
        return None


def language_version() -> str:
    """The interpreter's version in the form that servers accept (PEP 440), such as `3.13.0rc1`.

    `platform.python_version()` may end in `+`, which a server refuses.
    """
    version = sys.version_info
    text = f"{version.major}.{version.minor}.{version.micro}"
    suffix = _RELEASE_SUFFIX[version.releaselevel]
    return f"{text}{suffix}{version.serial}" if suffix else text


def container() -> str:
    """`docker` (podman and Kubernetes pods too), `apptainer` (singularity too) or `unknown`."""
    environ = os.environ
    if (
        "APPTAINER_CONTAINER" in environ
        or "SINGULARITY_CONTAINER" in environ
        or os.path.exists("/.singularity.d")
    ):
        return "apptainer"
    if (
        os.path.exists("/.dockerenv")
        or os.path.exists("/run/.containerenv")
        or "KUBERNETES_SERVICE_HOST" in environ
        or environ.get("container") in ("docker", "podman", "oci")
    ):
        return "docker"
    return "unknown"


def is_ci() -> bool | None:
    """Whether this is continuous integration, by the variables that its services set.

    None where the list of services is missing, as in a bundle that holds code alone.
    """
    return os.environ.get("CI", "").lower() in ("true", "1") or known(_is_known_service)


def _is_known_service() -> bool:
    # Most runs are in none, and see it by the names of all variables that ci-info's list has: the
    # package itself reads it with `json`, which a run does not need otherwise.
    names = known(_variables_of_services)
    if names is not None and not host.has_variable(*names):
        return False
    import ci_info

    return bool(ci_info.is_ci())


def _variables_of_services() -> set[str]:
    """The variables that tell a service, or part of them, whatever their values.

    Raises:
        Exception: The list is missing, or has another shape.
    """
    origin = host.spec_of("ci_info").origin or ""
    with open(os.path.join(os.path.dirname(origin), "vendors.json"), "rb") as file:
        services = message.decode(file.read())
    names: set[str] = set()
    for service in services:
        told = service["env"]
        if isinstance(told, dict):
            told = told.get("any") or ([told["env"]] if "env" in told else [*told])
        names.update([told] if isinstance(told, str) else told)
    return names


def scheduler() -> str:
    """The batch system that runs this process: `slurm`, `pbs`, `lsf`, `sge`, or an empty text."""
    if not host.has_variable(*_SCHEDULER_VARIABLES):
        return ""
    for name, variable in _SCHEDULERS:
        # JOB_ID alone is too common a name for Grid Engine.
        if host.variable(variable) and (name != "sge" or host.has_variable("SGE_ROOT")):
            return name
    return ""


def is_array_task() -> bool:
    """Whether the scheduler started this together with many like it, all at one moment."""
    environ = os.environ
    return any(
        # LSF says 0 and Grid Engine "undefined" in a job that is no array.
        environ.get(variable, "") not in ("", "0", "undefined")
        for variable in _ARRAY_VARIABLES
    )


def mpi_rank() -> int | None:
    """The rank of this process in a running MPI job, or None where MPI does not run.

    The variables of an MPI launcher say so. `srun` sets PMI's variables for whatever it starts, a
    farm of independent tasks too: there MPI runs only where its library is in the process.
    Which ranks speak is for `settings/permission.py` to say.
    """
    if not host.has_variable(*_MPI_VARIABLES, *_PMI_VARIABLES, "SLURM_PROCID"):
        return None
    rank = _number(_MPI_VARIABLES)
    if rank is not None:
        return rank
    rank = _number(_PMI_VARIABLES)
    if not (host.has_variable("SLURM_STEP_ID") and host.has_variable("SLURM_PROCID")):
        return rank
    task = _number(("SLURM_PROCID",))
    if rank is not None and rank != task:
        return rank  # another launcher's: srun gives both the same number
    return task if task and _has_mpi_library() else None


def _number(variables: tuple[str, ...]) -> int | None:
    for variable in variables:
        said = host.variable(variable)
        if said is not None and said.isdecimal():
            return int(said)
    return None


def _has_mpi_library() -> bool:
    if "mpi4py.MPI" in sys.modules:
        return True
    try:
        with open("/proc/self/maps", "rb") as maps:
            return any(os.path.basename(line.strip()).startswith(b"libmpi") for line in maps)
    except OSError:
        return False


def is_short_lived() -> bool:
    """Whether nothing may outlive this process here, or nothing on its disk will.

    Then whoever has something to send waits for it a moment instead of leaving it behind: in
    containers, continuous integration, batch jobs and systemd services.
    """
    facts = telemetry_fields()  # a look at the disk and at fifty variables is not for each run
    return (
        os.getpid() == 1
        or _is_systemd_service()
        or bool(scheduler())
        or facts.get("container") != "unknown"
        or bool(facts.get("is_ci"))
    )


def _is_systemd_service() -> bool:
    """Whether stopping a systemd service would end this process and all it started.

    INVOCATION_ID (systemd.exec(5)) alone says too much: terminals of a desktop inherit it too.
    """
    if not host.has_variable("INVOCATION_ID"):
        return False
    try:
        with open("/proc/self/cgroup", encoding="utf-8", errors="replace") as groups:
            return any(line.rstrip().endswith(".service") for line in groups)
    except OSError:
        return False
