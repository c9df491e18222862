"""This process and the servers that its explicit calls ask."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

import migas

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.collector import CollectorProcess
    from tests.support.fault_server import FaultServer


@pytest.fixture
def collector(fresh: Path, shared_collector: CollectorProcess) -> CollectorProcess:
    """The shared collector, to which this process reports.

    Its first answer takes seconds where every processor is busy, and how long one may take is what
    other tests ask.
    """
    migas.setup(endpoint=shared_collector.url, timeout=30)
    return shared_collector


@pytest.fixture
def pointed(fresh: Path, server: FaultServer) -> FaultServer:
    """The fault server, to which this process reports."""
    migas.setup(endpoint=server.url, timeout=5)
    return server


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy and no certificates but those that a test names."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
