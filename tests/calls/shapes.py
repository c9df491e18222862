"""Every explicit call, and the keys of what each answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import migas

if TYPE_CHECKING:
    from collections.abc import Callable

PROJECT_SHAPE = {"bad_versions", "cached", "latest_version", "message", "success"}
CHECK_SHAPE = {"success", "flagged", "latest", "message"}
USAGE_SHAPE = {"success", "hits", "unique", "message"}
PROJECTS_SHAPE = {"success", "message", "projects"}

CALLS: dict[str, tuple[Callable[[], Any], set[str]]] = {
    "add_project": (lambda: migas.add_project("lab/tool", "1.0.0"), PROJECT_SHAPE),
    "add_breadcrumb": (
        lambda: migas.add_breadcrumb("lab/tool", "1.0.0", wait=True),
        {"success", "message"},
    ),
    "check_project": (lambda: migas.check_project("lab/tool", "1.0.0"), CHECK_SHAPE),
    "get_usage": (lambda: migas.get_usage("lab/tool", "2026-11-22"), USAGE_SHAPE),
    "get_projects": (migas.get_projects, PROJECTS_SHAPE),
}
every_call = pytest.mark.parametrize(("call", "shape"), CALLS.values(), ids=CALLS)
