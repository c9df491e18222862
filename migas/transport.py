"""The way to a migas server: a thread-safe client, GraphQL and REST, and a hard deadline.

urllib3's timeouts bound each read, not the name resolution nor a server that drips a byte a second.
So requests run in a thread of their own, which is left behind when its time is up.
"""

from __future__ import annotations

import queue
import threading
import time

import urllib3

from migas import connections, log, threads
from migas.answers import MAX_ANSWER_BYTES, Answer, NoAnswerError, graphql_data, stored_by_rest
from migas.breadcrumb import encode, graphql_body, rest_body

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from migas.breadcrumb import Breadcrumb

__all__ = ["MAX_ANSWER_BYTES", "Client", "NoAnswerError"]

_CONNECT_SHARE = 0.8
_JOIN_SECONDS = 0.2
_LOOK_SECONDS = 0.05
_STORED = {
    "bad_versions": [],
    "cached": False,
    "latest_version": None,
    "message": "",
    "success": True,
}


class Client:
    """Speaks with one migas server from any number of threads.

    Args:
        endpoint: The server's base URL, as `config.base_url` gives it.
        keeps_thread: Whether a thread may wait for the next request. In a program that may fork
            none must: a live thread makes `os.fork()` warn. Where one may, requests over a kept
            connection are made in the caller's thread, which handing over would slow by a third,
            and the other thread only breaks off what takes too long. Then one thread alone may use
            the client.
    """

    def __init__(self, endpoint: str, *, keeps_thread: bool = False) -> None:
        self.endpoint = endpoint
        self._keeps_thread = keeps_thread
        self._pool: urllib3.PoolManager | None = None
        self._making = threading.Lock()
        self._workers: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
        self._guard: _Guard | None = None

    def add_project(self, breadcrumb: Breadcrumb, timeout: float) -> dict[str, Any]:
        """Store a breadcrumb and learn the project's newest version.

        When the server fails for its own reasons or refuses the version's form, the breadcrumb
        goes to the REST call, which takes both.

        Args:
            breadcrumb: What to store, fitted.
            timeout: Seconds for everything, the second attempt included.

        Returns:
            The server's answer: `success`, and when it is true `bad_versions`, `cached`,
            `latest_version`, `message`.

        Raises:
            NoAnswerError: It is not known to be stored.
        """
        deadline = time.monotonic() + timeout
        answer = self._post("/graphql", graphql_body(breadcrumb), timeout)
        try:
            stored = graphql_data(answer, "add_project")
        except NoAnswerError as first:
            if first.kind not in ("failed", "refused") or not answer.is_from_migas:
                raise
            log.debug("add_project failed, trying the REST call: %s", first)
            left = deadline - time.monotonic()
            self.add_breadcrumb_rest(breadcrumb, max(left, 0.0))
            return dict(_STORED)
        if not isinstance(stored, dict) or not isinstance(stored.get("success"), bool):
            raise NoAnswerError("The answer to add_project has another shape", "failed")
        return stored

    def add_breadcrumb_rest(self, breadcrumb: Breadcrumb, timeout: float) -> None:
        """Store a breadcrumb by the REST call that answers after it is stored.

        Raises:
            NoAnswerError: It is not known to be stored.
        """
        stored_by_rest(self._post("/api/breadcrumb?wait=true", rest_body(breadcrumb), timeout))

    def query(self, query: str, variables: Mapping[str, Any], name: str, timeout: float) -> Any:
        """Ask a GraphQL operation.

        Args:
            query: The operation's text, with variables.
            variables: Their values.
            name: The field of `data` to return.
            timeout: Seconds for everything.

        Returns:
            That field's value, of whatever shape the server gave it.

        Raises:
            NoAnswerError: The server did not answer, or with errors.
        """
        body = encode({"query": query, "variables": variables})
        return graphql_data(self._post("/graphql", body, timeout), name)

    def close(self) -> None:
        """Close the connections that nobody uses."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.clear()
        if self._guard is not None:
            self._guard.end()
            self._guard = None
        while True:
            try:
                self._workers.get_nowait().end()
            except queue.Empty:
                return

    def _post(self, path: str, body: bytes, timeout: float) -> Answer:
        if self._guard is not None:
            return self._post_guarded(self._guard, path, body, timeout)
        try:
            worker = self._workers.get_nowait()
        except queue.Empty:
            worker = _Worker()
        outcome = worker.run(lambda: self._exchange(path, body, timeout), timeout)
        if outcome is None:
            raise NoAnswerError(f"No answer within {timeout:g} s", worker.abandon())
        worker.end()
        if not isinstance(outcome, Answer):
            raise outcome
        if self._keeps_thread:
            # The name is resolved and a connection stands: from now on nothing hangs unbreakably.
            self._guard = _Guard()
        return outcome

    def _post_guarded(self, guard: _Guard, path: str, body: bytes, timeout: float) -> Answer:
        guard.begin(timeout)
        try:
            return self._exchange(path, body, timeout)
        except NoAnswerError as error:
            # Whatever went wrong, the next request begins anew, with a resolution that may hang.
            self._guard = None
            if guard.has_broken_off:
                raise NoAnswerError(f"No answer within {timeout:g} s", "timeout") from None
            raise error from None
        finally:
            guard.finish()
            if self._guard is None:
                guard.end()

    def _exchange(self, path: str, body: bytes, timeout: float) -> Answer:
        seconds = max(timeout, 0.001)
        try:
            response = self._connections().request(
                "POST",
                self.endpoint + path,
                body=body,
                timeout=urllib3.Timeout(connect=seconds * _CONNECT_SHARE, total=seconds),
                # One more try for a kept connection that the server closed meanwhile.
                retries=urllib3.Retry(
                    total=1, connect=0, read=1, redirect=0, status=0, allowed_methods=None
                ),
                redirect=False,
                preload_content=False,
                decode_content=False,
            )
            try:
                text = response.read(MAX_ANSWER_BYTES + 1)
                if len(text) > MAX_ANSWER_BYTES:
                    response.close()
                    raise NoAnswerError("The answer is longer than 64 KiB", "failed")
                return Answer(response.status, response.headers, text)
            finally:
                response.release_conn()
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise NoAnswerError(_reason(error), _kind(error)) from None

    def _connections(self) -> urllib3.PoolManager:
        import migas

        with self._making:
            if self._pool is None:
                self._pool = connections.pool_for(self.endpoint, f"migas/{migas.__version__}")
            return self._pool


class _Worker:
    """A thread that runs one request after another and can be left behind in any of them."""

    def __init__(self) -> None:
        self._tasks: queue.SimpleQueue[Callable[[], Answer] | None] = queue.SimpleQueue()
        self._outcomes: queue.SimpleQueue[Answer | NoAnswerError] = queue.SimpleQueue()
        self._thread = threads.start(self._serve, "migas-transport")

    def run(self, task: Callable[[], Answer], timeout: float) -> Answer | NoAnswerError | None:
        """Run a task and wait; None when the time is up, after which only `abandon` may follow."""
        self._tasks.put(task)
        try:
            return self._outcomes.get(timeout=timeout)
        except queue.Empty:
            return None

    def abandon(self) -> str:
        """Break off what it is doing; what to call this, as in `NoAnswerError`."""
        self._tasks.put(None)
        was_connected = connections.break_off(self._thread.ident)
        threads.join(self._thread, _JOIN_SECONDS if was_connected else 0.0)
        return "timeout" if was_connected else "no route"

    def end(self) -> None:
        """Let the thread end, and wait until it has."""
        self._tasks.put(None)
        threads.join(self._thread, _JOIN_SECONDS)

    def _serve(self) -> None:
        try:
            while (task := self._tasks.get()) is not None:
                try:
                    outcome: Answer | NoAnswerError = task()
                except NoAnswerError as error:
                    outcome = error
                except Exception as error:  # noqa: BLE001  a thread of ours must print nothing
                    outcome = NoAnswerError(repr(error), "failed")
                self._outcomes.put(outcome)
        finally:
            connections.forget(threading.get_ident())


class _Guard:
    """A thread that breaks off what the thread that made it does beyond its time."""

    def __init__(self) -> None:
        self.has_broken_off = False
        self._guarded = threading.get_ident()
        self._changed = threading.Condition()
        self._deadline: float | None = None
        self._is_over = False
        self._thread = threads.start(self._serve, "migas-transport")

    def begin(self, seconds: float) -> None:
        """Guard what begins now for so many seconds."""
        self._deadline = time.monotonic() + seconds

    def finish(self) -> None:
        """What was guarded has ended."""
        with self._changed:  # it may be being broken off just now
            self._deadline = None
        connections.forget(self._guarded)

    def end(self) -> None:
        """End the thread."""
        with self._changed:
            self._is_over = True
            self._changed.notify()
        threads.join(self._thread, _JOIN_SECONDS)

    def _serve(self) -> None:
        # It looks now and then rather than being told of each request, which would cost both.
        with self._changed:
            while not self._is_over:
                deadline = self._deadline
                if deadline is not None and time.monotonic() >= deadline:
                    self._deadline = None
                    self.has_broken_off = True
                    connections.break_off(self._guarded)
                self._changed.wait(_LOOK_SECONDS)


def _kind(error: BaseException) -> str:
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
