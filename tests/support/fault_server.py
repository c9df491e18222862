"""A server of chosen manners on 127.0.0.1: a good migas server, or one that fails in a known way.

Real sockets and threads, the standard library only. Tests and benchmarks use it as

    with FaultServer("silent") as server:
        run_a_program(endpoint=server.url)
        server.behave("ok")  # the same port, from now on in another manner
        server.wait_for_breadcrumbs(1)

and `python -m tests.support.fault_server MANNER [--port N] [--tls]` runs it until interrupted.
"""

from __future__ import annotations

import argparse
import contextlib
import select
import signal
import socket
import struct
import tempfile
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

from tests.support.answers import (
    CANNED,
    GRAPHQL_PATH,
    Answer,
    Request,
    answer_well,
    graphql_error,
    redirect,
)
from tests.support.sockets import HOST, bound_socket, fill_queue, hung_up, read_request, torment

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

__all__ = ["CERTIFICATES", "MANNERS", "Answer", "FaultServer", "Request"]

ASKS = ("X-Migas-Accepts", "ended_ago, duration")

LATE = {"300ms": 0.3, "2s": 2.0}
"""Manners that answer well, but after so many seconds."""

CERTIFICATES = {
    "wrong-host": "wrong-host",
    "self-signed": "self-signed",
    "expired": "expired",
    "private-ca": "valid",
}
"""Manners that speak TLS, and the certificate they show; they answer well to who accepts it."""


_OTHERS = (
    "ok",
    "asks",
    "refused",
    "dropped",
    "silent",
    "reset",
    "graphql-errors",
    "endless",
    "drip",
    "redirect-loop",
    "redirect-elsewhere",
    "not-http",
    "closes",
    "loses",
)

MANNERS = (*_OTHERS, *LATE, *CANNED, *CERTIFICATES)
"""Everything the server can be told to do.

asks: answers well, and asks for times, as our own collector does. refused: nobody listens.
dropped: packets vanish, connecting hangs. silent: reads, never answers. reset: reads, then RST.
graphql-errors: GraphQL fails for the server's own reasons, REST works. endless: a body without an
end. drip: an answer of one byte a second. redirect-elsewhere: to the name `localhost`. closes: an
answer, then the connection's end. loses: the same, with a success that is a lie: nothing is stored.
"""


class FaultServer:
    """A server on a port of its own that behaves as told. Use it as a context manager.

    Args:
        manner: One of `MANNERS`, or a function that gets each `Request` and returns an `Answer`,
            or None for the good server's.
        port: The port to take; 0 takes a free one.
        tls: Whether to speak TLS with a valid certificate of the private authority. The manners
            in `CERTIFICATES` always do. A manner change never changes this, so the URL stays.
        keep_alive: How many idle seconds a connection lives.

    Attributes:
        url: The base URL to give to a client.
        connections: How many connections were accepted.
        requests: Every request that arrived whole, in order.
        breadcrumbs: The flat fields of every breadcrumb that was stored, in order.
    """

    def __init__(
        self,
        manner: str | Callable[[Request], Answer | None] = "ok",
        *,
        port: int = 0,
        tls: bool = False,
        keep_alive: float = 5.0,
    ) -> None:
        self.tls = tls or manner in CERTIFICATES
        self.keep_alive = keep_alive
        self.connections = 0
        self.requests: list[Request] = []
        self.breadcrumbs: list[dict[str, Any]] = []
        self._news = threading.Condition()
        self._threads: set[threading.Thread] = set()
        self._open: set[socket.socket] = set()
        self._turn = threading.Event()
        self._listener: socket.socket | None = None
        self._doorman: threading.Thread | None = None
        self._fillers: list[socket.socket] = []
        self._context: ssl.SSLContext | None = None
        self._directory: tempfile.TemporaryDirectory[str] | None = None
        self._check(manner)
        self._manner: str | Callable[[Request], Answer | None] = manner
        # Bound and never listening, this socket keeps the port ours while nobody listens there.
        if port:
            # Without sharing first: two servers must not answer in turns on one port.
            bound_socket(port, shared=False).close()
        self._holder = bound_socket(port)
        self.port: int = self._holder.getsockname()[1]
        if self.tls:
            self._prepare_tls()
        self._wake, self._woken = socket.socketpair()
        self._take_up()

    @property
    def url(self) -> str:
        """The base URL, without a trailing slash."""
        return f"{'https' if self.tls else 'http'}://{HOST}:{self.port}"

    @property
    def ca_path(self) -> str:
        """The PEM file of the private authority; only a TLS server has one."""
        if self._directory is None:
            raise ValueError("a server without TLS has no authority")
        return self._authority.path

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def behave(self, manner: str | Callable[[Request], Answer | None]) -> None:
        """Go on in another manner, on the same port.

        Idle connections survive when both manners listen in the same way; whatever hangs in the
        old manner is cut off.
        """
        self._check(manner)
        old, self._manner = self._manner, manner
        if self._door(old) != self._door(manner):
            self._put_down()
            self._take_up()
        else:
            turn, self._turn = self._turn, threading.Event()
            turn.set()

    def wait_for_breadcrumbs(self, count: int, timeout: float = 10.0) -> list[dict[str, Any]]:
        """Wait until at least `count` breadcrumbs are stored or `timeout` seconds have passed.

        Returns:
            What is stored then, however much it is.
        """
        with self._news:
            self._news.wait_for(lambda: len(self.breadcrumbs) >= count, timeout)
            return list(self.breadcrumbs)

    def wait_for_requests(self, count: int, timeout: float = 10.0) -> list[Request]:
        """The same for whole requests, answered or not."""
        with self._news:
            self._news.wait_for(lambda: len(self.requests) >= count, timeout)
            return list(self.requests)

    def clear(self) -> None:
        """Forget what has arrived so far."""
        with self._news:
            self.connections = 0
            self.requests.clear()
            self.breadcrumbs.clear()

    def close(self) -> None:
        """End every connection and thread, and free the port."""
        self._put_down()
        for resource in (self._holder, self._wake, self._woken):
            resource.close()
        if self._directory is not None:
            self._directory.cleanup()

    def _check(self, manner: str | Callable[[Request], Answer | None]) -> None:
        if isinstance(manner, str):
            if manner not in MANNERS:
                raise ValueError(f"no such manner: {manner!r}; there are {', '.join(MANNERS)}")
            if manner in CERTIFICATES and not self.tls:
                raise ValueError(f"{manner!r} needs a server that was started with tls=True")

    def _door(self, manner: str | Callable[[Request], Answer | None]) -> str:
        """What a manner looks like to who connects: equal doors can share a listener."""
        if manner in ("refused", "dropped"):
            return str(manner)
        return CERTIFICATES.get(manner, "valid") if isinstance(manner, str) else "valid"

    def _prepare_tls(self) -> None:
        from tests.support.certificates import PrivateAuthority

        self._directory = tempfile.TemporaryDirectory(prefix="migas-fault-server-")
        self._authority = PrivateAuthority(self._directory.name)

    def _take_up(self) -> None:
        """Open the door that the present manner asks for."""
        door = self._door(self._manner)
        if door == "refused":
            return
        self._listener = bound_socket(self.port)
        if door == "dropped":
            # A listener whose queue is full: the kernel drops every further SYN without a word.
            self._listener.listen(0)
            self._fillers = fill_queue(self.port)
            return
        if self.tls:
            self._context = self._authority.server_context(door)
        self._listener.listen(1024)
        self._doorman = threading.Thread(
            target=self._accept, args=(self._listener,), name="fault-server", daemon=True
        )
        self._doorman.start()

    def _put_down(self) -> None:
        """Close the door and every connection behind it, and wait for their threads."""
        self._turn.set()
        if self._doorman is not None:
            self._wake.send(b"x")
            self._doorman.join()
            self._doorman = None
            self._woken.recv(1)
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        for filler in self._fillers:
            filler.close()
        self._fillers = []
        with self._news:
            threads = list(self._threads)
            for connection in self._open:
                # Not an SSLSocket's own shutdown: it drops the TLS state under a reader's feet.
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(connection, socket.SHUT_RDWR)
        for thread in threads:
            thread.join()
        self._turn = threading.Event()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            ready, _, _ = select.select([listener, self._woken], [], [])
            if self._woken in ready:
                return
            try:
                connection, _ = listener.accept()
            except OSError:
                continue
            thread = threading.Thread(
                target=self._attend, args=(connection,), name="fault-server", daemon=True
            )
            with self._news:
                self.connections += 1
                self._open.add(connection)
                thread.start()
                self._threads = {one for one in self._threads if one.is_alive()} | {thread}

    def _attend(self, connection: socket.socket) -> None:
        try:
            # Whatever a client does to its connection is its own affair.
            with contextlib.suppress(OSError, ValueError):
                if self._context is not None:
                    connection = self._secure(connection, self._context)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._converse(connection)
        finally:
            with self._news:
                self._open.discard(connection)
            connection.close()

    def _secure(self, plain: socket.socket, context: ssl.SSLContext) -> socket.socket:
        with self._news:
            secure = context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
            self._open.discard(plain)
            self._open.add(secure)
        try:
            secure.do_handshake()
        except BaseException:
            with self._news:
                self._open.discard(secure)
            secure.close()
            raise
        return secure

    def _converse(self, connection: socket.socket) -> None:
        turn = self._turn
        if self._manner == "not-http":
            connection.sendall(b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n")
            turn.wait()
            return
        rest = b""
        while True:
            connection.settimeout(self.keep_alive)
            request, rest = read_request(connection, rest)
            if request is None:
                return
            connection.settimeout(None)
            with self._news:
                self.requests.append(request)
                self._news.notify_all()
            if not self._respond(connection, request):
                return

    def _respond(self, connection: socket.socket, request: Request) -> bool:
        """Treat one request in the present manner; say whether the connection lives on."""
        # In this order: a change in between gives the new manner a turn that is over already.
        turn = self._turn
        manner = self._manner
        if callable(manner):
            answer = manner(request)
            if answer is None:
                answer = self._serve(request)
            connection.sendall(answer.encode())
            return True
        if manner == "silent":
            turn.wait()
            return False
        if manner == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return False
        if manner in ("endless", "drip"):
            torment(connection, turn, drip=manner == "drip")
            return False
        connection.sendall(self._answer(connection, request, manner, turn).encode())
        return manner not in ("closes", "loses")

    def _answer(
        self, connection: socket.socket, request: Request, manner: str, turn: threading.Event
    ) -> Answer:
        if manner in CANNED:
            return CANNED[manner]
        if manner == "redirect-loop":
            return redirect(request.path)
        if manner == "redirect-elsewhere" and request.headers.get("host", "").startswith(HOST):
            scheme = "https" if self.tls else "http"
            return redirect(f"{scheme}://localhost:{self.port}{request.path}")
        if manner == "graphql-errors" and request.path == GRAPHQL_PATH:
            message = "Cannot connect to host api.github.com:443"
            return graphql_error(message, path=["add_project"])
        if manner == "loses":
            return answer_well(request, [])[0]
        if manner == "asks":
            return replace(self._serve(request), headers=(ASKS,))
        if manner not in LATE:
            return self._serve(request)
        if request.path != GRAPHQL_PATH:
            answer = self._serve(request)
            turn.wait(LATE[manner])
            return answer
        turn.wait(LATE[manner])
        if hung_up(connection):
            # A real server drops a GraphQL request whose client has gone; REST is stored at once.
            raise ConnectionAbortedError
        return self._serve(request)

    def _serve(self, request: Request) -> Answer:
        with self._news:
            answer, breadcrumb = answer_well(request, self.breadcrumbs)
            if breadcrumb is not None:
                self.breadcrumbs.append(breadcrumb)
                self._news.notify_all()
        return answer


def main(arguments: list[str] | None = None) -> None:
    """Run one server until it is interrupted, and print its URL."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.fault_server")
    parser.add_argument("manner", choices=MANNERS)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--tls", action="store_true", help="speak TLS with a valid certificate")
    options = parser.parse_args(arguments)
    # Blocked before any thread starts, so that none of them takes the signal.
    signals = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    with FaultServer(options.manner, port=options.port, tls=options.tls) as server:
        print(server.url, server.ca_path if server.tls else "", flush=True)
        signal.sigwait(signals)


if __name__ == "__main__":
    main()
