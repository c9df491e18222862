"""What a server's answer means: stored, no for good, or not known to be stored.

Pure, and cheap to import. Answers are untrusted: any device on the way may have given them.
"""

from __future__ import annotations

import json

from migas.host.terminal import printable
from migas.message import ACCEPTS_HEADER, TIMING_HEADERS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from migas.spool.servers import Failure

MAX_ANSWER_BYTES = 64 * 1024

_NO_SUCH_CALL = ": Not Found"


class NoAnswerError(Exception):
    """No usable answer came from a migas server.

    Args:
        reason: A sentence for people; a server may have written part of it.
        kind: What kept the answer away.
        retry_after: Seconds of silence that the server asked for.
    """

    def __init__(self, reason: str, kind: Failure, retry_after: float | None = None) -> None:
        super().__init__(printable(reason))
        self.kind = kind
        self.retry_after = retry_after


class Answer:
    """One HTTP answer, read to its end or to `MAX_ANSWER_BYTES`."""

    __slots__ = ("accepts", "body", "is_from_migas", "retry_after", "status")

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self.body = body
        # Only a migas server's word counts: a captive portal answers in its place, too.
        self.is_from_migas = headers.get("X-Backend-Server", "").startswith("migas")
        self.retry_after = headers.get("Retry-After")
        named = [name.strip() for name in headers.get(ACCEPTS_HEADER, "").split(",")]
        self.accepts = tuple(name for name in TIMING_HEADERS if name in named)

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            NoAnswerError: It is none, or was longer than is read.
        """
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            raise NoAnswerError("The answer is no JSON", "failed") from None


def stored_by_add_project(answer: Mapping[str, Any]) -> bool:
    """Whether an answer to `add_project` means that the breadcrumb was stored.

    A server says `success: false` also of a registered project without a release, or a private
    one, and has stored the breadcrumb: it then names `latest_version` as `unknown` or `forbidden`.
    Only `success: false` alone means that it does not know the project.
    """
    return answer.get("success") is True or isinstance(answer.get("latest_version"), str)


def stored_by_rest(answer: Answer) -> None:
    """See that `POST /api/breadcrumb?wait=true` has stored.

    Raises:
        NoAnswerError: It does not say so.
    """
    _raise_for_status(answer)
    stored = answer.json()
    if not (answer.is_from_migas and isinstance(stored, dict) and stored.get("success") is True):
        raise NoAnswerError("The answer does not say that it was stored", "failed")


def forgotten(answer: Answer) -> int:
    """How many breadcrumbs `DELETE /api/users/{id}` has deleted with a user.

    Raises:
        NoAnswerError: The server does not say that it has.
    """
    if answer.status == 404 and answer.is_from_migas and _detail(answer) != _NO_SUCH_CALL:
        return 0  # it knows nothing of this user
    if answer.status == 404:
        raise NoAnswerError("The server has no call to forget a user: ask who runs it", "refused")
    _raise_for_status(answer)
    said = answer.json()
    if not answer.is_from_migas or not isinstance(said, dict) or said.get("success") is not True:
        raise NoAnswerError("The answer does not say that anything was deleted", "failed")
    number = said.get("breadcrumbs")
    return number if isinstance(number, int) else 0


def graphql_data(answer: Answer, name: str) -> Any:
    """One field of a GraphQL answer's data.

    Raises:
        NoAnswerError: The answer has errors or no such field, or is not a migas server's.
    """
    _raise_for_status(answer)
    content = answer.json()
    if not isinstance(content, dict) or not answer.is_from_migas:
        raise NoAnswerError("The answer is not a migas server's", "failed")
    errors = content.get("errors")
    if errors:
        message, is_own_failure = _first_error(errors)
        # An error with a path comes from inside the operation: the server's own trouble.
        raise NoAnswerError(message, "failed" if is_own_failure else "refused")
    data = content.get("data")
    if not isinstance(data, dict) or data.get(name) is None:
        raise NoAnswerError("The answer has another shape", "failed")
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
        seconds = answer.retry_after or ""
        raise NoAnswerError(
            "The server asks to wait: too many requests",
            "silenced",
            float(seconds) if seconds.isascii() and seconds.isdigit() else None,
        )
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
