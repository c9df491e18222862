"""Refusals as a person reads them: a page for a browser, where programs get JSON."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.datastructures import Headers
from starlette.requests import Request

from migas.collector.http.middleware import Middleware
from migas.collector.pages.responses import page

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope, Send

_SENTENCES = {
    401: "Programs come here, with a token in a header: Authorization: Bearer …",
    403: "Your token is not meant for this.",
    404: "There is nothing at this address.",
    405: "This address is for programs.",
    413: "That was too much at once.",
    429: "Too many requests came from your network. Wait a minute.",
    500: "Something went wrong here. The server's log says what.",
    503: "The database does not answer. Try again later.",
}
_OTHERWISE = "The server did not understand what was asked."
_OF_THE_BODY = {b"content-type", b"content-length"}


class RefusalPages(Middleware):
    """Answers a browser with a page wherever something within refuses what it asked for.

    What names `text/html` among what it accepts is a browser. Whatever refuses need not know.
    """

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not _is_of_browser(scope):
            await self._app(scope, receive, send)
            return
        replaced = False

        async def page_send(message: Message) -> None:
            nonlocal replaced
            if message["type"] == "http.response.start" and _is_bare_refusal(message):
                replaced = True
                status = message["status"]
                answer = page(
                    Request(scope),
                    "refusal.html",
                    status,
                    title=HTTPStatus(status).phrase,
                    sentence=_SENTENCES.get(status, _OTHERWISE),
                    visitor=None,
                )
                kept = [pair for pair in message["headers"] if pair[0] not in _OF_THE_BODY]
                answer.raw_headers.extend(kept)
                await answer(scope, receive, send)
            elif not replaced:
                await send(message)

        await self._app(scope, receive, page_send)


def _is_of_browser(scope: Scope) -> bool:
    return any(name == b"accept" and b"text/html" in value for name, value in scope["headers"])


def _is_bare_refusal(message: Message) -> bool:
    """Whether an answer that begins is a refusal, and no page yet."""
    kind = Headers(raw=message["headers"]).get("content-type", "")
    return message["status"] >= 400 and not kind.startswith("text/html")
