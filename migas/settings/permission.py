"""The gate: the one place where it is decided whether anything may leave, and why not.

Everything that could leave a byte, a file, a thread or a process asks here first.
"""

from __future__ import annotations

import os

from migas.settings import OFFICIAL_HOST, policy, settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_FALSE_WORDS = ("0", "false", "no", "off")


def refusal(*, environment_only: bool = False) -> str | None:
    """Why nothing may be sent, or None when sending is permitted: the one gate.

    Args:
        environment_only: Ask only what this process has no say in, the environment and the
            policy files, as a decorator does before `setup()` had its chance.

    Returns:
        A phrase such as `MIGAS_OPTOUT is set`, or None.
    """
    decided = _people_refuse()
    if decided is not None or environment_only:
        return decided
    if not settings.is_set_up:
        return "setup() was not called"
    if not settings.enabled:
        return "setup(enabled=False) was called"
    if settings.is_forbidden:
        return "the program that started this one has switched reporting off"
    if settings.endpoint_error is not None:
        return settings.endpoint_error
    if _is_out_of_bounds(settings.endpoint):
        return "a test must not reach the official server"
    rank = _silent_rank()
    return f"this is MPI rank {rank}; rank 0 speaks for all" if rank else None


def refused(reason: str, shape: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to a call that is not permitted, with the keys of any other and `errors`."""
    message = f"Nothing is sent: {reason.removesuffix('.')}."
    return {**shape, "success": False, "message": message, "errors": [{"message": message}]}


def request_refusal(endpoint: str) -> str | None:
    """Why not even a request that a program makes by itself may be sent to a server, or None.

    Args:
        endpoint: The server's base URL; what `setup()` named does not matter here.
    """
    if settings.is_captured:
        return "breadcrumbs are captured"
    if not settings.enabled:
        return "setup(enabled=False) was called"
    if _is_out_of_bounds(endpoint):
        return "a test must not reach the official server"
    return refusal(environment_only=True)


def _is_out_of_bounds(endpoint: str) -> bool:
    """Whether a test would reach the official server."""
    host = endpoint.partition("://")[2].partition("/")[0].rpartition("@")[2].partition(":")[0]
    is_official = host.lower().rstrip(".") == OFFICIAL_HOST
    return is_official and not settings.is_captured and _is_under_pytest()


def _people_refuse() -> str | None:
    if os.environ.get("MIGAS_OPTOUT"):
        return "MIGAS_OPTOUT is set"
    do_not_track = os.environ.get("DO_NOT_TRACK", "")
    if do_not_track and do_not_track.strip().lower() not in _FALSE_WORDS:
        return "DO_NOT_TRACK is set"
    return None if settings.is_captured else policy.refusal()


def _silent_rank() -> int | None:
    if settings.ranks == "all":
        return None
    from migas.host import environment

    return environment.mpi_rank()


def _is_under_pytest() -> bool:
    return "PYTEST_VERSION" in os.environ or "PYTEST_CURRENT_TEST" in os.environ
