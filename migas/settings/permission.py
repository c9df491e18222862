"""The one place where it is decided whether anything may leave, and why not.

Everything that could leave a byte, a file, a thread or a process asks here first.
"""

from __future__ import annotations

from migas import host
from migas.settings import OFFICIAL_HOST, values

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_FALSE_WORDS = ("0", "false", "no", "off")


def refusal() -> str | None:
    """Why nothing may be sent, or None when sending is permitted.

    Returns:
        A phrase such as `MIGAS_OPTOUT is set`, or None.
    """
    decided = refusal_by_user()
    if decided is not None:
        return decided
    now = values.settings()
    if not now.is_set_up:
        return "setup() was not called"
    if not now.enabled:
        return "setup(enabled=False) was called"
    if now.is_forbidden:
        return "the program that started this one has switched reporting off"
    if now.endpoint_error is not None:
        return now.endpoint_error
    if _is_out_of_bounds(now.endpoint):
        return "a test must not reach the official server"
    if now.ranks == "all":
        return None
    from migas.host.environment import mpi_rank

    rank = mpi_rank()
    return f"this is MPI rank {rank}; rank 0 speaks for all" if rank else None


def refusal_by_user() -> str | None:
    """Why people permit no sending, by a variable or a file; the program has no say in it.

    A decorator asks this, before `setup()` had its chance.

    Returns:
        A phrase such as `MIGAS_OPTOUT is set`, or None.
    """
    decided = refusal_by_variable()
    if decided is None and not values.settings().captured_by_test:
        decided = values.policy().refusal()
    return decided


def refusal_by_variable() -> str | None:
    """Why a variable permits no sending, which is known without a look at the disk, or None."""
    if not host.has_variable("MIGAS_OPTOUT", "DO_NOT_TRACK"):
        return None
    if host.variable("MIGAS_OPTOUT"):
        return "MIGAS_OPTOUT is set"
    do_not_track = host.variable("DO_NOT_TRACK")
    if do_not_track and do_not_track.strip().lower() not in _FALSE_WORDS:
        return "DO_NOT_TRACK is set"
    return None


def refused(reason: str, shape: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to a call that is not permitted, with the keys of any other and `errors`."""
    message = f"Nothing is sent: {reason.removesuffix('.')}."
    return {**shape, "success": False, "message": message, "errors": [{"message": message}]}


def request_refusal(endpoint: str) -> str | None:
    """Why not even a request that a program makes by itself may be sent to a server, or None.

    Args:
        endpoint: The server's base URL; what `setup()` named does not matter here.
    """
    now = values.settings()
    if now.captured_by_test:
        return "breadcrumbs are captured"
    if not now.enabled:
        return "setup(enabled=False) was called"
    if _is_out_of_bounds(endpoint):
        return "a test must not reach the official server"
    return refusal_by_user()


def _is_out_of_bounds(endpoint: str) -> bool:
    """Whether a test would reach the official server."""
    is_under_pytest = host.has_variable("PYTEST_VERSION", "PYTEST_CURRENT_TEST")
    if not is_under_pytest or values.settings().captured_by_test:
        return False
    server = endpoint.partition("://")[2].partition("/")[0].rpartition("@")[2].partition(":")[0]
    return server.lower().rstrip(".") == OFFICIAL_HOST
