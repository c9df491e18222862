"""Ten thousand array tasks behind one address: simulated time, the real drain and backoff."""

from __future__ import annotations

import random
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from migas.courier import main as courier
from migas.courier.drain import Drain
from migas.spool import Spool
from migas.spool.servers import Backoff
from tests.spool.simulation import START, LimitedServer, World
from tests.support.records import record

if TYPE_CHECKING:
    from collections.abc import Iterator

SERVER = "http://server"
STARTUP_SECONDS = 0.3


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder in memory where there is such a one: no disk is simulated."""
    memory = "/dev/shm"
    with tempfile.TemporaryDirectory(dir=memory if Path(memory).is_dir() else None) as name:
        yield Path(name)


def simulate(
    folder: Path, tasks: int, spools: int, *, seconds: float, living: float, seed: int
) -> tuple[World, LimitedServer, list[Spool]]:
    """Let tasks end within so many seconds, each in one of the spools.

    Args:
        folder: Where the spools lie.
        tasks: How many.
        spools: Over how many state folders they are spread: one for a shared home.
        seconds: Within which they end, each at a moment drawn at random.
        living: The share of tasks whose courier may live on; the others only write.
        seed: For all that is drawn.
    """
    draw = random.Random(seed)
    world = World()
    server = LimitedServer(world)
    places = [Spool(str(folder / f"{index}")) for index in range(spools)]

    def be_courier(spool: Spool) -> None:
        backoff = Backoff(spool.root, world.now, draw.random)
        Drain(spool, backoff, server, clock=world).run(world.now() + courier.LIFE_SECONDS)

    def end(spool: Spool) -> None:
        began = world.now()
        spool.put(record(SERVER))
        if draw.random() < living and Backoff(spool.root, world.now).seconds_left(SERVER) <= 0:
            spread = draw.uniform(0, courier.SPREAD_SECONDS)
            world.spawn(STARTUP_SECONDS + spread, lambda: be_courier(spool))
        world.waited += world.now() - began

    for index in range(tasks):
        world.at(draw.uniform(0, seconds), partial(end, places[index % spools]))
    world.run()
    return world, server, places


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.0, 1800.0])
def test_a_shared_home(folder: Path, seconds: float) -> None:
    world, server, (spool,) = simulate(folder, 10_000, 1, seconds=seconds, living=0.03, seed=7)

    print(
        f"\n10,000 tasks in {seconds:g} s: {server.requests} requests, {server.refused} refused, "
        f"all stored after {server.last_stored - START:.0f} s"
    )
    assert world.waited == 0
    assert len(server.stored) == 10_000
    assert set(server.stored.values()) == {1}
    assert server.refused < 0.05 * server.requests
    assert spool.count() == {"open": 0, "ready": 0, "sending": 0, "aside": 0}


@pytest.mark.slow
def test_a_hundred_nodes_with_disks_of_their_own(folder: Path) -> None:
    world, server, places = simulate(folder, 10_000, 100, seconds=60.0, living=1.0, seed=7)

    waiting = sum(spool.count()["ready"] for spool in places)
    print(
        f"\n100 spools: {server.requests} requests, {server.refused} refused, "
        f"{waiting} of 10,000 still wait after {server.last_stored - START:.0f} s"
    )
    assert world.waited == 0
    assert server.refused < 0.05 * server.requests
    assert waiting == 0


def test_a_small_array(folder: Path) -> None:
    world, server, (spool,) = simulate(folder, 300, 1, seconds=10.0, living=0.5, seed=3)

    assert world.waited == 0
    assert len(server.stored) == 300
    assert server.refused == 0
    assert spool.count()["ready"] == 0
