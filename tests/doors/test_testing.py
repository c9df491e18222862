"""What people get who test their instrumentation."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import migas
from migas.settings import permission, setup, values
from migas.testing import CapturedBreadcrumb, capture_breadcrumbs
from tests.support.fault_server import FaultServer
from tests.support.programs import environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def _untouched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A home of the test's own, which no captured run may touch."""
    for name in ("MIGAS_OPTOUT", "DO_NOT_TRACK", "MIGAS_DELIVERY", "MIGAS_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "MIGAS_STATE_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    yield
    assert list(tmp_path.iterdir()) == []


@migas.track("lab/tool", "1.2.0", user_type="dev")
def halve(number: int) -> int:
    if number % 2:
        raise ValueError(f"{number} is odd, says {os.path.expanduser('~')}")
    return number // 2


def test_a_run_is_captured() -> None:
    with capture_breadcrumbs() as breadcrumbs:
        assert halve(4) == 2
    (crumb,) = breadcrumbs
    assert isinstance(crumb, CapturedBreadcrumb)
    assert (crumb.project, crumb.project_version) == ("lab/tool", "1.2.0")
    assert (crumb.status, crumb.status_desc, crumb.user_type) == ("C", "Completed", "dev")
    assert crumb.language == "python"


def test_a_failure_is_captured_as_it_would_leave(
    capture_breadcrumbs: list[CapturedBreadcrumb],
) -> None:
    with pytest.raises(ValueError, match="odd"):
        halve(3)
    (crumb,) = capture_breadcrumbs
    assert (crumb.status, crumb.error_type) == ("F", "ValueError")
    assert crumb.error_desc == "3 is odd, says <path>"


def test_the_fixture_begins_anew_in_each_test(
    capture_breadcrumbs: list[CapturedBreadcrumb],
) -> None:
    assert capture_breadcrumbs == []
    halve(2)
    assert len(capture_breadcrumbs) == 1


def test_sessions_and_coroutines_are_captured(
    capture_breadcrumbs: list[CapturedBreadcrumb],
) -> None:
    with migas.session("lab/tool", "1.2.0", wait=True) as run:
        run.fail("no input")
    assert run.response is not None
    assert run.response["success"]

    @migas.track("lab/other", "2.0")
    async def work() -> int:
        return 1

    asyncio.run(work())
    assert [(crumb.project, crumb.status) for crumb in capture_breadcrumbs] == [
        ("lab/tool", "F"),
        ("lab/other", "C"),
    ]


def test_explicit_calls_are_captured_and_answered(
    capture_breadcrumbs: list[CapturedBreadcrumb],
) -> None:
    migas.setup()
    assert migas.add_breadcrumb("lab/tool", "1.0", status="R")["success"]
    assert migas.add_breadcrumb("lab/tool", "1.0", wait=True, status="C")["success"]
    assert migas.add_project("lab/tool", "1.0", status="F")["latest_version"] == "1.0"
    assert migas.check_project("lab/tool", "1.0")["flagged"] is False
    assert migas.get_usage("lab/tool", "2026-11-22")["hits"] == 0
    assert migas.get_projects()["projects"] == []
    assert migas.flush()
    assert [crumb.status for crumb in capture_breadcrumbs] == ["R", "C", "F"]


@pytest.mark.parametrize("delivery", ["log", "spool", "inline", "nonsense"])
def test_no_delivery_of_the_environment_changes_what_is_captured_or_answered(
    delivery: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIGAS_DELIVERY", delivery)
    with capture_breadcrumbs() as breadcrumbs:
        migas.setup()
        with migas.session("lab/tool", "1.2.0", wait=True) as run:
            pass
        assert run.response is not None
        assert run.response["success"]
        assert migas.add_breadcrumb("lab/tool", "1.0", status="R")["success"]
        assert migas.add_breadcrumb("lab/tool", "1.0", wait=True, status="C")["success"]
        assert migas.flush()
    assert [crumb.status for crumb in breadcrumbs] == ["C", "R", "C"]


def test_what_a_program_sets_up_counts(capture_breadcrumbs: list[CapturedBreadcrumb]) -> None:
    migas.setup(error_text="none", before_send=lambda crumb: {**crumb, "status_desc": "changed"})
    with pytest.raises(ValueError, match="odd"):
        halve(3)
    assert capture_breadcrumbs[0].status_desc == "changed"
    assert capture_breadcrumbs[0].error_type is None


def test_an_opt_out_counts(
    capture_breadcrumbs: list[CapturedBreadcrumb], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DO_NOT_TRACK", "1")
    halve(2)
    monkeypatch.delenv("DO_NOT_TRACK")
    migas.setup(enabled=False)
    halve(2)
    assert capture_breadcrumbs == []


def test_before_setup_nothing_is_captured_where_that_is_to_be_tested() -> None:
    with capture_breadcrumbs(set_up=False) as breadcrumbs:
        halve(2)
        migas.setup()
        halve(2)
    assert len(breadcrumbs) == 1


def test_afterwards_everything_is_as_before() -> None:
    before = dict(os.environ), values.settings().is_set_up, values.settings().endpoint
    with capture_breadcrumbs() as breadcrumbs:
        migas.setup(endpoint="http://127.0.0.1:9")
        with capture_breadcrumbs() as inner:
            halve(2)
        halve(2)
    assert (len(breadcrumbs), len(inner)) == (1, 1)
    assert (dict(os.environ), values.settings().is_set_up, values.settings().endpoint) == before


def test_a_run_that_outlives_the_capture_is_discarded() -> None:
    with capture_breadcrumbs() as breadcrumbs:
        run = migas.session("lab/tool", "1.0").start()
    run.stop()
    assert breadcrumbs == []


def test_a_test_never_reaches_the_official_server() -> None:
    setup.setup()
    try:
        assert permission.refusal() == "a test must not reach the official server"
        assert not migas.add_project("lab/tool", "1.0")["success"]
    finally:
        values.publish(values.Settings())


def test_a_program_started_by_a_test_does_not_either(tmp_path: Path) -> None:
    program = "import migas; migas.setup(); print(migas.add_breadcrumb('lab/tool', '1.0'))"
    environ = {**environment(tmp_path), "XDG_CONFIG_HOME": "/nowhere"}
    done = subprocess.run([sys.executable, "-c", program], env=environ, stdout=-1, check=True)
    assert b"a test must not reach the official server" in done.stdout


def test_a_test_may_reach_a_server_of_its_own(tmp_path: Path) -> None:
    with FaultServer() as server:
        program = f"import migas; migas.setup(endpoint='{server.url}')\n"
        program += "assert migas.add_project('lab/tool', '1.0')['success']"
        environ = {**environment(tmp_path), "XDG_CONFIG_HOME": "/nowhere"}
        subprocess.run([sys.executable, "-c", program], env=environ, check=True)
        assert len(server.breadcrumbs) == 1


def test_the_plugin_loads_next_to_nothing() -> None:
    dear = "{'wrapt', 'urllib3', 'migas.testing', 'migas.config'}"
    program = f"import sys, migas.pytest_plugin; assert not {dear} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)
