"""The exchange that each thread is in, so that another thread can break it off."""

from __future__ import annotations

import os
import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket

# By the identifier of the thread that asks.
_in_use: dict[int, socket.socket] = {}
_connected: dict[int, int] = {}
_broken: set[int] = set()


def use(handle: socket.socket | None) -> None:
    """Note by which connection this thread asks.

    Args:
        handle: A duplicate of its socket, which stays one whatever TLS makes of that; None where
            there is none yet.

    Raises:
        ConnectionAbortedError: What this thread does has been broken off.
    """
    here = threading.get_ident()
    # Noted first: who breaks it off now finds the connection, or is found here.
    if handle is None:
        _in_use.pop(here, None)
    else:
        _in_use[here] = handle
    if here in _broken:
        raise ConnectionAbortedError("Nobody waits for the answer any more")


def has_connected(handle: socket.socket) -> None:
    """Note that this thread has a new connection, and asks by it; as `use` in all else."""
    here = threading.get_ident()
    _connected[here] = connections_made() + 1
    use(handle)


def connections_made() -> int:
    """How many connections this thread has made."""
    return _connected.get(threading.get_ident(), 0)


def break_off(thread: int | None) -> bool:
    """End the exchange that a thread hangs in, so that the thread can end.

    Args:
        thread: Its identifier.

    Returns:
        Whether it had a connection at all, rather than being still on its way there.
    """
    _broken.add(thread or 0)
    handle = socket_of(thread)
    if handle is None:
        return False
    import socket  # there is one, so this is loaded

    try:
        handle.shutdown(socket.SHUT_RDWR)
    except (OSError, TypeError, AttributeError):
        return True  # what gevent and eventlet take for sockets has none, and is left behind
    return True


def socket_of(thread: int | None) -> socket.socket | None:
    """The connection that a thread asks by, or None where it has none."""
    handle = _in_use.get(thread or 0)
    return None if handle is None or handle.fileno() < 0 else handle


def forget(thread: int | None) -> None:
    """Note that a thread has ended."""
    _in_use.pop(thread or 0, None)
    _connected.pop(thread or 0, None)
    _broken.discard(thread or 0)


def _forget_all() -> None:
    _in_use.clear()
    _connected.clear()
    _broken.clear()


if hasattr(os, "register_at_fork"):
    # A forked child's threads may be called as threads of the parent are.
    os.register_at_fork(after_in_child=_forget_all)
