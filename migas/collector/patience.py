"""How long a client may take to say what it wants.

uvicorn closes connections that are idle between two requests. It waits for ever for the first
one, and for the end of one that has begun, so that a few slow clients could hold all connections.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

if TYPE_CHECKING:
    import asyncio

RECEIVE_SECONDS = 20.0
"""A breadcrumb is 2,500 bytes at most: over the slowest of lines a matter of a second."""


class ImpatientProtocol(HttpToolsProtocol):
    """HTTP for clients who send their request within `RECEIVE_SECONDS`; others are hung up on."""

    _hang_up: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop to wait."""
        self._content()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """Wait for the request's end from its beginning on."""
        self._wait()
        super().on_message_begin()

    def on_message_complete(self) -> None:
        """Stop to wait: all of the request is here."""
        self._content()
        super().on_message_complete()

    def _wait(self) -> None:
        self._content()
        self._hang_up = self.loop.call_later(RECEIVE_SECONDS, self.transport.close)

    def _content(self) -> None:
        if self._hang_up is not None:
            self._hang_up.cancel()
            self._hang_up = None
