from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.delivery.programs import Desk
from tests.support.fault_server import FaultServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def server() -> Iterator[FaultServer]:
    """A good server; `behave` makes it another."""
    with FaultServer("ok") as running:
        yield running


@pytest.fixture
def desk(tmp_path: Path, server: FaultServer) -> Desk:
    """A user's place with that server."""
    return Desk(tmp_path, server.url)


@pytest.fixture
def offline(tmp_path: Path) -> Desk:
    """A user's place where nothing is sent by itself."""
    return Desk(tmp_path, delivery="spool")
