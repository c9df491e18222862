"""The collector's part of the `migas` command line: `serve`, `project`, `token`, `report`, `db`."""

from __future__ import annotations

from migas.collector.admin import database, project, serve, token

TYPE_CHECKING = False
if TYPE_CHECKING:
    from migas.collector.admin.command import Subparsers


def register(subparsers: Subparsers) -> None:
    """Add the collector's commands to the `migas` command."""
    for room in (serve, project, token, database):
        room.register(subparsers)
