"""The exchange that each thread is in, so that another thread can break it off."""

from __future__ import annotations

import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket

    from urllib3.connection import HTTPConnection

# By the identifier of the thread that asks.
_in_use: dict[int, HTTPConnection] = {}
_broken: set[int] = set()


def use(connection: HTTPConnection) -> None:
    """Note that this thread asks by a connection.

    Raises:
        ConnectionAbortedError: What it does has been broken off.
    """
    here = threading.get_ident()
    if here in _broken:
        raise ConnectionAbortedError("Nobody waits for the answer any more")
    _in_use[here] = connection


def break_off(thread: int | None) -> bool:
    """End the exchange that a thread hangs in, so that the thread can end.

    Args:
        thread: Its identifier.

    Returns:
        Whether it had a connection at all, rather than being still on its way there.
    """
    _broken.add(thread or 0)
    connected = socket_of(thread)
    if connected is None:
        return False
    import socket  # there is one, so this is loaded

    try:
        # Not an SSLSocket's own shutdown: it drops the TLS state under the reader's feet.
        socket.socket.shutdown(connected, socket.SHUT_RDWR)
    except (OSError, TypeError, AttributeError):
        return True  # what gevent and eventlet take for sockets has none, and is left behind
    return True


def socket_of(thread: int | None) -> socket.socket | None:
    """The connection that a thread asks by, or None where it has none."""
    connection = _in_use.get(thread or 0)
    return None if connection is None else connection.sock


def forget(thread: int | None) -> None:
    """Note that a thread has ended."""
    _in_use.pop(thread or 0, None)
    _broken.discard(thread or 0)
