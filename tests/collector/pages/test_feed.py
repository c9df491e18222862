"""The feed of a project's news: who may read it, and what is in it."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING
from urllib.parse import quote
from xml.etree import ElementTree as ET

import pytest

from migas.collector.database.tables import news
from migas.collector.pages.feed import atom
from migas.collector.tokens import FEED
from tests.collector.live import PROJECT
from tests.collector.pages.site import Site
from tests.collector.pages.test_hostile_texts import TEXTS
from tests.collector.pages.two_hundred import NOON
from tests.support.collector import CollectorProcess

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from migas.collector.collector import Collector
    from tests.collector.command_line import Run
    from tests.collector.databases import Database
    from tests.collector.live import LiveServer, Reply

PATH = f"/p/{PROJECT}/feed.atom"
OTHER = "mgxd/migas-py"
A = "{http://www.w3.org/2005/Atom}"


class Feeds:
    """A collector with news of one project, and tokens of all kinds."""

    def __init__(self) -> None:
        self.tokens: dict[str, str] = {}
        self.site: Site

    async def prepare(self, collector: Collector) -> None:
        issue = collector.tokens.issue
        self.tokens = {
            "feed": await issue(PROJECT, scope=FEED),
            "other": await issue(OTHER, scope=FEED),
            "project": await issue(PROJECT),
            "root": await issue(None),
        }
        async with collector.connections.writing() as connection:
            for number, page in enumerate(("", "errors/00ff")):
                row = {"id": f"00000000-0000-4000-8000-00000000000{number}", "key": str(number)}
                row |= {"project": PROJECT, "kind": "new", "text": f"News {number}", "page": page}
                found = int(NOON.timestamp()) + number
                await connection.execute(news.insert(), row | {"found": found})

    def get(self, token: str | None, path: str = PATH, **headers: str) -> Reply:
        query = "" if token is None else f"?token={quote(token)}"
        return self.site.get(path + query, **headers)


@pytest.fixture
def feeds(database: Database, live_server: LiveServer) -> Iterator[Feeds]:
    made = Feeds()
    with live_server.collector(database, prepare=made.prepare, open_registration=True) as running:
        made.site = Site(running)
        yield made


def test_a_feed_is_atom(feeds: Feeds) -> None:
    reply = feeds.get(feeds.tokens["feed"])
    assert (reply.status, reply.headers["Content-Type"]) == (200, "application/atom+xml")
    assert feeds.tokens["feed"] not in reply.body.decode()
    feed = ET.fromstring(reply.body)
    page = f"{feeds.site.url}/p/{PROJECT}"
    assert feed.tag == f"{A}feed"
    assert {link.get("rel"): link.get("href") for link in feed.findall(f"{A}link")} == {
        "alternate": page,
        "self": f"{page}/feed.atom",
    }
    assert feed.findtext(f"{A}author/{A}name") == "migas"
    newest, oldest = feed.findall(f"{A}entry")
    for entry, number, link in ((newest, 1, f"{page}/errors/00ff"), (oldest, 0, page)):
        assert entry.findtext(f"{A}id") == f"urn:uuid:00000000-0000-4000-8000-00000000000{number}"
        assert entry.findtext(f"{A}title") == f"News {number}"
        updated = NOON + dt.timedelta(seconds=number)
        assert dt.datetime.fromisoformat(entry.findtext(f"{A}updated") or "") == updated
        (found,) = entry.findall(f"{A}link")
        assert found.get("href") == link
    assert feed.findtext(f"{A}updated") == newest.findtext(f"{A}updated")
    again = ET.fromstring(feeds.get(feeds.tokens["feed"]).body)
    assert [element.text for element in again.iter(f"{A}id")] == [
        element.text for element in feed.iter(f"{A}id")
    ]


def test_it_is_opened_by_its_own_token_and_nothing_else_is(feeds: Feeds) -> None:
    refused = feeds.get(None)
    assert refused.status == 401
    wrong = [feeds.tokens[kind] for kind in ("other", "project", "root")]
    for token in (*wrong, "", "x" * 3000, "migas_\0", feeds.tokens["feed"] + "x"):
        reply = feeds.get(token)
        assert (reply.status, reply.body) == (401, refused.body)
    assert feeds.get(feeds.tokens["feed"], "/p/no/such/feed.atom").body == refused.body
    assert feeds.get(feeds.tokens["other"], f"/p/{OTHER}/feed.atom").status == 200
    signed_in = feeds.site.cookie(PROJECT)
    assert feeds.site.get(PATH, signed_in).status == 401

    token = feeds.tokens["feed"]
    bearer = {"Authorization": f"Bearer {token}", "Host": "migas.example"}
    for path in (
        f"/api/usage/{PROJECT}",
        "/api/auth/projects",
        f"/api/v1/projects/{PROJECT}/errors",
        "/api/admin/list-tokens",
        "/metrics",
    ):
        assert feeds.site.get(path, **bearer).status == 401, path
    assert feeds.site.post("/sign-in", token=token).status == 401
    assert feeds.site.get(f"/p/{PROJECT}?token={token}", Host="migas.example").status == 303
    feeds.site.revoke(token)
    assert feeds.get(token).status == 401


def test_a_reader_that_has_it_gets_it_not_again(feeds: Feeds) -> None:
    reply = feeds.get(feeds.tokens["feed"])
    assert reply.headers["Cache-Control"] == "private, max-age=300"
    known = feeds.get(feeds.tokens["feed"], If_None_Match=f'"x", W/{reply.headers["ETag"]}')
    assert (known.status, known.body) == (304, b"")
    assert feeds.get(feeds.tokens["feed"], If_None_Match='"x"').status == 200


def test_a_project_without_news_has_an_empty_feed(feeds: Feeds) -> None:
    reply = feeds.get(feeds.tokens["other"], f"/p/{OTHER}/feed.atom")
    feed = ET.fromstring(reply.body)
    assert feed.findall(f"{A}entry") == []
    assert feed.findtext(f"{A}updated")


def test_a_feed_is_under_the_pages_strict_headers(feeds: Feeds) -> None:
    headers = feeds.get(feeds.tokens["feed"]).headers
    assert headers["Content-Security-Policy"].startswith("default-src 'none';")
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"


@pytest.mark.parametrize("text", TEXTS)
def test_a_hostile_address_is_part_of_a_link_and_nothing_else(text: str) -> None:
    feed = ET.fromstring(atom("a/b", "http://host/" + quote(text), []))
    assert {element.tag.removeprefix(A) for element in feed.iter()} == {
        *("feed", "id", "title", "updated", "author", "name", "generator", "link")
    }


def test_a_token_for_a_feed_is_issued_and_listed(run: Run, database: Database) -> None:
    db = ["--db", database.url]
    run("project", "add", PROJECT, *db)
    token = run("token", "issue", PROJECT, "--feed", *db).stdout.strip()
    assert token.startswith("migas_")
    assert token.split("_", 2)[2] not in str(database.rows("SELECT * FROM tokens"))
    assert f"feed of {PROJECT}" in run("token", "list", *db).stdout
    refused = run("token", "issue", "--root", "--feed", *db)
    assert (refused.returncode, refused.stdout) == (2, "")


def test_a_feed_below_a_path_leads_to_pages_below_it_and_its_token_is_not_logged(
    run: Run, tmp_path: Path
) -> None:
    db = ["--db", f"sqlite:///{tmp_path}/db.sqlite"]
    run("project", "add", PROJECT, *db)
    token = run("token", "issue", PROJECT, "--feed", *db).stdout.strip()
    arguments = ["--root-path", "/tools", "--access-log"]
    collector = CollectorProcess(tmp_path / "db.sqlite", arguments=arguments)
    collector.start()
    try:
        import urllib.request

        address = f"{collector.url}/p/{PROJECT}/feed.atom?token={token}"
        with urllib.request.urlopen(address, timeout=30) as answer:
            feed = ET.fromstring(answer.read())
        assert {link.get("href") for link in feed.findall(f"{A}link")} == {
            f"{collector.url}/p/{PROJECT}",
            f"{collector.url}/p/{PROJECT}/feed.atom",
        }
        assert collector.process is not None
        assert collector.process.stdout is not None
        logged = collector.process.stdout.readline()
        assert '"/p/{owner}/{repo}/feed.atom"' in logged
        assert token not in logged
    finally:
        collector.stop()
