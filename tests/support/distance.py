"""A distant server: a relay on 127.0.0.1 that passes all on, each way half a round trip late.

The kernel accepts a connection at once, so what a handshake would have cost delays the first bytes.
"""

from __future__ import annotations

import contextlib
import queue
import socket
import threading
import time
from typing import Self


class Relay:
    """A port of its own for a server, so many seconds away. Use it as a context manager.

    Args:
        port: The server's port on 127.0.0.1.
        round_trip: Seconds there and back.
    """

    def __init__(self, port: int, round_trip: float) -> None:
        self._port = port
        self._half = round_trip / 2
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for one in (self._listener, *self._sockets):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._port))
                self._sockets += [near, far]
                for source, sink, extra in ((near, far, 2 * self._half), (far, near, 0.0)):
                    late: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()
                    opened = time.monotonic() + extra
                    for target, arguments in (
                        (self._read, (source, late, opened)),
                        (self._write, (sink, late)),
                    ):
                        threading.Thread(target=target, args=arguments, daemon=True).start()

    def _read(
        self, source: socket.socket, late: queue.SimpleQueue[tuple[float, bytes]], opened: float
    ) -> None:
        data = b"-"
        while data:
            try:
                data = source.recv(65536)
            except OSError:
                data = b""
            late.put((max(time.monotonic(), opened) + self._half, data))

    def _write(self, sink: socket.socket, late: queue.SimpleQueue[tuple[float, bytes]]) -> None:
        data = b"-"
        while data:
            due, data = late.get()
            time.sleep(max(due - time.monotonic(), 0.0))
            with contextlib.suppress(OSError):
                if data:
                    sink.sendall(data)
                else:
                    sink.shutdown(socket.SHUT_WR)
