"""The pages as somebody visits them: over plain HTTP, or in a browser."""

from __future__ import annotations

import asyncio
import re
from concurrent.futures import ThreadPoolExecutor
from html import unescape
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlencode, urlsplit

import pytest

from migas.collector.collector import Collector

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Browser, Dialog, Page, Request

    from tests.collector.live import LiveCollector, Reply

Scheme = Literal["light", "dark"]

_COOKIE = re.compile(r"([^=;]+)=([^;]*)")


class Site:
    """A collector's pages.

    Args:
        collector: Where they are.
    """

    def __init__(self, collector: LiveCollector) -> None:
        self.collector = collector
        self.address = f"127.0.0.1:{collector.port}"
        self.url = f"http://{self.address}"

    def get(self, path: str, cookie: str | None = None, **headers: str) -> Reply:
        """Ask for a page; a header's name has `_` for `-`."""
        return self.collector.send(path, b"", _headers(headers, cookie), method="GET")

    def text(self, path: str, cookie: str | None = None) -> str:
        """The HTML of a page that has to be there."""
        reply = self.get(path, cookie)
        assert reply.status == 200, reply
        return reply.body.decode()

    def post(self, path: str, cookie: str | None = None, /, **fields: str) -> Reply:
        """Send a form as a page of this site does."""
        return self.post_from(self.url, path, cookie, fields)

    def post_from(
        self,
        origin: str | None,
        path: str,
        cookie: str | None,
        fields: dict[str, str],
        **headers: str,
    ) -> Reply:
        """Send a form from a page of some origin, or of none that is told."""
        named = _headers(headers, cookie) | {"Content-Type": "application/x-www-form-urlencoded"}
        if origin is not None:
            named["Origin"] = origin
        return self.collector.send(path, urlencode(fields).encode(), named)

    def token(self, project: str | None) -> str:
        """Issue a token, as `migas token` does."""
        issued: str = self._in_collector(lambda collector: collector.tokens.issue(project))
        return issued

    def revoke(self, token: str) -> None:
        assert self._in_collector(lambda collector: collector.tokens.revoke(token))

    def cookie(self, project: str | None = None) -> str:
        """Sign in, and return what a browser would send from then on."""
        return cookie_of(self.post("/sign-in", token=self.token(project)))

    def _in_collector(self, act: Callable[[Collector], Any]) -> Any:
        async def run() -> Any:
            async with Collector.open(self.collector.database.url) as collector:
                return await act(collector)

        # In a thread: a browser keeps a loop running in this one.
        with ThreadPoolExecutor(1) as executor:
            return executor.submit(asyncio.run, run()).result()


class Browsing:
    """A window of a browser that watches what its pages do.

    Args:
        browser: Which one.
        script: Whether it runs scripts.
    """

    def __init__(self, browser: Browser, *, script: bool = True) -> None:
        self._context = browser.new_context(java_script_enabled=script)
        self._page = page = self._context.new_page()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", self._complain_of_dialog)
        page.on("requestfailed", self._complain_of_request)
        page.on("request", lambda request: self.requests.append(request.url))

    def open(self, url: str, *, scheme: Scheme = "light", width: int = 1200) -> Page:
        """Open a page as somebody who has not been here before."""
        self._context.clear_cookies()
        self._page.set_viewport_size({"width": width, "height": 900})
        self._page.emulate_media(color_scheme=scheme)
        self._page.goto(url)
        return self._page

    def expect(self, complaint: str) -> None:
        """Take out complaints that a test has provoked."""
        self.complaints = [text for text in self.complaints if complaint not in text]

    def check(self) -> None:
        """No error, no violation of the policy, and no request to anybody else."""
        assert not self.complaints, list(self.complaints)
        assert {urlsplit(url).hostname for url in self.requests} <= {"127.0.0.1"}

    def forget(self) -> None:
        """Leave the page, and what it complained of."""
        self._page.goto("about:blank")
        self.complaints.clear()
        self.requests.clear()

    def close(self) -> None:
        self._context.close()

    def _complain_of_request(self, request: Request) -> None:
        if request.failure != "net::ERR_ABORTED":  # as one is when its page is left before its end
            self.complaints.append(f"{request.url}: {request.failure}")

    def _complain_of_dialog(self, dialog: Dialog) -> None:
        self.complaints.append(dialog.message)
        dialog.dismiss()


def found_by_axe(page: Page) -> list[tuple[str, str]]:
    """What axe-core finds on a page: its rules, and the first element that breaks each."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    found = axe.run(page).response["violations"]
    return [(rule["id"], rule["nodes"][0]["html"]) for rule in found]


def cookie_of(reply: Reply) -> str:
    """The cookie that an answer sets, as it is sent back."""
    found = _COOKIE.match(reply.headers["Set-Cookie"])
    assert found is not None
    return f"{found[1]}={found[2]}"


def table_of(html: str, name: str) -> dict[str, list[str]]:
    """The columns of the table that a chart's values are read from, by their heads.

    Args:
        html: A page.
        name: The table's id.
    """
    table = html[html.index(f'id="{name}"') :].partition("</table>")[0]
    head, *rows = re.findall(r"<tr>(.*?)</tr>", table, re.DOTALL)
    cells = [[readable(cell) for cell in re.findall(r"<t[hd].*?</t[hd]>", row)] for row in rows]
    heads = [readable(cell) for cell in re.findall(r"<th.*?</th>", head)]
    return dict(zip(heads, map(list, zip(*cells, strict=True)), strict=True))


def chart_of(html: str) -> dict[str, list[Any]]:
    """What a project's chart of sessions shows, by outcome, and the rates; None where none is."""
    columns = table_of(html, "sessions-table")
    heads = {"Completed": "completed", "Failed": "failed", "Suspended": "suspended"}
    heads |= {"No end reported": "running", "Sessions": "sessions"}
    numbers = {
        name: [int(text.replace(",", "")) for text in columns[head]] for head, name in heads.items()
    }
    rates = [None if "%" not in t else float(t[:-1]) for t in columns["Completion rate"]]
    return {**numbers, "rate": rates}


def readable(html: str) -> str:
    """The text of a page: what is left without its tags and scripts."""
    without = re.sub(r"<(script|style)\b.*?</\1>", " ", html, flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", without)).split())


def _headers(headers: dict[str, str], cookie: str | None) -> dict[str, str]:
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return named if cookie is None else named | {"Cookie": cookie}
