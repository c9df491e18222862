"""Fixtures that every test may use."""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

from migas import calls
from migas.delivery import hooks
from migas.settings import setup, values
from migas.tracking import session as runs
from tests.support.collector import running_collector
from tests.support.desk import Desk
from tests.support.fault_server import FaultServer
from tests.support.hangs import *  # noqa: F403  pytest finds its hooks here

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.collector import CollectorProcess

# A busy machine makes nothing wrong.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

# Ignored below `nohup`, or in a shell's background; what a test starts must not depend on that.
signal.signal(signal.SIGINT, signal.default_int_handler)
for _name in ("SIGHUP", "SIGQUIT"):
    if hasattr(signal, _name):
        signal.signal(getattr(signal, _name), signal.SIG_DFL)

for _name in [name for name in os.environ if "MIGAS" in name or name == "DO_NOT_TRACK"]:
    # What the person who runs the tests has decided is for real programs.
    del os.environ[_name]


# As installed ones are, modules are compiled once, and not in each of some thousand processes.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are processors: programs that a test waits for leave them idle."""
    return (os.cpu_count() or 1) + 1


@pytest.fixture(scope="session", autouse=True)
def _nobodys_choices(tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test reads or writes what the person who runs the tests keeps in their home."""
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        os.environ[name] = str(tmp_path_factory.mktemp("home") / name)


@pytest.fixture(scope="session")
def shared_collector() -> Iterator[CollectorProcess]:
    """A collector that registers whom it does not know, one for the whole session."""
    pytest.importorskip("fastapi", reason="the collector's parts are not installed")
    with running_collector() as collector:
        yield collector


@pytest.fixture
def server() -> Iterator[FaultServer]:
    """A server that behaves well until told otherwise."""
    with FaultServer() as running:
        yield running


@pytest.fixture
def desk(tmp_path: Path, server: FaultServer) -> Desk:
    """A user's place with that server."""
    return Desk(tmp_path, server.url)


@pytest.fixture
def offline(tmp_path: Path) -> Desk:
    """A user's place where nothing is sent by itself."""
    return Desk(tmp_path, delivery="spool")


class Spool:
    """What this process has left to be sent: the real files of a state folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def crumbs(self) -> list[dict[str, Any]]:
        """The breadcrumbs that wait."""
        return self._read("ready")

    def open_crumbs(self) -> list[dict[str, Any]]:
        """What would be sent if this process died now."""
        return self._read("open")

    def endings(self) -> list[tuple[str, str]]:
        """Status and description of each breadcrumb that waits."""
        return [(crumb["status"], crumb["status_desc"]) for crumb in self.crumbs()]

    def _read(self, name: str) -> list[dict[str, Any]]:
        files = self.folder.glob(f"{name}/*.json")
        return [json.loads(file.read_text(encoding="utf-8"))["breadcrumb"] for file in files]


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """This very process as if migas had just been imported; gives its state folder."""
    monkeypatch.setenv("MIGAS_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_CONFIG_DIRS", str(tmp_path / "site"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("_MIGAS_PARENT", "")
    monkeypatch.setattr(hooks, "_current", None)
    values.publish(values.Settings())
    yield tmp_path / "state"
    for session in runs.open_sessions():
        session.discard()
        session.stop()
    hooks.current().at_exit()
    for client in calls._clients.values():
        client.close()
    calls._clients.clear()
    values.publish(values.Settings())


@pytest.fixture
def spool(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> Spool:
    """This very process, set up and tracked; nothing is sent, everything waits in files."""
    monkeypatch.setenv("MIGAS_DELIVERY", "spool")
    setup.setup(endpoint="http://127.0.0.1:9")
    return Spool(fresh)
