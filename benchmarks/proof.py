"""Proof that a client does its work at all, and where: one that sends nothing would win."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.environments import OURS
from benchmarks.harness import CONTAINER, Program
from tests.support.fault_server import FaultServer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.clients import Client
    from benchmarks.harness import Harness

_SEEN = "import sys; from migas.host import environment; sys.exit(environment.is_short_lived())"


@contextlib.contextmanager
def reporting(harness: Harness, clients: Sequence[Client], host: str = "plain") -> Iterator[None]:
    """Check before and after a measurement that each client reaches a good server.

    After it as well, since the working tree may change under our hands. Before it, that programs
    see the world that they are to be measured in.

    Args:
        harness: Where to run them.
        clients: Clients that can be used here and are not opted out.
        host: The program to watch.

    Raises:
        RuntimeError: A client sent nothing, or programs see another world.
    """
    seen = Program("", OURS.python, ("-c", _SEEN))
    if harness.run(seen).status != int(harness.world == CONTAINER):
        raise RuntimeError(f"programs do not see this machine as a {harness.world}")
    _check(harness, clients, host)
    yield
    _check(harness, clients, host)


def _check(harness: Harness, clients: Sequence[Client], host: str) -> None:
    for client in clients:
        with FaultServer() as server:
            home = harness.folder()
            sample = harness.run(client.program(server.url, host=host), state=home, grace=20.0)
            # An end that is waited for is cut short after a second, and on a busy machine leaves
            # its breadcrumb to the next courier. A program that fails says so in its table.
            kept = next(Path(home).glob("migas/*/*.json*"), None)
            if not server.requests and not kept and sample.status == 0:
                raise RuntimeError(
                    f"{client.name} sent nothing to a good server: its figures would mean nothing"
                )
