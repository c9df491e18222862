"""Whatever a breadcrumb says appears as text, and is nothing else."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from migas.collector.database.tables import (
    crumbs,
    daily,
    durations,
    error_users,
    project_users,
    sessions,
    slices,
    visits,
)
from migas.collector.pages.words import visible
from migas.message import MAX_VERSION_CHARS
from tests.collector.live import PROJECT
from tests.collector.pages.site import readable

if TYPE_CHECKING:
    from tests.collector.pages.site import Site

TEXTS = [
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "{{ 7 * 7 }}{% raw %}${7*7}",
    "&lt;b&gt; &amp;amp;",
    "<!-- ]]> <![CDATA[",
    "javascript:alert(1)",
    "report\u202efdp.exe",
    "\u2066hidden\u2069\u200b",
    "\x1b[2J\x07\x08\x7f\x9b",
    "👩‍🔬🧠 مرحبا שלום",
    "line\nbreak\ttab",
]
SOMEBODY = "00000000-0000-4000-8000-00000000abcd"


def fail_with(
    site: Site,
    text: str,
    *,
    language: str = "python",
    platform: str = "linux",
    number: int = 1,
    version: str = "1.0.0",
    user: str | None = None,
) -> None:
    reply = site.collector.rest(
        wait=True,
        project_version=version,
        language=language,
        ctx={
            "session_id": f"00000000-0000-4000-8000-{number:012}",
            "user_id": user,
            "platform": platform,
        },
        proc={"status": "F", "status_desc": text, "error_type": text, "error_desc": text},
    )
    assert reply.status == 200, reply


def empty(site: Site) -> None:
    """Have nothing be there that was told of sessions."""
    counts = (daily, slices, durations, visits, error_users, project_users)
    for table in (crumbs, sessions, *counts):
        site.collector.execute(f"DELETE FROM {table.name}")


class Tags(HTMLParser):
    """The elements and attributes of a page, as a browser would make them."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, tuple[str, ...]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, tuple(name for name, _ in attrs)))


def tags(html: str) -> list[tuple[str, tuple[str, ...]]]:
    parser = Tags()
    parser.feed(html)
    return parser.found


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_adds_no_element_and_no_attribute(open_site: Site, text: str) -> None:
    fail_with(open_site, "harmless")
    harmless = tags(open_site.text(f"/p/{PROJECT}"))
    empty(open_site)
    fail_with(open_site, text, language=text[:32], platform=text[:64])
    html = open_site.text(f"/p/{PROJECT}")
    assert tags(html) == harmless
    shown = " ".join(visible(text).split())
    assert readable(html).count(shown) >= 3


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_adds_nothing_to_its_errors_page_either(open_site: Site, text: str) -> None:
    pages = []
    for said in ("harmless", text):
        empty(open_site)
        fail_with(open_site, said, language=said[:32], platform=said[:64])
        (path,) = re.findall(
            r'href="(/p/[^"?]*/errors/[0-9a-f]{16})', open_site.text(f"/p/{PROJECT}")
        )
        pages.append(open_site.text(path))
    assert tags(pages[0]) == tags(pages[1])
    assert readable(pages[1]).count(" ".join(visible(text).split())) >= 4


def test_what_reorders_or_hides_characters_reaches_no_page(open_site: Site) -> None:
    for number, text in enumerate(TEXTS):
        fail_with(open_site, text, language=text[:32], platform=text[:64], number=number)
    html = open_site.text(f"/p/{PROJECT}")
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u200b]", html)
    assert "report\\u202efdp.exe" in html


def test_a_text_without_a_space_is_folded(open_site: Site) -> None:
    fail_with(open_site, "x" * 640)
    html = open_site.text(f"/p/{PROJECT}")
    assert f"<summary><bdi>{'x' * 240}…</bdi></summary>" in html
    assert f"<p><bdi>{'x' * 640}</bdi></p>" in html


@pytest.mark.parametrize("text", TEXTS)
def test_a_versions_name_adds_nothing_to_a_page(open_site: Site, text: str) -> None:
    pages = []
    for version in ("harmless", text[:MAX_VERSION_CHARS]):
        empty(open_site)
        fail_with(open_site, "one", version=version, user=SOMEBODY)
        fail_with(open_site, "other", version="1.0", number=2)
        paths = ("", "/compare", "/periods", "/users")
        pages.append([open_site.text(f"/p/{PROJECT}{path}") for path in paths])
    assert "Versions, by sessions" in pages[0][-1]
    for harmless, html in zip(*pages, strict=True):
        assert tags(html) == tags(harmless)
        assert "<script>alert" not in html
        assert not re.search("[\u202a-\u202e\u2066-\u2069\u200b]", readable(html))


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", "a\"b'c", "\u202e", "..%2f..", "\n"])
def test_a_name_in_an_address_is_not_repeated(open_site: Site, text: str) -> None:
    for path in (f"/p/{quote(text, safe='')}/x", f"/p/x/{quote(text, safe='')}"):
        reply = open_site.get(path)
        assert reply.status == 404
        assert text.encode() not in reply.body.replace(b"\n", b"") or text == "\n"
    for query in ("period", "from", "to", "by", "unknown"):
        html = open_site.text(f"/p/{PROJECT}?{query}={quote(text)}")
        assert "alert" not in html


def test_a_project_with_a_hostile_name_cannot_be_registered(open_site: Site) -> None:
    reply = open_site.collector.rest(wait=True, project="<script>/x")
    assert reply.status == 400
    assert "&lt;script" not in open_site.text("/")
