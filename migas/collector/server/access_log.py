"""The access log: one JSON object a line, without an address, a token or anybody's id.

A thread of its own writes, for whoever reads the log may be slow, or stand still. What does not
fit into its queue then is left out, and the next line says how much that was.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from datetime import UTC, datetime
from queue import Full, Queue
from threading import Thread
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from migas.collector.http.exchanges import Exchange

MAX_WAITING = 10_000
END_SECONDS = 2.0


class AccessLog:
    """Writes a line to stdout for each request; threads begin with the first one."""

    def __init__(self) -> None:
        self._lines: Queue[str | None] = Queue(MAX_WAITING)
        self._lost = 0
        self._thread: Thread | None = None

    def write(self, exchange: Exchange) -> None:
        """Note a request."""
        if self._thread is None:
            self._thread = Thread(target=self._run, daemon=True)
            self._thread.start()
        told: dict[str, object] = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "method": exchange.method,
            "path": exchange.path,
            "status": exchange.status,
            "errors": exchange.has_errors,
            "seconds": round(exchange.seconds, 6),
            "bytes": exchange.size,
        }
        if self._lost:
            told["lost"] = self._lost
        try:
            self._lines.put_nowait(json.dumps(told) + "\n")
            self._lost = 0
        except Full:
            self._lost += 1

    def close(self) -> None:
        """Write what waits, within `END_SECONDS`."""
        if self._thread is not None:
            with suppress(Full):
                self._lines.put_nowait(None)
            self._thread.join(END_SECONDS)

    def _run(self) -> None:
        while (line := self._lines.get()) is not None:
            with suppress(OSError, ValueError):  # nobody reads it any more
                # One call a line: lines of several processes do not mix.
                os.write(sys.stdout.fileno(), line.encode())
