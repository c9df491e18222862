"""The load on a collector: breadcrumbs over kept connections, from a process of its own.

Every answer counted is a success, given after the commit. Latencies at a given rate are counted
from the moment at which a request was due, so that a server that stalls does not hide behind a
client that waits.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
import uuid
from collections import deque
from dataclasses import dataclass
from subprocess import PIPE, Popen
from typing import Any, cast

CONNECTIONS = 64
GRAPHQL, REST = "add_project", "REST wait=true"
PROJECT = "owner/repo"
_QUERY = "mutation($p: ProjectInput!){add_project(p:$p)}"


@dataclass(frozen=True)
class Measured:
    """What a load generator found.

    Args:
        rate: Successes a second.
        successes: How many there were.
        failures: Answers that were none, or did not come.
        p50: Seconds within which half of the answers came.
        p99: Seconds within which 99 of a hundred came.
    """

    rate: float
    successes: int
    failures: int
    p50: float
    p99: float


def load(
    port: int,
    kind: str,
    seconds: float,
    rate: float | None = None,
    connections: int = CONNECTIONS,
) -> Measured:
    """Load a collector from another process: as fast as it answers, or at a rate.

    Args:
        port: Where the collector listens, on loopback.
        kind: Which way in to take, `GRAPHQL` or `REST`.
        seconds: For how long.
        rate: Requests a second; as many as are answered without it.
        connections: How many ask at the same time.
    """
    task = {
        "port": port,
        "kind": kind,
        "seconds": seconds,
        "rate": rate,
        "connections": connections,
    }
    command = [sys.executable, "-m", "benchmarks.load", json.dumps(task)]
    with Popen(command, stdout=PIPE, text=True) as process:
        said, _ = process.communicate(timeout=seconds + 60)
    return Measured(**json.loads(said))


class _Connection(asyncio.Protocol):
    """A kept connection: one request after the other, each after the answer to the last one.

    Args:
        generator: What it belongs to.
    """

    def __init__(self, generator: _Generator) -> None:
        self._generator = generator
        self._began = 0.0
        self._answer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for something to send."""
        self.transport = cast("asyncio.WriteTransport", transport)
        self._generator.idle(self)

    def send(self, due: float) -> None:
        """Send a request that was due at a moment."""
        self._began = due
        self.transport.write(self._generator.request())

    def data_received(self, data: bytes) -> None:
        """Count an answer when all of it is here."""
        self._answer += data
        head, found, body = self._answer.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        if len(body) < length:
            return
        self._answer = b""
        # Whether a newest version is known makes the `success` of `add_project`, not the commit.
        stored = b'"bad_versions":' if self._generator.kind == GRAPHQL else b'"success":true'
        is_success = b" 200 " in head[:16] and stored in body.replace(b" ", b"")
        self._generator.answered(time.perf_counter() - self._began, is_success)
        self._generator.idle(self)


class _Generator:
    """Keeps connections busy for some time.

    Args:
        port: Where the collector listens.
        kind: Which way in to take.
        seconds: For how long.
        rate: Requests a second; as many as are answered without it.
        connections: How many ask at the same time.
    """

    def __init__(
        self, port: int, kind: str, seconds: float, rate: float | None, connections: int
    ) -> None:
        self.kind = kind
        self._connections = connections
        self._port, self._seconds, self._rate = port, seconds, rate
        self._latencies: list[float] = []
        self._failures = 0
        self._end = 0.0
        self._idle: deque[_Connection] = deque()
        self._due: deque[float] = deque()
        self._users = [str(uuid.uuid4()) for _ in range(5000)]
        self._number = 0

    async def run(self) -> Measured:
        """Load the collector, and say what came back."""
        loop = asyncio.get_running_loop()
        began = time.perf_counter()
        self._end = began + self._seconds
        for _ in range(self._connections):
            await loop.create_connection(lambda: _Connection(self), "127.0.0.1", self._port)
        if self._rate:
            sent = 0
            while time.perf_counter() < self._end:
                await asyncio.sleep(0.002)
                while sent < (time.perf_counter() - began) * self._rate:
                    self._due.append(began + sent / self._rate)
                    sent += 1
                self._dispatch()
        else:
            await asyncio.sleep(self._seconds)
        answered, elapsed = len(self._latencies), time.perf_counter() - began
        await asyncio.sleep(1.0)  # for the answers that are under way
        self._failures += len(self._due)
        self._latencies.sort()
        # A hundredth of what hardly ever came is unknown.
        known = self._latencies if answered > 1 else [float("inf")] * 2
        cuts = statistics.quantiles(known, n=100)
        return Measured(answered / elapsed, answered, self._failures, cuts[49], cuts[98])

    def idle(self, connection: _Connection) -> None:
        """Take back a connection, and use it again when there is something to send."""
        self._idle.append(connection)
        if self._rate:
            self._dispatch()
        elif time.perf_counter() < self._end:
            self._idle.pop().send(time.perf_counter())

    def _dispatch(self) -> None:
        while self._idle and self._due:
            self._idle.popleft().send(self._due.popleft())

    def answered(self, seconds: float, is_success: bool) -> None:
        """Count an answer."""
        if is_success:
            self._latencies.append(seconds)
        else:
            self._failures += 1

    def request(self) -> bytes:
        """A breadcrumb like those of real runs, with their durations, of a session of its own."""
        self._number += 1
        who = {
            "session_id": str(uuid.uuid4()),
            "user_id": self._users[self._number % len(self._users)],
            "platform": "Linux-6.1.0-13-amd64-x86_64",
            "container": "docker",
            "is_ci": False,
        }
        how = {"status": "C"}
        if self._number % 10 == 0:
            how = {"status": "F", "error_type": "ValueError", "error_desc": "no such <path>"}
        base = {
            "project": PROJECT,
            "project_version": f"1.{self._number % 5}.0",
            "language": "python",
            "language_version": "3.11.7",
        }
        message: dict[str, Any] = {**base, "ctx": who, "proc": how}
        path = "/api/breadcrumb?wait=true"
        if self.kind == GRAPHQL:
            message = {"query": _QUERY, "variables": {"p": {**base, **who, **how}}}
            path = "/graphql"
        body = json.dumps(message).encode()
        return (
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n"
            f"X-Migas-Ended-Ago: 0\r\nX-Migas-Duration: {1 + self._number % 600}\r\n\r\n"
        ).encode() + body


if __name__ == "__main__":
    import uvloop

    # The load shares the machine with what it measures.
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        found = runner.run(_Generator(**json.loads(sys.argv[1])).run())
    print(json.dumps(found.__dict__))
