"""For those who test their instrumentation: what would have been sent, and nothing sent.

    from migas.testing import capture_breadcrumbs

    with capture_breadcrumbs() as breadcrumbs:
        main()
    assert [crumb.status for crumb in breadcrumbs] == ["C"]

Under pytest the fixture `capture_breadcrumbs` is that list.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from migas import calls, message
from migas.delivery import Delivery, hooks
from migas.settings import identity, permission, values
from migas.tracking import session as runs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

    from migas.delivery import OpenRun
    from migas.message import Breadcrumb

__all__ = ["CapturedBreadcrumb", "capture_breadcrumbs"]


@dataclass(frozen=True)
class CapturedBreadcrumb:
    """One breadcrumb that would have been sent, as a server would have got it.

    A field that would not have been there is None. `status` is `R` (running), `C` (completed), `F`
    (failed) or `S` (suspended); texts are redacted. No server has asked for anything more.
    """

    project: str
    project_version: str
    language: str | None = None
    language_version: str | None = None
    session_id: str | None = None
    user_id: str | None = None
    user_type: str | None = None
    platform: str | None = None
    container: str | None = None
    is_ci: bool | None = None
    status: str | None = None
    status_desc: str | None = None
    error_type: str | None = None
    error_desc: str | None = None


@contextmanager
def capture_breadcrumbs(*, set_up: bool = True) -> Iterator[list[CapturedBreadcrumb]]:
    """Collect what would have been sent, with nothing touched on disk or network.

    Inside, the settings are those of a fresh process without policy files; the environment's
    opt-outs count. Explicit calls are answered as by a server that takes everything. A run that is
    still open at the end, as `track_exit`'s are, is discarded.

    Args:
        set_up: Whether to behave as if `setup()` had been called already.

    Yields:
        The breadcrumbs so far, oldest first; the list grows as they come.
    """
    import os

    captured: list[CapturedBreadcrumb] = []
    kept = values.publish(values.Settings(captured_by_test=True, is_set_up=set_up))
    parent = os.environ.get(identity.PARENT_VARIABLE)

    def take(crumb: Breadcrumb) -> None:
        fields: dict[str, Any] = {**message.without_timing(crumb)}
        captured.append(CapturedBreadcrumb(**fields))

    outer = hooks.replace(_Captured(take))
    client = calls.replace_client(_AgreeingClient(take))
    before = set(runs.open_sessions())
    try:
        yield captured
    finally:
        for left_open in set(runs.open_sessions()) - before:
            left_open.discard()
        calls.replace_client(client)
        hooks.replace(outer)
        values.publish(kept)
        if parent is None:
            os.environ.pop(identity.PARENT_VARIABLE, None)
        else:
            os.environ[identity.PARENT_VARIABLE] = parent


class _Captured(Delivery):
    """A delivery that hands breadcrumbs over and writes, starts and sends nothing."""

    def __init__(self, take: Callable[[Breadcrumb], None]) -> None:
        super().__init__()
        self._take = take

    def open_run(self, crumb: Breadcrumb) -> OpenRun:  # noqa: ARG002  nothing is on disk
        return self.without_record()

    def end(self, path: str | None, crumb: Breadcrumb) -> None:  # noqa: ARG002
        if permission.refusal() is None:
            self._take(crumb)

    def announce(self, crumb: Breadcrumb) -> None:
        if permission.refusal() is None:
            self._take(crumb)

    def flush(self, timeout: float) -> bool:  # noqa: ARG002  nothing waits
        return True

    def at_exit(self) -> None:
        self.watch.close()


class _AgreeingClient:
    """Answers as a server that takes everything and knows of nothing newer."""

    def __init__(self, take: Callable[[Breadcrumb], None]) -> None:
        self._take = take

    def add_project(self, crumb: Breadcrumb, timeout: float) -> dict[str, Any]:  # noqa: ARG002
        self._take(crumb)
        return {"success": True, "latest_version": crumb["project_version"]}

    def query(
        self,
        query: str,  # noqa: ARG002
        variables: Mapping[str, Any],
        name: str,
        timeout: float,  # noqa: ARG002
        stores: Breadcrumb | None = None,
    ) -> Any:
        if stores is not None:
            self._take(stores)
        if name == "get_projects":
            return []
        # Of each call only what belongs to its answer is read.
        return {
            "success": True,
            "latest": variables.get("v", ""),
            "unique": bool(variables.get("u")),
        }
