"""However a collector ends: what it answered with success is in its database."""

from __future__ import annotations

import http.client
import json
import threading
import time
from contextlib import closing
from uuid import uuid4

import pytest

from tests.support.collector import CollectorProcess, running_collector

pytestmark = pytest.mark.slow


class Sender(threading.Thread):
    """Sends breadcrumbs one after the other, and notes those that were answered with success."""

    def __init__(self, collector: CollectorProcess) -> None:
        super().__init__()
        self._port = collector.port
        self.successes: list[str] = []

    def run(self) -> None:
        try:
            with closing(http.client.HTTPConnection("127.0.0.1", self._port, 20)) as connection:
                while self._send(connection):
                    pass
        except (OSError, http.client.HTTPException):
            return

    def _send(self, connection: http.client.HTTPConnection) -> bool:
        session = str(uuid4())
        breadcrumb = {"project": "a/b", "project_version": "1.0", "ctx": {"session_id": session}}
        headers = {"Content-Type": "application/json"}
        connection.request("POST", "/api/breadcrumb", json.dumps(breadcrumb), headers)
        response = connection.getresponse()
        response.read()
        if response.status == 202:
            self.successes.append(session)
        return response.status == 202


@pytest.mark.parametrize("end", ["stop", pytest.param("kill", marks=pytest.mark.slow)])
def test_every_success_is_stored(end: str) -> None:
    with running_collector() as collector:
        senders = [Sender(collector) for _ in range(8)]
        for sender in senders:
            sender.start()
        time.sleep(1)
        getattr(collector, end)()
        for sender in senders:
            sender.join(30)
        successes = [session for sender in senders for session in sender.successes]
        stored = {row["session_id"] for row in collector.crumbs()}

    assert successes
    assert stored.issuperset(successes)
