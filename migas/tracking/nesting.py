"""Who else speaks for a run: one process does, the one that opened it.

Workers of a pool and programs that a tracked program starts for itself stay silent.
"""

from __future__ import annotations

import sys

from migas.host import process
from migas.settings import places
from migas.spool import layout
from migas.spool.record import InvalidRecordError, OpenEntry, place_key
from migas.spool.spool import Spool


def is_pool_worker() -> bool:
    """Whether this process is a worker of `multiprocessing`, however it was started."""
    multiprocessing = sys.modules.get("multiprocessing.process")
    return multiprocessing is not None and multiprocessing.parent_process() is not None


def ancestor_speaks_for(project: str) -> bool:
    """Whether a program that started this one has an open run of the same project."""
    spool = Spool(places.state_folder())
    # Ten thousand runs may be open in a home that a cluster shares: their names are not read.
    here = f"-{place_key(process.facts())}-"
    names = [name for name in spool.names(layout.OPEN) if here in name]
    if not names:
        return False
    ancestors = dict(process.ancestors())
    for entry in filter(None, map(OpenEntry.parse, names)):
        if ancestors.get(entry.pid) != entry.started:
            continue
        try:
            record = spool.read(spool.folder(layout.OPEN, entry.name))
        except (OSError, InvalidRecordError):
            continue
        if record["breadcrumb"]["project"] == project:
            return True
    return False
