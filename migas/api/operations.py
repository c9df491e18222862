"""What newer clients ask by GraphQL."""

from __future__ import annotations

from migas.calls import add_project, check_project, get_projects, get_usage

__all__ = ["add_project", "check_project", "get_projects", "get_usage"]
