"""What a browser sees when it is refused: a page; programs get what was recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from migas.collector.pages.responses import POLICY
from tests.collector.pages.site import Site, readable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.collector.databases import Database
    from tests.collector.live import LiveServer, Reply

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
FORM = "application/x-www-form-urlencoded"


@pytest.fixture
def small(live_server: LiveServer, sqlite: Database) -> Iterator[Site]:
    """A collector that an address may ask twice a minute."""
    with live_server.collector(sqlite, limit=2) as running:
        yield Site(running)


def ask(site: Site, method: str, path: str, body: bytes = b"", /, **headers: str) -> Reply:
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return site.collector.send(path, body, named, method=method)


@pytest.mark.parametrize(
    ("asked", "body", "status", "words"),
    [
        ("GET /nothing", b"", 404, "Not Found There is nothing at this address."),
        ("GET /p/a", b"", 404, "Not Found There is nothing at this address."),
        ("GET /api/breadcrumb", b"", 405, "Method Not Allowed This address is for programs."),
        ("GET /api/usage/a/b", b"", 401, "Unauthorized Programs come here, with a token"),
        ("DELETE /api/users/nobody", b"", 422, "did not understand"),
        ("POST /api/breadcrumb", b"nonsense", 422, "did not understand"),
        ("POST /sign-in", b"x" * 3000, 413, "That was too much at once."),
        ("GET /static/0/page.css", b"", 404, "Not Found"),
    ],
)
def test_a_browser_gets_a_page(
    asked: str, body: bytes, status: int, words: str, site: Site
) -> None:
    method, path = asked.split()
    reply = ask(site, method, path, body, Accept=BROWSER)
    assert reply.status == status
    assert words in readable(reply.body.decode())
    assert reply.headers["Content-Type"] == "text/html; charset=utf-8"
    assert reply.headers["Content-Security-Policy"] == POLICY
    assert reply.headers["X-Backend-Server"].startswith("migas@")
    assert len(reply.headers.get_all("Content-Length") or ()) == 1


@pytest.mark.parametrize("accept", [{}, {"Accept": "*/*"}, {"Accept": "application/json"}])
def test_a_program_gets_json(accept: dict[str, str], site: Site) -> None:
    reply = ask(site, "GET", "/nothing", **accept)
    assert (reply.status, reply.json()) == (404, {"detail": "Not Found"})
    reply = ask(site, "GET", "/api/usage/a/b", **accept)
    assert reply.json() == {"detail": "Missing or malformed Authorization header."}


def test_whoever_asks_too_often_is_told_when_to_come_back(small: Site) -> None:
    replies = [ask(small, "GET", "/sign-in", Accept=BROWSER) for _ in range(3)]
    assert [reply.status for reply in replies] == [200, 200, 429]
    assert int(replies[2].headers["Retry-After"]) <= 61
    assert "Too many requests came from your network." in readable(replies[2].body.decode())


def test_an_outage_is_a_page(site: Site) -> None:
    site.collector.execute("ALTER TABLE projects RENAME TO gone")
    reply = site.get("/healthz", Accept=BROWSER)
    assert (reply.status, "The database does not answer." in reply.body.decode()) == (503, True)
    failed = site.get("/", site.cookie(), Accept=BROWSER)
    assert (failed.status, "The server's log says what." in readable(failed.body.decode())) == (
        500,
        True,
    )


def test_what_is_a_page_already_stays_as_it_is(site: Site) -> None:
    reply = site.get("/p/nobody/nothing", site.cookie(), Accept=BROWSER)
    assert (reply.status, "There is no such project" in reply.body.decode()) == (404, True)
    reply = site.post_from("http://elsewhere.example", "/sign-in", None, {}, Accept=BROWSER)
    assert (reply.status, "This form did not come from" in reply.body.decode()) == (403, True)


def test_nothing_of_a_body_follows_a_head(site: Site) -> None:
    reply = ask(site, "HEAD", "/nothing", Accept=BROWSER)
    assert (reply.status, reply.body) == (404, b"")
