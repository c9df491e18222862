"""The way to a migas server: a thread-safe client, GraphQL and REST, and a hard deadline.

urllib3's timeouts bound each read, not the name resolution nor a server that drips a byte a second.
So requests run in a thread of their own, which is left behind when its time is up.
"""

from __future__ import annotations

import threading
import time
from urllib.parse import urlsplit

import urllib3

from migas import log
from migas.message import encode, graphql_body, rest_body, timing_headers
from migas.transport import connections, exchanges
from migas.transport.answers import (
    MAX_ANSWER_BYTES,
    Answer,
    NoAnswerError,
    graphql_data,
    stored_by_rest,
)
from migas.transport.deadlines import Guard, Worker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from migas.message import Breadcrumb
    from migas.spool.servers import Backoff, Failure

    Headers = Mapping[str, str] | None

_CONNECT_SHARE = 0.8
_LATER_SECONDS = 0.5


class Client:
    """Speaks with one migas server from any number of threads.

    Args:
        endpoint: The server's base URL, as `config.base_url` gives it.
        servers: What is known of servers: which fields this one has asked for, until it answers.
        keeps_thread: Whether a thread may wait for the next request. In a program that may fork
            none must: a live thread makes `os.fork()` warn. Where one may, requests over a kept
            connection are made in the caller's thread, which handing over would slow by a third,
            and the other thread only breaks off what takes too long. Then one thread alone may use
            the client.
        worker: The thread to make requests in, where one was started before, as long as it can be
            used. Otherwise each request starts one.
    """

    def __init__(
        self,
        endpoint: str,
        servers: Backoff | None = None,
        *,
        keeps_thread: bool = False,
        worker: Worker | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.accepts = () if servers is None else servers.accepts(endpoint)
        self._servers = servers
        self._noted = self.accepts
        self._keeps_thread = keeps_thread
        self._prefix = urlsplit(endpoint).path
        self._pool: urllib3.PoolManager | None = None
        self._server: urllib3.HTTPConnectionPool | None = None
        self._making = threading.Lock()
        self._worker = worker
        self._guard: Guard | None = None
        self._may_guard = False

    def add_project(self, breadcrumb: Breadcrumb, timeout: float) -> dict[str, Any]:
        """Store a breadcrumb and learn the project's newest version.

        When the server fails for its own reasons or refuses the version's form, the breadcrumb
        goes to the REST call, which takes both.

        Args:
            breadcrumb: What to store, fitted.
            timeout: Seconds for everything, the second attempt included.

        Returns:
            The server's answer: `success`, and when it is true mostly `bad_versions`, `cached`,
            `latest_version`, `message`.

        Raises:
            NoAnswerError: It is not known to be stored.
        """
        deadline = time.monotonic() + timeout
        headers = timing_headers(breadcrumb, self.accepts)
        answer = self._post("/graphql", graphql_body(breadcrumb), timeout, headers)
        try:
            stored = graphql_data(answer, "add_project")
        except NoAnswerError as first:
            if first.kind not in ("failed", "refused") or not answer.is_from_migas:
                raise
            log.debug("add_project failed, trying the REST call: %s", first)
            left = deadline - time.monotonic()
            self.add_breadcrumb_rest(breadcrumb, max(left, 0.0))
            told = f"Stored, but nothing newer can be told: {str(first).rstrip('.')}."
            return {"success": True, "message": told}
        if not isinstance(stored, dict) or not isinstance(stored.get("success"), bool):
            raise NoAnswerError("The answer to add_project has another shape", "failed")
        return stored

    def add_breadcrumb_rest(self, breadcrumb: Breadcrumb, timeout: float) -> None:
        """Store a breadcrumb by the REST call that answers after it is stored.

        Raises:
            NoAnswerError: It is not known to be stored.
        """
        body, headers = rest_body(breadcrumb), timing_headers(breadcrumb, self.accepts)
        stored_by_rest(self._post("/api/breadcrumb?wait=true", body, timeout, headers))

    def query(
        self,
        query: str,
        variables: Mapping[str, Any],
        name: str,
        timeout: float,
        stores: Breadcrumb | None = None,
    ) -> Any:
        """The field `name` of what a GraphQL operation gives, of whatever shape, within seconds.

        Args:
            query: The operation.
            variables: Its variables.
            name: The field.
            timeout: Seconds for everything.
            stores: The breadcrumb that it stores, if it stores one: whose time goes beside it.

        Raises:
            NoAnswerError: The server did not answer, or with errors.
        """
        body = encode({"query": query, "variables": variables})
        headers = None if stores is None else timing_headers(stores, self.accepts)
        return graphql_data(self._post("/graphql", body, timeout, headers), name)

    def ask(
        self, method: str, path: str, body: bytes, timeout: float, headers: Headers = None
    ) -> Answer:
        """The answer to a request of any kind, whatever its status, within seconds.

        The path is the one below the server's base URL, with a slash before it.

        Raises:
            NoAnswerError: None came in time, or it is too long.
        """
        return self._in_time(lambda: self._exchange(method, path, body, timeout, headers), timeout)

    def close(self) -> None:
        """Close the connections that nobody uses."""
        pool, self._pool = self._pool, None
        server, self._server = self._server, None
        if server is not None:
            server.close()  # `clear` leaves that to a finalizer, and late in an exit none is called
        if pool is not None:
            pool.clear()
        self._may_guard = False
        if self._guard is not None:
            self._guard.end()
            self._guard = None

    def _post(self, path: str, body: bytes, timeout: float, headers: Headers = None) -> Answer:
        """The same by POST, noting for later runs which fields the server has asked for."""
        try:
            return self.ask("POST", path, body, timeout, headers)
        finally:
            if self._servers is not None and self.accepts != self._noted:
                self._noted = self.accepts
                self._servers.asked(self.endpoint, self.accepts)

    def _in_time(self, exchange: Callable[[], Answer], timeout: float) -> Answer:
        guard = self._guard or self._new_guard()
        if guard is not None:
            return self._guarded(guard, exchange, timeout)
        worker = self._worker
        if worker is None or worker.is_abandoned:
            worker = _new_worker()
        outcome = worker.run(exchange, timeout)
        if outcome is None:
            raise NoAnswerError(f"No answer within {timeout:g} s", worker.abandon())
        if worker is not self._worker:
            worker.end()
        if not isinstance(outcome, Answer):
            raise outcome
        if self._keeps_thread:
            # The name is resolved and a connection stands: from now on nothing hangs unbreakably.
            self._may_guard = True
        return outcome

    def _new_guard(self) -> Guard | None:
        """One for this request and those that follow, where a connection stands.

        It is not made before it is needed: most couriers send one breadcrumb, and somebody may wait
        for their end.
        """
        if self._may_guard:
            try:
                self._guard = Guard()
            except RuntimeError as error:  # the system has no thread left, for a worker neither
                log.debug("no thread can be started: %s", error)
        return self._guard

    def _guarded(self, guard: Guard, exchange: Callable[[], Answer], timeout: float) -> Answer:
        guard.begin(timeout)
        try:
            return exchange()
        except NoAnswerError:
            # Whatever went wrong, the next request begins anew, with a resolution that may hang.
            self._guard, self._may_guard = None, False
            if guard.has_broken_off:
                raise NoAnswerError(f"No answer within {timeout:g} s", "timeout") from None
            raise
        finally:
            guard.finish()
            if self._guard is None:
                guard.end()

    def _exchange(
        self, method: str, path: str, body: bytes, timeout: float, headers: Headers
    ) -> Answer:
        # Who waits, or the guard, breaks off in time; urllib3, left to itself, would ask once more.
        seconds = max(timeout, 0.001)
        try:
            response = self._send(
                method,
                path,
                headers,
                body=body,
                timeout=urllib3.Timeout(
                    connect=seconds * _CONNECT_SHARE, total=seconds + _LATER_SECONDS
                ),
                # What a server has read it may have stored: nothing is sent a second time, but for
                # `_send`'s one case. With `Retry-After` urllib3 would raise instead of answering.
                retries=False,
                redirect=False,
                preload_content=False,
                decode_content=False,
            )
            try:
                # What an answer announces does not hold when it comes in chunks: then this is None.
                announced = response.length_remaining
                is_short = announced is not None and announced <= MAX_ANSWER_BYTES
                # Reading all of a body is twice as fast as reading at most so much of it.
                text = response.read(None if is_short else MAX_ANSWER_BYTES + 1)
                if len(text) > MAX_ANSWER_BYTES:
                    response.close()
                    raise NoAnswerError("The answer is longer than 64 KiB", "failed")
                answer = Answer(response.status, response.headers, text)
                if answer.is_from_migas:
                    self.accepts = answer.accepts
                return answer
            finally:
                response.release_conn()
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise NoAnswerError(_reason(error), _kind(error)) from None

    def _send(
        self, method: str, path: str, headers: Headers, **options: Any
    ) -> urllib3.BaseHTTPResponse:
        manager = self._connections()
        options["headers"] = {**manager.headers, **headers} if headers else manager.headers
        if self._server is None:
            # Taking the same URL apart for each request would cost a sixth of it.
            self._server = connections.server_in(manager, self.endpoint)
        server, made = self._server, exchanges.connections_made()

        def send() -> urllib3.BaseHTTPResponse:
            if manager.proxy is not None:
                return manager.request(method, self.endpoint + path, **options)
            return server.urlopen(method, self._prefix + path, **options)

        try:
            return send()
        except urllib3.exceptions.ProtocolError:
            if exchanges.connections_made() != made:
                raise
            # A kept connection, which the server had closed while it was idle: nothing was read.
            return send()

    def _connections(self) -> urllib3.PoolManager:
        import migas

        with self._making:
            if self._pool is None:
                self._pool = connections.pool_for(self.endpoint, f"migas/{migas.__version__}")
            return self._pool


def _new_worker() -> Worker:
    try:
        return Worker()
    except RuntimeError as error:
        raise NoAnswerError(f"No thread can be started: {error}", "failed") from None


def _kind(error: BaseException) -> Failure:
    cause = getattr(error, "reason", None) or error
    if isinstance(
        cause,
        urllib3.exceptions.NewConnectionError
        | urllib3.exceptions.ConnectTimeoutError
        | urllib3.exceptions.ProxyError,
    ):
        return "no route"
    return "timeout" if isinstance(cause, urllib3.exceptions.TimeoutError) else "failed"


def _reason(error: BaseException) -> str:
    cause = getattr(error, "reason", None)
    return str(cause if isinstance(cause, BaseException) else error)
