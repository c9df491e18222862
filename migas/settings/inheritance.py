"""What a child process takes over from a parent that was set up: its server and its session.

It travels in one environment variable that names the parent beyond doubt, so that it means nothing
to a process that merely inherited the text: a batch job submitted with its whole environment,
another node, another container, a shell that outlived the program.
"""

from __future__ import annotations

import os

from migas.host import process
from migas.message.breadcrumb import canonical_uuid

VARIABLE = "_MIGAS_PARENT"


_NO_SERVER = "invalid"
_FORBIDDEN = "off"


class Inherited:
    """What an ancestor offers: its server, which may be none that can be used, or a no."""

    __slots__ = ("endpoint", "is_forbidding", "pid", "session_id", "started")

    def __init__(self, pid: int, started: str, session_id: str | None, endpoint: str) -> None:
        self.pid = pid
        self.started = started
        self.session_id = session_id
        self.is_forbidding = endpoint == _FORBIDDEN
        self.endpoint = None if self.is_forbidding else endpoint


def forbid_to_children() -> None:
    """Have the programs that this process starts report nothing, whatever they say themselves."""
    offer_to_children(_FORBIDDEN, None)


def offer_to_children(endpoint: str, session_id: str | None) -> None:
    """Leave this process's server and session for the programs it starts, without any user id.

    Args:
        endpoint: The server's base URL; empty where there is none that can be used.
        session_id: The session, if it is to be shared.
    """
    here = process.facts()
    if here["started"] and here["boot"] and here["namespace"]:
        os.environ[VARIABLE] = " ".join(
            (
                str(here["pid"]),
                here["started"],
                here["boot"],
                here["namespace"],
                session_id or "-",
                endpoint or _NO_SERVER,
            )
        )
    else:
        os.environ.pop(VARIABLE, None)


def from_ancestor() -> Inherited | None:
    """What a living ancestor of this process offers, or None."""
    fields = os.environ.get(VARIABLE, "").split(" ")
    if len(fields) != 6 or not fields[0].isdigit():
        return None
    pid, started, boot, namespace, session_id, endpoint = fields
    here = process.facts()
    if not started or (boot, namespace) != (here["boot"], here["namespace"]):
        return None
    if (int(pid), started) not in process.ancestors():
        return None
    return Inherited(int(pid), started, canonical_uuid(session_id), endpoint)
