"""The explicit calls under the names by which newer clients' programs import them."""

from __future__ import annotations

from migas.calls import add_breadcrumb, add_project, check_project, get_projects, get_usage

__all__ = ["add_breadcrumb", "add_project", "check_project", "get_projects", "get_usage"]
