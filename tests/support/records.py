"""Records as tests put them into a spool."""

from __future__ import annotations

import os
import time
import uuid
from typing import TYPE_CHECKING, Any

from migas.host import process
from migas.spool.record import Claim, Entry, encode

if TYPE_CHECKING:
    from migas.spool import Spool
    from migas.spool.record import Record


def record(endpoint: str = "http://127.0.0.1:9", **fields: Any) -> Record:
    """A record of a session of its own that has completed, unless told otherwise."""
    crumb: dict[str, Any] = {
        "project": "lab/tool",
        "project_version": "1.0.0",
        "language": "python",
        "language_version": "3.11.7",
        "session_id": str(uuid.uuid4()),
        "status": "C",
        "status_desc": "Completed",
        **fields,
    }
    kept: Any = {name: value for name, value in crumb.items() if value is not None}
    return {"endpoint": endpoint, "breadcrumb": kept}


def open_record(endpoint: str = "http://127.0.0.1:9", **facts: Any) -> Record:
    """The open record of a run of this process, or of one with other facts."""
    made = record(endpoint, status="F", status_desc="Lost")
    owner: Any = {**process.facts(), **facts}
    made["process"] = owner
    made["oom_kills"] = {}
    return made


def plant(spool: Spool, name: str, content: bytes = b"{}") -> str:
    """Put a file of any name and content among what waits."""
    spool.prepare()
    path = spool.folder("ready", name)
    with open(path, "wb") as file:
        file.write(content)
    os.chmod(path, 0o600)
    return path


def put_old(spool: Spool, made: Record, age: float) -> str:
    """Put a record whose name says that it was written so many seconds ago."""
    text = encode(made)
    _micros, _, rest = Entry.name_for(made, len(text)).partition("-")
    return plant(spool, f"{int((time.time() - age) * 1e6):016d}-{rest}", text)


def claim_old(spool: Spool, made: Record, age: float, **owner: Any) -> str:
    """Put a record that a courier claimed so many seconds ago."""
    spool.prepare()
    text = encode(made)
    facts: Any = {**process.facts(), **owner}
    name = Claim.name_for(Entry.name_for(made, len(text)), facts)
    parts = name.split("~")
    parts[1] = str(int((time.time() - age) * 1e6))
    path = spool.folder("sending", "~".join(parts))
    with open(path, "wb") as file:
        file.write(text)
    os.chmod(path, 0o600)
    return path
