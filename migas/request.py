"""One raw request to a migas server, for programs that ask what no call here asks."""

from __future__ import annotations

import json

from migas import log
from migas.message import encode
from migas.settings import base_url, permission, values

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_TIMED_OUT = (408, "Connection to server timed out.")
_UNREACHABLE = (503, "Could not connect to server.")


def request(
    url: str,
    *,
    query: str | None = None,
    path: str | None = None,
    json_data: dict[str, Any] | None = None,
    timeout: float | None = None,
    method: str = "POST",
    chunk_size: int | None = None,  # noqa: ARG001  an answer is bounded and read in one piece
    wait: bool = True,  # noqa: ARG001  who asks for an answer waits for it
) -> tuple[int, Any]:
    """Ask a server and wait for its answer; nothing is raised for the network's sake.

    Args:
        url: The server's base URL, with or without `/graphql`.
        query: A GraphQL operation with its values written out.
        path: Where else below the base URL to send `json_data`, such as `/api/breadcrumb`.
        json_data: What to send there.
        timeout: Seconds for everything. By default what `setup()` and `MIGAS_TIMEOUT` say.
        method: `POST`, or `GET` for a `path` that reads; a `GET` has no body.
        chunk_size: Ignored.
        wait: Ignored.

    Returns:
        The HTTP status, and the body: what its JSON says, or its text. Opted out or without a
        connection: 503, too late: 408, and the body is `{'data': None, 'errors': [{'message'}]}`.

    Raises:
        ValueError: The URL or the method cannot be used.
    """
    method = method.upper()
    if method not in ("GET", "POST"):
        raise ValueError(f"The method is {method!r}; it must be 'GET' or 'POST'.")
    base = base_url(url)
    refusal = permission.request_refusal(base)
    if refusal is not None:
        return _failure(503, f"Nothing is sent: {refusal}.")
    if values.delivery() == "log":
        return _failure(503, "Nothing is sent: the delivery is 'log'.")
    body = encode({"query": query} if query is not None else json_data or {})
    body = b"" if method == "GET" else body
    target = "/graphql" if path is None else "/" + path.lstrip("/")
    from migas.calls import client_for
    from migas.transport.answers import NoAnswerError

    try:
        answer = client_for(base).ask(method, target, body, timeout or values.settings().timeout)
    except NoAnswerError as error:
        log.debug("%s: %s", base, error)
        return _failure(*(_TIMED_OUT if error.kind == "timeout" else _UNREACHABLE))
    text = answer.body.decode("utf-8", "replace")
    try:
        return answer.status, json.loads(text)
    except (ValueError, RecursionError):
        return answer.status, text


def _failure(status: int, message: str) -> tuple[int, dict[str, Any]]:
    return status, {"data": None, "errors": [{"message": message}]}
