"""The one line at a run's end, on a terminal, that says that a newer version exists."""

from __future__ import annotations

from migas.host import environment, terminal
from migas.settings import places, values
from migas.spool import releases


def tell(project: str, version: str) -> None:
    """Say that a newer version exists or that this one was flagged, as an earlier answer told.

    Args:
        project: `owner/repo`.
        version: The running version.
    """
    stream = terminal.standard_error()
    if stream is None or values.settings().captured_by_test:
        return

    if environment.is_ci():
        return
    known = releases.known(places.state_folder(), project)
    if known is None:
        return
    name = releases.clean(project.rpartition("/")[2])
    if releases.is_flagged(known, version):
        newest = f"; the newest is {known['latest']}" if known["latest"] else ""
        stream.write(f"{name} {version} has been flagged by its makers{newest}.\n")
    elif releases.is_newer(known["latest"], version):
        stream.write(f"{name} {known['latest']} is available (this is {version}).\n")
