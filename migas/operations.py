"""A door: what released programs import from `migas.operations`."""

from __future__ import annotations

from migas.calls import (
    add_breadcrumb,
    add_project,
    check_project,
    get_projects,
    get_usage,
)

__all__ = ["add_breadcrumb", "add_project", "check_project", "get_projects", "get_usage"]
