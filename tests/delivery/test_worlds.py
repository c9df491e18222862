"""What `auto` does and what is kept, in a container and on an ordinary host: each tries both."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.support import worlds
from tests.support.desk import RUN, Desk

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.fault_server import FaultServer

SHORT = f"import migas; migas.setup(exit_timeout=TIMEOUT)\nwith {RUN}: print('hi')"


class World:
    """A user's place in one of the worlds.

    Args:
        desk: The place.
        environment: What is set there, beside what the desk sets.
        prefix: What brings a program there.
    """

    def __init__(self, desk: Desk, environment: dict[str, str], prefix: list[str]) -> None:
        self.desk = desk
        self.home = desk.folder / "home"
        self.home.mkdir()
        told = desk.environment()
        names = ("HOME", "PYTHONPATH", "MIGAS_ENDPOINT", "MIGAS_STATE_DIR")
        self._environment = {**environment, **{name: told[name] for name in names}}
        self._prefix = prefix

    def runs(self, exit_timeout: float) -> None:
        """Run a program to its end, as the bare one."""
        source = SHORT.replace("TIMEOUT", str(exit_timeout))
        ended = self.desk.run(source, environment=self._environment, prefix=self._prefix)
        assert (ended.status, ended.stdout, ended.stderr) == (0, b"hi\n", b"")


@pytest.fixture
def ordinary(desk: Desk, tmp_path: Path) -> World:
    return World(desk, worlds.PLAIN, worlds.ordinary_host(tmp_path))


@pytest.fixture
def container(desk: Desk) -> World:
    return World(desk, worlds.CONTAINER, [])


def test_on_an_ordinary_host_nobody_waits_for_a_courier(
    ordinary: World, server: FaultServer
) -> None:
    server.behave("silent")
    ordinary.runs(exit_timeout=0.5)
    server.wait_for_requests(1)
    assert len(ordinary.desk.couriers()) == 1  # who is waited for is killed by now
    ordinary.desk.end_couriers()


def test_on_an_ordinary_host_the_breadcrumb_arrives(ordinary: World, server: FaultServer) -> None:
    ordinary.runs(exit_timeout=0.5)
    (crumb,) = server.wait_for_breadcrumbs(1)
    assert (crumb["status"], crumb["container"]) == ("C", "unknown")


def test_on_an_ordinary_host_a_user_is_the_same_in_two_runs(
    ordinary: World, server: FaultServer
) -> None:
    for _ in range(2):
        ordinary.runs(exit_timeout=0.5)
    first, second = server.wait_for_breadcrumbs(2)
    assert first["user_id"] == second["user_id"] is not None
    kept = ordinary.home / ".config" / "migas" / "user_id"
    assert kept.read_text() == f"{first['user_id']}\n"


def test_in_a_container_a_program_waits_until_its_breadcrumb_has_arrived(
    container: World, server: FaultServer
) -> None:
    container.runs(exit_timeout=30)
    (crumb,) = server.breadcrumbs
    assert (crumb["status"], crumb["container"]) == ("C", "docker")


def test_in_a_container_nothing_outlives_the_program(container: World, server: FaultServer) -> None:
    server.behave("silent")
    container.runs(exit_timeout=0.5)
    assert container.desk.couriers() == []


@pytest.mark.skipif(
    os.stat("/tmp").st_dev != os.stat("/").st_dev, reason="a home here outlives a container"
)
def test_in_a_container_no_id_is_made_that_ends_with_it(
    container: World, server: FaultServer
) -> None:
    container.runs(exit_timeout=30)
    (crumb,) = server.breadcrumbs
    assert crumb.get("user_id") is None
    assert list(container.home.rglob("user_id")) == []
