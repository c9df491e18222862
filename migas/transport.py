"""The way to a migas server: one thread-safe urllib3 pool, GraphQL and REST, and a hard deadline.

urllib3's timeouts bound each read, not the name resolution nor a server that drips a byte a second.
So requests run in a thread of their own, which is left behind when its time is up.
"""

from __future__ import annotations

import json
import os
import queue
import threading
import time

import urllib3

from migas import log
from migas.breadcrumb import encode, graphql_body, rest_body

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping
    from typing import Any

    from migas.breadcrumb import Breadcrumb

MAX_ANSWER_BYTES = 64 * 1024


class NoAnswerError(Exception):
    """No usable answer came from a migas server.

    Args:
        reason: A sentence for people.
        kind: `no route` (no connection could be made), `timeout`, `silenced` (429), `refused` (a
            migas server says no to this very request) or `failed` (anything else).
    """

    def __init__(self, reason: str, kind: str) -> None:
        super().__init__(reason)
        self.kind = kind


class Answer:
    """One HTTP answer, read to its end or to `MAX_ANSWER_BYTES`."""

    __slots__ = ("body", "is_from_migas", "retry_after", "status")

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self.body = body
        # Only a migas server's word counts: a captive portal answers in its place, too.
        self.is_from_migas = headers.get("X-Backend-Server", "").startswith("migas")
        self.retry_after = headers.get("Retry-After")

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            NoAnswerError: It is none, or was longer than is read.
        """
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            raise NoAnswerError("The answer is no JSON", "failed") from None


class Client:
    """Speaks with one migas server from any number of threads.

    Args:
        endpoint: The server's base URL, as `config.base_url` gives it.
    """

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self._pool: urllib3.PoolManager | None = None
        self._making = threading.Lock()
        self._workers: queue.SimpleQueue[_Worker] = queue.SimpleQueue()

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
            stored = _graphql_data(answer, "add_project")
        except NoAnswerError as first:
            if first.kind not in ("failed", "refused") or not answer.is_from_migas:
                raise
            log.debug("add_project failed, trying the REST call: %s", first)
            left = deadline - time.monotonic()
            self.add_breadcrumb_rest(breadcrumb, max(left, 0.0))
            return {
                "bad_versions": [],
                "cached": False,
                "latest_version": None,
                "message": "",
                "success": True,
            }
        if not isinstance(stored, dict) or not isinstance(stored.get("success"), bool):
            raise NoAnswerError("The answer to add_project has another shape", "failed")
        return stored

    def add_breadcrumb_rest(self, breadcrumb: Breadcrumb, timeout: float) -> None:
        """Store a breadcrumb by the REST call that answers after it is stored.

        Raises:
            NoAnswerError: It is not known to be stored.
        """
        answer = self._post("/api/breadcrumb?wait=true", rest_body(breadcrumb), timeout)
        _raise_for_status(answer)
        stored = answer.json()
        if not (answer.is_from_migas and isinstance(stored, dict) and stored.get("success")):
            raise NoAnswerError("The answer does not say that it was stored", "failed")

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
        return _graphql_data(self._post("/graphql", body, timeout), name)

    def close(self) -> None:
        """Close the connections that nobody uses."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.clear()
        while True:
            try:
                self._workers.get_nowait().end()
            except queue.Empty:
                return

    def _post(self, path: str, body: bytes, timeout: float) -> Answer:
        try:
            worker = self._workers.get_nowait()
        except queue.Empty:
            worker = _Worker()
        outcome = worker.run(lambda: self._exchange(path, body, timeout), timeout)
        if outcome is None:
            worker.end()
            raise NoAnswerError(f"No answer within {timeout:g} s", "timeout")
        self._workers.put(worker)
        if isinstance(outcome, Answer):
            return outcome
        raise outcome

    def _exchange(self, path: str, body: bytes, timeout: float) -> Answer:
        try:
            response = self._connections().request(
                "POST",
                self.endpoint + path,
                body=body,
                headers={"Content-Type": "application/json", "Accept": "application/json"},
                timeout=urllib3.Timeout(total=max(timeout, 0.001)),
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
        except NoAnswerError:
            raise
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise NoAnswerError(_reason(error), _kind(error)) from None

    def _connections(self) -> urllib3.PoolManager:
        with self._making:
            if self._pool is None:
                self._pool = _pool_for(self.endpoint)
            return self._pool


class _Worker:
    """A daemon thread that runs one request after another and can be left behind in any of them."""

    def __init__(self) -> None:
        self._tasks: queue.SimpleQueue[Callable[[], Answer] | None] = queue.SimpleQueue()
        self._outcomes: queue.SimpleQueue[Answer | NoAnswerError] = queue.SimpleQueue()
        threading.Thread(target=self._serve, name="migas-transport", daemon=True).start()

    def run(self, task: Callable[[], Answer], timeout: float) -> Answer | NoAnswerError | None:
        """Run a task and wait; None when the time is up, after which only `end` may be called."""
        self._tasks.put(task)
        try:
            return self._outcomes.get(timeout=timeout)
        except queue.Empty:
            return None

    def end(self) -> None:
        """Let the thread end when it has done what it is doing."""
        self._tasks.put(None)

    def _serve(self) -> None:
        while True:
            task = self._tasks.get()
            if task is None:
                return
            try:
                outcome: Answer | NoAnswerError = task()
            except NoAnswerError as error:
                outcome = error
            except Exception as error:  # noqa: BLE001  a thread of ours must not print a traceback
                outcome = NoAnswerError(repr(error), "failed")
            self._outcomes.put(outcome)


def _graphql_data(answer: Answer, name: str) -> Any:
    _raise_for_status(answer)
    content = answer.json()
    if not isinstance(content, dict):
        raise NoAnswerError("The answer is no JSON object", "failed")
    errors = content.get("errors")
    if errors:
        message, is_own_failure = _first_error(errors)
        # An error with a path comes from inside the operation: the server's own trouble.
        raise NoAnswerError(message, "failed" if is_own_failure else "refused")
    data = content.get("data")
    if not isinstance(data, dict) or data.get(name) is None or not answer.is_from_migas:
        raise NoAnswerError("The answer is not a migas server's", "failed")
    return data[name]


def _first_error(errors: object) -> tuple[str, bool]:
    first = errors[0] if isinstance(errors, list) and errors else None
    if not isinstance(first, dict) or not isinstance(first.get("message"), str):
        return "The server answered with an error of another shape", True
    return first["message"], bool(first.get("path"))


def _raise_for_status(answer: Answer) -> None:
    if 200 <= answer.status < 300:
        return
    if answer.status == 429:
        raise NoAnswerError("The server asks to wait: too many requests", "silenced")
    is_final = 400 <= answer.status < 500 and answer.status != 408 and answer.is_from_migas
    message = f"The server answered {answer.status}"
    if is_final:
        message += _detail(answer)
    raise NoAnswerError(message, "refused" if is_final else "failed")


def _detail(answer: Answer) -> str:
    try:
        content = json.loads(answer.body)
        detail = content.get("detail") or content["errors"][0]["message"]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return ""
    return f": {detail}" if isinstance(detail, str) else ""


def _pool_for(endpoint: str) -> urllib3.PoolManager:
    from urllib.parse import urlsplit
    from urllib.request import (  # type: ignore[attr-defined]  # the stubs lack the second
        getproxies_environment,
        proxy_bypass_environment,
    )

    import migas

    parts = urlsplit(endpoint)
    headers = {"User-Agent": f"migas/{migas.__version__}"}
    context = _tls_context() if parts.scheme == "https" else None
    proxies = getproxies_environment()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if proxy and not proxy_bypass_environment(parts.netloc.rpartition("@")[2], proxies):
        if "://" not in proxy:
            proxy = f"http://{proxy}"
        credentials = urlsplit(proxy)
        proxy_headers = (
            urllib3.make_headers(
                proxy_basic_auth=f"{credentials.username}:{credentials.password or ''}"
            )
            if credentials.username
            else None
        )
        return urllib3.ProxyManager(
            proxy, headers=headers, proxy_headers=proxy_headers, ssl_context=context, maxsize=4
        )
    return urllib3.PoolManager(headers=headers, ssl_context=context, maxsize=4)


def _tls_context() -> ssl.SSLContext:
    """What certificates are checked against.

    The system's store, `SSL_CERT_FILE` and `SSL_CERT_DIR` (OpenSSL's own variables), and
    `REQUESTS_CA_BUNDLE`, where clusters name their private CA.
    """
    from urllib3.util.ssl_ import create_urllib3_context

    context = create_urllib3_context()
    context.load_default_certs()
    bundle = os.environ.get("REQUESTS_CA_BUNDLE")
    if bundle:
        if os.path.isdir(bundle):
            context.load_verify_locations(capath=bundle)
        else:
            context.load_verify_locations(cafile=bundle)
    return context


def _kind(error: BaseException) -> str:
    cause = getattr(error, "reason", None) or error
    if isinstance(
        cause, urllib3.exceptions.NewConnectionError | urllib3.exceptions.ConnectTimeoutError
    ):
        return "no route"
    if isinstance(cause, urllib3.exceptions.ProxyError):
        return "no route"
    if isinstance(cause, urllib3.exceptions.TimeoutError):
        return "timeout"
    return "failed"


def _reason(error: BaseException) -> str:
    cause = getattr(error, "reason", None)
    return str(cause if isinstance(cause, BaseException) else error)
