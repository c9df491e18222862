"""How long a client may take to say what it wants, and to take the answer.

uvicorn closes connections that are idle between two requests. It waits for ever for the first
one, for the end of one that has begun, and for an answer to be read, so that a few slow clients
could hold all connections.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

if TYPE_CHECKING:
    import asyncio

RECEIVE_SECONDS = 20.0
"""A breadcrumb is 2,500 bytes at most: over the slowest of lines a matter of a second."""

SEND_SECONDS = 30.0
"""A connection of whose answer nothing was read for so long is closed."""


class SlowClientProtocol(HttpToolsProtocol):
    """HTTP that hangs up on slow clients.

    A client sends each request within `RECEIVE_SECONDS` and goes on to read its answer.
    """

    _request_deadline: asyncio.TimerHandle | None = None
    _send_check: asyncio.TimerHandle | None = None
    _unread = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._start_request_deadline()
        self._send_check = self.loop.call_later(SEND_SECONDS, self._check_send_progress)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop to wait."""
        self._cancel_request_deadline()
        if self._send_check is not None:
            self._send_check.cancel()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """Wait for the request's end from its beginning on."""
        self._start_request_deadline()
        self._unread = (
            0  # a client that asks again has read; one that has not is found by the next check
        )
        super().on_message_begin()

    def on_message_complete(self) -> None:
        """Stop to wait: all of the request is here."""
        self._cancel_request_deadline()
        super().on_message_complete()

    def resume_writing(self) -> None:
        """Go on to write: much has been read."""
        self._unread = 0
        super().resume_writing()

    def _start_request_deadline(self) -> None:
        self._cancel_request_deadline()
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
