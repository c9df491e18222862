"""What a server of chosen manners does with bare sockets."""

from __future__ import annotations

import select
import socket
import time
from typing import TYPE_CHECKING

from tests.support.answers import MIGAS, Answer, Request

if TYPE_CHECKING:
    import threading

HOST = "127.0.0.1"
_MAX_HEAD_BYTES = 65536


def read_request(connection: socket.socket, data: bytes) -> tuple[Request | None, bytes]:
    """Read one request; return it with the bytes that follow it, or None at the stream's end."""
    while (end := data.find(b"\r\n\r\n")) < 0:
        chunk = connection.recv(65536)
        if not chunk or len(data) > _MAX_HEAD_BYTES:
            return None, b""
        data += chunk
    first, *lines = data[:end].decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ", 2)
    pairs = (line.partition(":") for line in lines)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    length = int(headers.get("content-length", 0))
    body = data[end + 4 :]
    while len(body) < length:
        chunk = connection.recv(65536)
        if not chunk:
            return None, b""
        body += chunk
    return Request(method, path, headers, body[:length], time.time()), body[length:]


def torment(connection: socket.socket, turn: threading.Event, *, drip: bool) -> None:
    """Answer without an end, though ten bytes are announced, or one byte a second.

    It lasts until the client has enough.
    """
    if drip:
        for byte in Answer(200, {"data": {"add_project": {"success": True}}}).encode():
            connection.sendall(bytes([byte]))
            if turn.wait(1.0):
                return
        return
    head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Backend-Server: " + MIGAS
    connection.sendall(
        head.encode() + b"\r\nContent-Length: 10\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    # The pause keeps the flood from taking the CPU that a client under test needs.
    while not turn.wait(0.001):
        connection.sendall(b"4000\r\n" + b" " * 0x4000 + b"\r\n")


def hung_up(connection: socket.socket) -> bool:
    """Whether the client has closed its end while it should be waiting for an answer."""
    ready, _, _ = select.select([connection], [], [], 0)
    if not ready:
        return False
    # A TLS socket cannot peek; a readable one has nothing to say at this point but goodbye.
    return hasattr(connection, "context") or not connection.recv(1, socket.MSG_PEEK)


def bound_socket(port: int, *, shared: bool = True) -> socket.socket:
    """A socket that shares its port with others of ours, so that listeners can come and go."""
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        bound.bind((HOST, port))
    except OSError:
        bound.close()
        raise
    return bound


def fill_queue(port: int) -> list[socket.socket]:
    """Connect to a listener until it takes nobody any more; the sockets must be kept open."""
    fillers = []
    for _ in range(16):
        filler = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        filler.setblocking(False)
        fillers.append(filler)
        filler.connect_ex((HOST, port))
        _, ready, _ = select.select([], [filler], [], 0.05)
        if not ready:
            return fillers
    raise RuntimeError("this system's listen queue cannot be filled")
