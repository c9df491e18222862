"""A project's public totals: off until they are shared, and nothing of few people in them."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest

from tests.collector.databases import a_session, putting, with_collector
from tests.collector.live import PROJECT
from tests.collector.pages.site import Browsing, Site, found_by_axe, readable
from tests.collector.pages.two_hundred import NOON

if TYPE_CHECKING:
    from collections.abc import Iterator

    from migas.collector.collector import Collector
    from tests.collector.command_line import Run
    from tests.collector.databases import Database
    from tests.collector.live import LiveServer

PAGE = f"/share/{PROJECT}"
ADDRESSES = ("", "/badge.svg", "/badge.json")
FEW, EMPTY, SECRET = "mgxd/migas-py", "nipreps/nipreps", "nipreps/secret"
HOSTILE = "</td><script>alert(1)</script>"
SVG = "{http://www.w3.org/2000/svg}"


def sessions() -> list[dict[str, Any]]:
    """Of seven users, of whom four have a platform and a version that others have not."""
    made = []
    for number in range(21):
        fields: dict[str, Any] = {"user_id": f"00000000-0000-4000-8000-{number % 7:012}"}
        fields |= {"platform": "rare" if number % 7 < 4 else "linux", "container": HOSTILE}
        if number % 7 == 0:
            fields |= {"status": "F", "error_type": "OSError", "error_desc": "a message"}
        made.append(a_session(NOON - dt.timedelta(days=1), **fields))
        if number % 7 < 4:
            made.append(a_session(NOON, FEW, user_id=fields["user_id"]))
    made.extend(
        a_session(NOON, user_id=f"00000000-0000-4000-8000-{number:012}") for number in (1, 2)
    )
    return made


@pytest.fixture
def site(database: Database, live_server: LiveServer) -> Iterator[Site]:
    async def prepare(collector: Collector) -> None:
        await collector.projects.register([SECRET])
        await putting(sessions())(collector)
        for name in (PROJECT, FEW, EMPTY):
            await collector.totals.share(name, shared=True)

    with live_server.collector(database, prepare=prepare, clock=NOON.timestamp) as running:
        yield Site(running)


def test_a_shared_project_shows_totals_to_everybody(site: Site) -> None:
    text = readable(site.text(PAGE))
    assert "Users 7" in text
    assert "Sessions 23" in text
    assert "85.7%" in text  # 18 of 21: those of today are in no rate
    assert "linux" in text
    assert HOSTILE in text
    for hidden in ("rare", "OSError", "a message", "00000000"):
        assert hidden not in text
    assert "<script>alert" not in site.text(PAGE)


def test_whoever_may_see_a_shared_project_finds_its_totals_and_badge(site: Site) -> None:
    html = site.text(f"/p/{PROJECT}/api", site.cookie(PROJECT))
    assert "migas project share" not in html
    for address in ("", "/badge.svg", "/badge.json"):
        assert f'href="/share/{PROJECT}{address}"' in html


def test_nothing_is_told_of_few_users(site: Site) -> None:
    for project in (FEW, EMPTY):
        text = readable(site.text(f"/share/{project}"))
        assert "Fewer than 5 users" in text
        assert "Sessions" not in text
        badge = site.get(f"/share/{project}/badge.json").json()
        assert (badge["message"], badge["color"]) == ("fewer than 5", "lightgrey")


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("accept", ["*/*", "text/html"])
def test_what_is_not_shared_answers_as_what_is_not_there(
    site: Site, address: str, accept: str
) -> None:
    def answer(project: str) -> tuple[Any, ...]:
        reply = site.get(f"/share/{project}{address}", Accept=accept)
        return reply.status, reply.body, {**reply.headers, "date": None}

    unknown = answer("no/such")
    assert unknown[0] == 404
    assert answer(SECRET) == unknown
    for hostile in ("a/%00", "a/%ff", "%3Cb%3E/x", "a/" + "x" * 2000):
        assert answer(hostile) == unknown
    assert answer(PROJECT)[0] == 200
    with_collector(
        site.collector.database.url,
        lambda collector: collector.totals.share(PROJECT, shared=False),
    )
    assert answer(PROJECT) == unknown


def test_a_badge_is_what_shields_io_reads(site: Site) -> None:
    reply = site.get(f"{PAGE}/badge.json")
    assert reply.headers["Content-Type"] == "application/json"
    assert reply.json() == {
        "schemaVersion": 1,
        "label": "users in 30 days",
        "message": "7",
        "color": "blue",
    }


def test_a_badge_is_a_drawing_that_pages_of_others_may_show(site: Site) -> None:
    reply = site.get(f"{PAGE}/badge.svg")
    assert reply.headers["Content-Type"] == "image/svg+xml"
    assert reply.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    drawing = ET.fromstring(reply.body)
    assert drawing.findtext(f"{SVG}title") == "users in 30 days: 7"
    assert {element.tag.removeprefix(SVG) for element in drawing.iter()} == {
        *("svg", "title", "rect", "path", "g", "text")
    }
    assert b"style" not in reply.body


@pytest.mark.parametrize("address", ADDRESSES)
def test_they_may_be_kept_for_a_while(site: Site, address: str) -> None:
    reply = site.get(PAGE + address)
    assert reply.headers["Cache-Control"] == "public, max-age=600"
    known = site.get(PAGE + address, If_None_Match=reply.headers["ETag"])
    assert (known.status, known.body) == (304, b"")
    assert known.headers["ETag"] == reply.headers["ETag"]
    assert "default-src 'none'" in reply.headers["Content-Security-Policy"]
    head = site.collector.send(PAGE + address, b"", {}, "HEAD")
    assert (head.status, head.body) == (200, b"")


def test_the_interface_for_programs_names_the_badge(site: Site) -> None:
    paths = site.get("/openapi.json").json()["paths"]
    assert [path for path in paths if path.startswith("/share")] == [
        "/share/{owner}/{repo}/badge.json"
    ]
    assert not [path for path in paths if "feed" in path]


def test_sharing_is_a_command_and_so_is_its_end(run: Run, database: Database) -> None:
    db = ["--db", database.url]
    run("project", "add", PROJECT, *db)

    def is_shared() -> bool:
        (project,) = json.loads(run("project", "list", "--json", *db).stdout)["projects"]
        return bool(project["shared"])

    assert not is_shared()
    assert f"/share/{PROJECT}" in run("project", "share", PROJECT, *db).stdout
    assert is_shared()
    told = json.loads(run("project", "unshare", PROJECT, "--json", *db).stdout)
    assert told == {"project": PROJECT, "shared": False}
    assert not is_shared()
    assert run("project", "share", "no/such", *db).returncode == 2


def test_a_browser_has_nothing_to_complain_of(site: Site, browsing: Browsing) -> None:
    for scheme in ("light", "dark"):
        page = browsing.open(site.url + PAGE, scheme=scheme, width=360)
        assert page.get_by_role("heading", level=1).inner_text() == PROJECT
        wide = page.evaluate("document.documentElement.scrollWidth > window.innerWidth")
        assert not wide
        assert found_by_axe(page) == []
    browsing.open(f"{site.url}{PAGE}/badge.svg")
    browsing.check()
