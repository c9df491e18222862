"""The pages in a real browser: drawn, readable, usable by keyboard, and silent towards others."""

from __future__ import annotations

import re
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest
from packaging.version import Version

from tests.collector.live import PROJECT
from tests.collector.pages.site import found_by_axe
from tests.collector.pages.test_hostile_texts import TEXTS, fail_with

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Locator, Page

    from tests.collector.pages.site import Browsing, Scheme, Site

pytestmark = pytest.mark.slow

PIPELINE = "/p/brainlab/cortiprep"
PHONE = 360

# The colours of what a chart has drawn.
COLOURS = """chart => [...new Set([...chart.querySelectorAll(".plot path")]
  .filter(path => path.getBoundingClientRect().height > 0)
  .map(path => getComputedStyle(path)[path.matches(".line") ? "stroke" : "fill"]))]"""

# Each visible text with less contrast to what is behind it than WCAG 2.2 asks for at level AA.
FAINT = """() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = colour => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = colour => {
    const [red, green, blue] = colour.slice(0, 3).map(value => {
      value /= 255;
      return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const behind = element => {
    for (let at = element; at; at = at.parentElement) {
      const colour = rgba(getComputedStyle(at).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return rgba("white");
  };
  const faint = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || !element.checkVisibility()) continue;
    if (element.closest(".unseen, .skip, script, noscript")) continue;
    const style = getComputedStyle(element);
    const pair = [light(rgba(style.color)), light(behind(element))].sort((one, two) => two - one);
    const contrast = (pair[0] + 0.05) / (pair[1] + 0.05);
    const large = parseFloat(style.fontSize) >= 24;
    if (contrast < (large ? 3 : 4.5))
      faint.push(`${contrast.toFixed(2)} ${walker.currentNode.textContent.trim().slice(0, 40)}`);
  }
  return faint;
}"""

# Colours of the charts with less contrast to their ground than level AA asks of drawings.
PALE = """() => {
  const style = getComputedStyle(document.documentElement);
  const light = name => {
    const hex = style.getPropertyValue(name).trim().slice(1);
    const [red, green, blue] = [0, 2, 4].map(at => parseInt(hex.slice(at, at + 2), 16) / 255)
      .map(value => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const ratio = (one, two) => (Math.max(one, two) + 0.05) / (Math.min(one, two) + 0.05);
  return ["completed", "failed", "suspended", "running", "plain", ...[0, 1, 2, 3, 4]
    .map(number => `version-${number}`)].map(name => `--${name}`)
    .filter(name => ratio(light(name), light("--card")) < 3);
}"""

UNFOLD = "document.querySelectorAll('details').forEach(details => { details.open = true })"

# What a person with a screen reader would stumble over.
OBSTACLES = """() => {
  const found = [];
  const say = (what, element) => found.push(`${what}: ${element.outerHTML.slice(0, 100)}`);
  const named = element =>
    (element.getAttribute("aria-label") || element.textContent || element.title).trim();
  const levels = [...document.querySelectorAll("h1, h2, h3, h4, h5, h6")].map(e => +e.tagName[1]);
  if (levels[0] !== 1 || levels.filter(level => level === 1).length !== 1)
    found.push(`headings ${levels}`);
  levels.forEach((level, at) => {
    if (at && level > levels[at - 1] + 1) found.push(`heading ${levels[at - 1]} to ${level}`);
  });
  for (const image of document.querySelectorAll("img"))
    if (!image.hasAttribute("alt")) say("no alt", image);
  for (const drawing of document.querySelectorAll("svg"))
    if (drawing.getAttribute("aria-hidden") !== "true" && !drawing.getAttribute("aria-label"))
      say("unnamed drawing", drawing);
  for (const element of document.querySelectorAll("a, button, summary, [role=img], [role=region]"))
    if (!named(element)) say("no name", element);
  for (const field of document.querySelectorAll("input:not([hidden], [type=hidden]), select"))
    if (!field.labels.length) say("no label", field);
  for (const table of document.querySelectorAll("table")) {
    if (!table.caption) say("no caption", table);
    if (!table.querySelector("thead th[scope=col]")) say("no heads of columns", table);
    for (const row of table.tBodies[0].rows)
      if (!row.querySelector("th[scope=row]")) say("no head of row", row);
  }
  for (const part of document.querySelectorAll("[aria-labelledby]"))
    if (!document.getElementById(part.getAttribute("aria-labelledby"))) say("label lost", part);
  const ids = [...document.querySelectorAll("[id]")].map(element => element.id);
  if (new Set(ids).size !== ids.length) found.push(`repeated ids ${ids}`);
  if (!document.documentElement.lang || !document.querySelector("main")) found.push("no frame");
  for (const outer of document.querySelectorAll("nav"))
    if (!outer.getAttribute("aria-label")) say("unnamed navigation", outer);
  return found;
}"""


def has_horizontal_scroll(page: Page) -> bool:
    wide: bool = page.evaluate(
        "document.documentElement.scrollWidth > document.documentElement.clientWidth"
    )
    return wide


def follow(link: Locator) -> None:
    """Click what leads to another page, and wait until that is there."""
    with link.page.expect_navigation():
        link.click()


def focused(page: Page) -> dict[str, Any]:
    """What has the keyboard's focus, and whether that can be seen."""
    found: dict[str, Any] = page.evaluate("""() => {
      const element = document.activeElement;
      const outlines = [element, ...element.querySelectorAll("*")].flatMap(part =>
        [getComputedStyle(part), getComputedStyle(part, "::after")]);
      return {
        name: (element.labels?.[0]?.textContent || element.textContent).trim().split("\\n")[0],
        seen: outlines.some(style => style.outlineStyle !== "none" && style.outlineWidth !== "0px"),
      };
    }""")
    return found


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_charts_are_drawn_in_the_colours_of_the_scheme(
    demo: Site, browsing: Browsing, scheme: Scheme
) -> None:
    page = browsing.open(f"{demo.url}{PIPELINE}?period=90d", scheme=scheme)
    drawn = [len(chart.evaluate(COLOURS)) for chart in page.locator(".chart").all()]
    assert drawn[:2] == [4, 1]
    assert drawn[2] > 3
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(245, 246, 246)" if scheme == "light" else "rgb(15, 19, 22)")


def test_the_charts_follow_a_change_of_the_scheme(demo: Site, browsing: Browsing) -> None:
    page = browsing.open(demo.url + PIPELINE)
    before = page.locator(".chart").first.evaluate(COLOURS)
    page.emulate_media(color_scheme="dark")
    after = page.locator(".chart").first.evaluate(COLOURS)
    assert len(after) == len(before)
    assert not set(after) & set(before)


PAGES = [
    "/",
    PIPELINE,
    f"{PIPELINE}?period=1y&container=docker",
    f"{PIPELINE}/users?period=1y&by=month",
    f"{PIPELINE}/users?period=90d&version=2.2.1",
    f"{PIPELINE}/periods",
    f"{PIPELINE}/periods?period=90d&version=2.2.1",
    f"{PIPELINE}/periods?period=7d&platform=none",
    f"{PIPELINE}/compare",
    f"{PIPELINE}/compare?period=7d&platform=none",
    f"{PIPELINE}/api",
    "/p/nipreps/migas-py",
    "/p/nipreps/migas-py/users",
    "/p/nobody/nothing",
]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [PHONE, 1200])
def test_axe_finds_nothing(demo: Site, browsing: Browsing, scheme: Scheme, width: int) -> None:
    page = browsing.open(demo.url + PIPELINE, scheme=scheme, width=width)
    error = page.get_by_role("link", name="OSError").first.get_attribute("href")
    for path in [*PAGES, error]:
        page.goto(f"{demo.url}{path}")
        page.evaluate(UNFOLD)
        assert (path, found_by_axe(page)) == (path, [])
    browsing.expect("404 (Not Found)")


def test_axe_finds_nothing_where_one_signs_in(site: Site, browsing: Browsing) -> None:
    assert found_by_axe(browsing.open(site.url)) == []


@pytest.mark.parametrize("width", [PHONE, 700, 780, 1920])
def test_no_page_scrolls_sideways(demo: Site, browsing: Browsing, width: int) -> None:
    page = browsing.open(demo.url + PIPELINE, width=width)
    for path in PAGES:
        page.goto(f"{demo.url}{path}")
        assert (path, has_horizontal_scroll(page)) == (path, False)
        page.evaluate(UNFOLD)
        assert (path, has_horizontal_scroll(page)) == (path, False)
    browsing.expect("404 (Not Found)")


def test_a_page_is_printed_on_white_without_what_is_clicked(demo: Site, browsing: Browsing) -> None:
    page = browsing.open(demo.url + PIPELINE, scheme="dark")
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(24, 32, 37)"
    assert page.evaluate(FAINT) == []
    assert not page.locator(".picker").is_visible()
    assert page.locator(".chart").first.is_visible()
    page.emulate_media(media="screen", color_scheme="light")


@pytest.mark.parametrize("path", ["/", f"{PIPELINE}?period=1y", "/p/nobody/nothing"])
def test_texts_stand_out_from_their_ground(demo: Site, browsing: Browsing, path: str) -> None:
    page = browsing.open(demo.url + path)
    assert page.evaluate(FAINT) == []
    page.emulate_media(color_scheme="dark")
    assert page.evaluate(FAINT) == []
    browsing.expect("404 (Not Found)")


def test_the_chart_stands_out_from_its_ground(demo: Site, browsing: Browsing) -> None:
    page = browsing.open(demo.url + PIPELINE)
    assert page.evaluate(PALE) == []
    page.emulate_media(color_scheme="dark")
    assert page.evaluate(PALE) == []


@pytest.mark.parametrize("path", ["/", f"{PIPELINE}?period=1y", "/p/nipreps/nipreps"])
def test_nothing_is_in_the_way_of_a_screen_reader(
    demo: Site, browsing: Browsing, path: str
) -> None:
    page = browsing.open(demo.url + path)
    assert page.evaluate(OBSTACLES) == []


@pytest.mark.parametrize("path", ["/", PIPELINE, f"{PIPELINE}?from=2026-01-01&by=week"])
def test_a_phone_shows_a_page_without_scrolling_sideways(
    demo: Site, browsing: Browsing, path: str
) -> None:
    page = browsing.open(demo.url + path, width=PHONE)
    assert not has_horizontal_scroll(page)
    page.evaluate(UNFOLD)
    assert not has_horizontal_scroll(page)


def test_a_chart_keeps_to_a_window_that_changes(demo: Site, browsing: Browsing) -> None:
    page = browsing.open(demo.url + PIPELINE)
    page.set_viewport_size({"width": PHONE, "height": 700})
    page.wait_for_function("document.querySelector('.plot').getBoundingClientRect().width < 360")
    assert not has_horizontal_scroll(page)


def test_no_two_days_under_a_chart_overlap(demo: Site, browsing: Browsing) -> None:
    page = browsing.open(demo.url + PIPELINE, width=PHONE)
    for query in ("", "?period=7d", "?period=90d", "?period=1y", "?period=1y&by=month"):
        page.goto(f"{demo.url}{PIPELINE}{query}")
        for chart in page.locator(".chart").all():
            boxes = [
                box
                for label in chart.locator(".plot > text:not(.release)").all()
                if (box := label.bounding_box()) and box["width"]
            ]
            assert len(boxes) > 2
            for one, other in pairwise(boxes):
                assert one["x"] + one["width"] + 4 < other["x"], query


def test_the_picker_changes_the_period(demo: Site, browsing: Browsing) -> None:
    page = browsing.open(demo.url + PIPELINE)
    follow(page.get_by_role("link", name="1 year"))
    assert page.url.endswith("?period=1y")
    assert page.get_by_role("heading", name="Sessions per week").is_visible()
    page.get_by_text("Other dates").click()
    page.get_by_label("From").fill("2026-03-02")
    page.get_by_label("To", exact=True).fill("2026-03-29")
    page.get_by_label("A bar for each").select_option("day")
    follow(page.get_by_role("button", name="Show"))
    assert page.get_by_text("2 \N{EN DASH} 29 Mar 2026, in UTC").is_visible()
    assert page.get_by_role("heading", name="Sessions per day").is_visible()


def test_pointing_at_a_chart_tells_its_numbers(demo: Site, browsing: Browsing) -> None:
    page = browsing.open(f"{demo.url}{PIPELINE}?period=7d")
    chart = page.locator(".chart").first
    chart.hover()
    tip = chart.locator(".tip")
    assert tip.is_visible()
    assert "17 Nov 2026" in tip.inner_text()
    assert "Completed" in tip.inner_text()
    page.locator("h1").hover()
    assert not tip.is_visible()


@pytest.mark.parametrize("width", [PHONE, 1200])
def test_the_arrow_keys_read_every_chart(demo: Site, browsing: Browsing, width: int) -> None:
    for path in (PIPELINE, f"{PIPELINE}/users"):
        page = browsing.open(f"{demo.url}{path}?period=7d", width=width)
        page.evaluate(UNFOLD)
        for chart in page.locator(".chart").all():
            chart.focus()
            told = []
            for key in ("ArrowRight", "ArrowRight", "ArrowLeft", "End", "ArrowRight", "Home"):
                page.keyboard.press(key)
                assert chart.locator(".tip").is_visible()
                told.append(chart.locator("[role=status]").inner_text())
            days = [text.partition(" Nov")[0] for text in told]
            assert days == ["14", "15", "14", "20", "20", "14"]
            # What is read is what the table has, however that is sorted.
            table = page.locator(f"#{chart.get_attribute('data-table')}")
            row = table.locator("tbody tr").first.locator("td").all_inner_texts()
            assert all(f" {value}" in told[0] for value in row if value)
            page.keyboard.press("Escape")
            assert not chart.locator(".tip").is_visible()
            table.locator("thead button").last.click()


def test_the_whole_page_can_be_used_by_keyboard(demo: Site, browsing: Browsing) -> None:
    page = browsing.open(demo.url)
    page.keyboard.press("Tab")
    assert focused(page) == {"name": "Skip to the content", "seen": True}
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert focused(page) == {"name": "brainlab/cortiprep", "seen": True}
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{PIPELINE}")
    names: list[str] = []
    while "The same as a table" not in names and len(names) < 40:
        page.keyboard.press("Tab")
        now = focused(page)
        assert now["seen"], now
        names.append(now["name"])
    assert names[3:8] == ["Overview", "Periods", "Two versions", "Users", "For programs"]
    assert names[8:12] == ["7 days", "30 days", "90 days", "1 year"]
    page.keyboard.press("Enter")
    assert page.get_by_role("table", name="Sessions per day by how they ended").is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [PHONE, 1200])
def test_the_questions_are_answered_by_clicks(
    demo: Site, browsing: Browsing, scheme: Scheme, width: int
) -> None:
    page = browsing.open(demo.url + PIPELINE, scheme=scheme, width=width)
    verdict = page.locator(".verdict").first.inner_text()
    assert verdict.startswith("2.3.0 completes less often than 2.2.1: ")

    follow(page.get_by_role("link", name="OSError").first)
    assert page.get_by_text("new in 2.3.0").is_visible()
    follow(page.get_by_role("link", name="apptainer"))
    assert page.get_by_role("link", name="container apptainer").is_visible()
    for found in (OBSTACLES, FAINT):
        assert page.evaluate(found) == []
    assert not has_horizontal_scroll(page)

    follow(page.get_by_role("link", name="brainlab/cortiprep"))
    total = page.locator(".facts dd").first.inner_text()
    follow(page.get_by_role("link", name="container apptainer"))
    assert page.locator(".facts dd").first.inner_text() != total
    page.go_back()
    assert page.locator(".facts dd").first.inner_text() == total

    follow(page.get_by_role("link", name="Users", exact=True).first)
    follow(page.get_by_role("link", name="months", exact=True))
    assert page.get_by_role("heading", name="Users per month").is_visible()
    for found in (OBSTACLES, FAINT):
        assert page.evaluate(found) == []
    page.evaluate(UNFOLD)
    assert not has_horizontal_scroll(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [PHONE, 1200])
def test_the_other_questions_are_answered_by_clicks(
    demo: Site, browsing: Browsing, scheme: Scheme, width: int
) -> None:
    """What may be dropped, how long runs take, compared with before, as files, and told."""
    page = browsing.open(demo.url + PIPELINE, scheme=scheme, width=width)
    took = page.get_by_role("region", name="How long runs take")
    assert "2.3.0 is slower than 2.2.1" in took.locator(".verdict").inner_text()
    assert page.get_by_role("table", name="How long runs take by version").is_visible()
    compared = page.get_by_role("region", name="Compared")
    assert compared.get_by_role("row").count() >= 3
    follow(compared.get_by_role("link", name="users and how long runs take"))
    beside = page.get_by_role("region", name="This period beside others")
    assert "now +" in beside.get_by_role("row", name="Users").first.inner_text()
    assert "slower now" in beside.get_by_role("row", name="Half of the runs").inner_text()
    page.go_back()

    with page.expect_download() as download:
        took.get_by_role("link", name="CSV").first.click()
    assert download.value.path().read_text("utf-8").startswith('"start","runs","median","p90"')

    follow(page.get_by_role("region", name="Containers").get_by_role("link", name="docker"))
    assert took.locator(".verdict").count() == 1
    assert took.get_by_role("row", name="2.3.0").is_visible()
    page.go_back()

    follow(page.get_by_role("link", name="Users", exact=True).first)
    follow(page.get_by_role("link", name="over a year", exact=True))
    assert page.get_by_text("What grows or shrinks slowly").count() == 0
    languages = page.get_by_role("region", name="Languages")
    assert "shrinks" in languages.get_by_role("row", name="python 3.10").inner_text()

    follow(page.get_by_role("link", name="the last twelve months, month by month"))
    assert page.get_by_role("table", name="Users per month").is_visible()

    follow(page.get_by_role("link", name="For programs", exact=True).first)
    told = page.get_by_role("region", name="The commands for news").inner_text()
    assert "migas project notify brainlab/cortiprep" in told
    for found in (OBSTACLES, FAINT):
        assert page.evaluate(found) == []
    assert not has_horizontal_scroll(page)


def test_users_of_a_version_are_a_key_away(demo: Site, scriptless: Browsing) -> None:
    page = scriptless.open(f"{demo.url}{PIPELINE}/users")
    users = page.locator(".facts dd").first
    total = users.inner_text()
    table = page.get_by_role("table", name="Sessions, not users, by version")
    version = table.get_by_role("link", name="2.2.1")
    page.get_by_role("region", name="Containers").get_by_role("link").last.focus()
    for _ in range(20):
        page.keyboard.press("Tab")
        if focused(page)["name"] == "2.2.1":
            break
    assert focused(page) == {"name": "2.2.1", "seen": True}
    with page.expect_navigation():
        page.keyboard.press("Enter")
    assert page.url.endswith("/users?period=30d&version=2.2.1")
    assert users.inner_text() != total
    assert table.locator("tbody tr").count() == 1
    assert version.is_visible()
    follow(page.get_by_role("link", name="version 2.2.1"))
    assert users.inner_text() == total


def test_what_a_share_is_of_can_be_seen(demo: Site, browsing: Browsing) -> None:
    page = browsing.open(demo.url + PIPELINE)
    for part, head in (("Platforms", "Sessions"), ("Kinds of users", "Users")):
        columns = page.get_by_role("region", name=part).locator("thead")
        box = columns.get_by_text(head, exact=True).bounding_box()
        assert box is not None
        # As far to the right as the numbers are; what screen readers alone read is elsewhere.
        number = page.get_by_role("region", name=part).locator("td:last-child").first
        assert (beside := number.bounding_box()) is not None
        assert abs(box["x"] + box["width"] - beside["x"] - beside["width"]) < 2


def test_a_table_is_sorted_by_the_head_of_a_column(demo: Site, browsing: Browsing) -> None:
    page = browsing.open(f"{demo.url}{PIPELINE}?period=1y")
    table = page.get_by_role("table", name="Completion rate by version, the newest first")
    cells = table.locator("tbody td:nth-child(5)")
    heads = table.get_by_role("button", name="Sessions")
    heads.click()
    numbers = [int(text.replace(",", "")) for text in cells.all_inner_texts()]
    assert numbers == sorted(numbers, reverse=True)
    heads.press("Enter")
    numbers = [int(text.replace(",", "")) for text in cells.all_inner_texts()]
    assert numbers == sorted(numbers)
    table.get_by_role("button", name="Version").click()
    assert table.locator("tbody th").first.inner_text().startswith("2.3.0")
    assert page.evaluate(OBSTACLES) == page.evaluate(FAINT) == []


def test_lost_runs_are_sorted_by_when_they_began(demo: Site, browsing: Browsing) -> None:
    page = browsing.open(f"{demo.url}{PIPELINE}?period=1y")
    table = page.get_by_role("table", name="The latest runs that were never heard of again")
    runs = table.locator("tbody th")
    before = runs.all_inner_texts()
    assert len(set(before)) > 1
    table.get_by_role("button", name="Started").click()
    cells = table.locator("tbody td:nth-child(3)")
    seconds = [int(cell.get_attribute("data-value") or "") for cell in cells.all()]
    assert seconds == sorted(seconds, reverse=True)
    table.get_by_role("button", name="Started").click()
    assert runs.all_inner_texts() != before
    table.get_by_role("button", name="Run").click()
    assert runs.all_inner_texts() == before


FIRST_COLUMNS = [
    (PIPELINE, "Completion rate by version, the newest first", "descending"),
    (PIPELINE, "How long runs take by version, the newest first", "descending"),
    (PIPELINE, "Sessions per week by how they ended", "ascending"),
    (PIPELINE, "The latest runs that were never heard of again", "other"),
    (f"{PIPELINE}/users", "Users per week", "ascending"),
]


@pytest.mark.parametrize(("path", "name", "order"), FIRST_COLUMNS)
def test_the_first_column_is_sorted_as_the_server_has_it_and_back(
    demo: Site, browsing: Browsing, path: str, name: str, order: str
) -> None:
    page = browsing.open(f"{demo.url}{path}?period=1y")
    page.evaluate(UNFOLD)
    table = page.get_by_role("table", name=name, exact=True)
    rows = table.locator("tbody th")
    head = table.locator("thead th").first
    before = rows.all_inner_texts()
    assert len(before) > 2
    table.locator("thead button").last.click()
    for _ in range(2):
        head.get_by_role("button").click()
        assert (rows.all_inner_texts(), head.get_attribute("aria-sort")) == (before, order)
        head.get_by_role("button").click()
        other = {"ascending": "descending", "descending": "ascending"}.get(order, order)
        assert (rows.all_inner_texts(), head.get_attribute("aria-sort")) == (before[::-1], other)
    assert table.locator("thead [aria-sort]").count() == 1
    assert found_by_axe(page) == []


def numbers_in(name: str) -> tuple[str, list[int]]:
    return name.partition(" ")[0], [int(digits) for digits in re.findall("[0-9]+", name)]


@pytest.mark.parametrize("path", [PIPELINE, f"{PIPELINE}/users"])
@pytest.mark.parametrize("part", ["Languages", "Platforms", "Containers"])
def test_names_are_sorted_with_their_numbers_as_numbers(
    demo: Site, browsing: Browsing, path: str, part: str
) -> None:
    page = browsing.open(f"{demo.url}{path}?period=1y")
    table = page.get_by_role("region", name=part).get_by_role("table")
    rows = table.locator("tbody:first-of-type th")
    names = sorted(rows.all_inner_texts(), key=numbers_in)
    assert len(names) > 1
    for expected, order in ((names, "ascending"), (names[::-1], "descending")):
        table.get_by_role("button", name="Value").click()
        assert rows.all_inner_texts() == expected
        assert table.locator("thead th").first.get_attribute("aria-sort") == order


def test_versions_that_come_by_their_numbers_are_sorted_by_age(
    demo: Site, browsing: Browsing
) -> None:
    page = browsing.open(f"{demo.url}{PIPELINE}?period=1y")
    error = page.get_by_role("link", name="MemoryError").first.get_attribute("href")
    for path, name in (
        (f"{PIPELINE}/users?period=1y", "Sessions, not users, by version"),
        (error, "How often this error met sessions, by versions"),
    ):
        page.goto(f"{demo.url}{path}")
        table = page.get_by_role("table", name=name)
        rows = table.locator("tbody:first-of-type th")
        newest_first = sorted(rows.all_inner_texts(), key=Version, reverse=True)
        assert len(newest_first) > 1
        for expected, order in ((newest_first, "descending"), (newest_first[::-1], "ascending")):
            head = table.locator("thead th").first
            head.get_by_role("button").click()
            assert (rows.all_inner_texts(), head.get_attribute("aria-sort")) == (expected, order)


def test_without_javascript_charts_and_tables_are_there(demo: Site, scriptless: Browsing) -> None:
    page = scriptless.open(demo.url + PIPELINE)
    assert page.locator(".chart path.completed").first.is_visible()
    page.get_by_text("The same as a table").first.click()
    assert page.get_by_role("table", name="Sessions per day by how they ended").is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [PHONE, 1200])
def test_two_versions_are_set_side_by_side(
    demo: Site, browsing: Browsing, scheme: Scheme, width: int
) -> None:
    page = browsing.open(f"{demo.url}{PIPELINE}?period=1y", scheme=scheme, width=width)
    follow(page.get_by_role("link", name="Two versions side by side"))
    assert page.locator("h1").inner_text() == "2.3.0 beside 2.2.1"
    only = page.get_by_role("table", name="Errors of 2.3.0 only")
    assert only.get_by_role("link", name="OSError").is_visible()
    page.get_by_label("Version").select_option("2.2.0")
    follow(page.get_by_role("button", name="Compare"))
    assert page.locator("h1").inner_text() == "2.2.0 beside 2.2.1"
    assert page.locator(".verdict").inner_text().startswith("2.2.0 completes less often than")
    assert page.get_by_role("table", name="Errors of 2.2.0 only").is_visible()
    follow(page.get_by_role("link", name="90 days"))
    assert page.locator("h1").inner_text() == "2.2.0 beside 2.2.1"
    for found in (OBSTACLES, FAINT):
        assert page.evaluate(found) == []
    assert not has_horizontal_scroll(page)


def test_releases_stand_on_the_charts_over_time(demo: Site, browsing: Browsing) -> None:
    page = browsing.open(f"{demo.url}{PIPELINE}?period=1y")
    for chart in page.locator(".chart").all():
        names = chart.locator("text.release").all_text_contents()
        assert names == ["1.9.1", "2.0.0", "2.0.1", "2.1.0", "2.2.0", "2.2.1", "2.3.0"]
    follow(page.get_by_role("link", name="OSError").first)
    assert "2.3.0" in page.locator(".chart text.release").all_text_contents()


def test_hostile_texts_do_nothing_in_a_browser(open_site: Site, browsing: Browsing) -> None:
    for number, text in enumerate(TEXTS):
        fail_with(open_site, text, language=text[:32], platform=text[:64], number=number)
    fail_with(open_site, "x" * 640, number=99)
    page = browsing.open(f"{open_site.url}/p/{PROJECT}", width=PHONE)
    page.evaluate(UNFOLD)
    assert not has_horizontal_scroll(page)
    assert page.locator("main img, main script").count() == 0
    assert page.get_by_text("<script>alert(1)</script>").first.is_visible()
    assert page.title() == f"{PROJECT} · migas"
    assert page.locator(".chart").first.evaluate(COLOURS)


def test_signing_in_and_out(site: Site, browsing: Browsing) -> None:
    page = browsing.open(f"{site.url}/p/{PROJECT}")
    assert page.evaluate(OBSTACLES) == page.evaluate(FAINT) == []
    page.get_by_label("Token").fill("migas_wrong")
    page.keyboard.press("Enter")
    assert page.get_by_role("alert").inner_text() == "This token opens nothing here."
    page.get_by_label("Token").fill(site.token(PROJECT))
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"**/p/{PROJECT}")
    assert page.evaluate("document.cookie") == ""
    (cookie,) = page.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/sign-in")
    assert page.context.cookies() == []
    browsing.expect("401 (Unauthorized)")


@contextmanager
def another_site(html: str) -> Iterator[str]:
    """A site of somebody else's, with one page and no policy; the block gets its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(html.encode())

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://localhost:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


def test_a_page_of_another_site_cannot_frame_ours(demo: Site, browsing: Browsing) -> None:
    with another_site(f'<iframe src="{demo.url}/"></iframe>') as url:
        page = browsing.open(url)
        page.wait_for_load_state("networkidle")
        (frame,) = page.main_frame.child_frames
        assert "brainlab" not in frame.content()
    browsing.forget()


def test_a_form_of_another_site_cannot_sign_anybody_in(site: Site, browsing: Browsing) -> None:
    form = f"""<form method="post" action="{site.url}/sign-in">
      <input name="token" value="{site.token(None)}"><button>Win</button></form>"""
    with another_site(form) as url:
        page = browsing.open(url)
        page.get_by_role("button", name="Win").click()
        page.get_by_role("heading", name="Refused").wait_for()
        assert page.context.cookies() == []
    browsing.forget()


def test_a_link_from_another_site_comes_without_the_cookie(site: Site, browsing: Browsing) -> None:
    with another_site(f'<a href="{site.url}/p/{PROJECT}">Look</a>') as url:
        page = browsing.open(f"{site.url}/sign-in")
        page.get_by_label("Token").fill(site.token(None))
        page.keyboard.press("Enter")
        page.wait_for_url(f"{site.url}/")
        page.goto(url)
        page.get_by_role("link", name="Look").click()
        page.get_by_role("heading", name="Sign in").wait_for()
    browsing.forget()
