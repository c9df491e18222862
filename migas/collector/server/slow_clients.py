"""How long a client may take to say what it wants and to take the answer, and how much it may say.

uvicorn closes connections that are idle between two requests. It waits for ever for the first
one, for the end of one that has begun, and for an answer to be read, so that a few slow clients
could hold all connections. And it reads a header of any length, at a cost that grows with the
square of it, so that a single client could hold a whole process.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

if TYPE_CHECKING:
    import asyncio

RECEIVE_SECONDS = 20.0
"""A breadcrumb is 2,500 bytes at most: over the slowest of lines a matter of a second."""

SEND_SECONDS = 30.0
"""A connection of whose answer nothing was read for so long is closed."""

MAX_HEAD_BYTES = 32 * 1024
"""Heads are a few hundred bytes. Trailers and the lengths of chunks count, too."""

_PIECE_BYTES = 8 * 1024
_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-length: 0\r\nconnection: close\r\n\r\n"
)

# Any stranger can have uvicorn warn of a request that it does not understand. It is no logger of
# uvicorn's, whose levels all begin anew when that configures logging.
_log = logging.getLogger("migas.collector.requests")
_log.setLevel(logging.ERROR)


class SlowClientProtocol(HttpToolsProtocol):
    """HTTP that hangs up on slow clients.

    A client sends each request within `RECEIVE_SECONDS`, goes on to read its answer, and says no
    more than `MAX_HEAD_BYTES` around a body.
    """

    _request_deadline: asyncio.TimerHandle | None = None
    _send_check: asyncio.TimerHandle | None = None
    _is_receiving = False
    _unread = 0
    _head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        self.logger = _log
        self._start_request_deadline()
        self._send_check = self.loop.call_later(SEND_SECONDS, self._check_send_progress)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop to wait."""
        self._cancel_request_deadline()
        if self._send_check is not None:
            self._send_check.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on, a piece at a time: what follows a request's end is not counted with it."""
        for begin in range(0, len(data), _PIECE_BYTES):
            piece = data[begin : begin + _PIECE_BYTES]
            self._head_bytes += len(piece)
            super().data_received(piece)
            if self.transport.is_closing():
                return
            if self._head_bytes > MAX_HEAD_BYTES:
                if self.cycle is None or self.cycle.response_complete:
                    self.transport.write(_TOO_LARGE)
                self.transport.close()
                return
        if self._is_receiving and self._request_deadline is None:
            self._start_request_deadline()

    def on_body(self, body: bytes) -> None:
        """Leave to others how large a body may be."""
        self._head_bytes -= len(body)
        super().on_body(body)

    def on_message_begin(self) -> None:
        """Wait for the request's end from its beginning on, unless it comes with it."""
        self._head_bytes = 0
        self._is_receiving = True
        self._cancel_request_deadline()
        self._unread = 0  # a client that asks again has read; else the next check finds it
        super().on_message_begin()

    def on_message_complete(self) -> None:
        """Stop to wait: all of the request is here."""
        self._head_bytes = 0
        self._is_receiving = False
        self._cancel_request_deadline()
        super().on_message_complete()

    def resume_writing(self) -> None:
        """Go on to write: much has been read."""
        self._unread = 0
        super().resume_writing()

    def _unsupported_upgrade_warning(self) -> None:
        """Answer as if no other protocol had been asked for, then hang up.

        The parser reads nothing that follows such a request.
        """
        self.cycle.keep_alive = False
        if self.cycle.response_complete:
            self.transport.close()

    def _start_request_deadline(self) -> None:
        self._request_deadline = self.loop.call_later(RECEIVE_SECONDS, self.transport.close)

    def _cancel_request_deadline(self) -> None:
        if self._request_deadline is not None:
            self._request_deadline.cancel()
            self._request_deadline = None

    def _check_send_progress(self) -> None:
        """Hang up if nothing was read since the last check, even while the connection closes."""
        unread = self.transport.get_write_buffer_size()
        if 0 < self._unread <= unread:
            self.transport.abort()
            return
        self._unread = unread
        self._send_check = self.loop.call_later(SEND_SECONDS, self._check_send_progress)
