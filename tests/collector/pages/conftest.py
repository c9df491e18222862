"""A collector with pages to look at, and a real browser to look at them."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from migas.collector.admin.demo_data import fill
from tests.collector.databases import Database, Databases
from tests.collector.live import LiveServer
from tests.collector.pages.site import Browsing, Site
from tests.collector.pages.two_hundred import NOON, sessions, site_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser

    from migas.collector.collector import Collector

SESSIONS = 12_000
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
CHROMIUM_ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def pages_server() -> Iterator[LiveServer]:
    """A server of these tests' own: the demonstration's database stays behind it."""
    server = LiveServer()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="module")
def demo(pages_server: LiveServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The demonstration's year, smaller, open on this machine."""
    path = tmp_path_factory.mktemp("demo") / "collector.sqlite"

    async def prepare(collector: Collector) -> None:
        await fill(collector, SESSIONS)

    with pages_server.collector(
        Database(f"sqlite:///{path}"),
        open_registration=True,
        prepare=prepare,
        clock=NOON.timestamp,
    ) as running:
        yield Site(running)


@pytest.fixture
def site(live_server: LiveServer, tmp_path: Path) -> Iterator[Site]:
    """A collector without a session that asks for a token."""
    database = Database(f"sqlite:///{tmp_path / 'collector.sqlite'}")
    with live_server.collector(database, clock=NOON.timestamp) as running:
        yield Site(running)


@pytest.fixture
def open_site(live_server: LiveServer, tmp_path: Path) -> Iterator[Site]:
    """A collector without a session that is open on this machine."""
    database = Database(f"sqlite:///{tmp_path / 'collector.sqlite'}")
    with live_server.collector(database, open_registration=True, clock=NOON.timestamp) as running:
        yield Site(running)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A headless Chromium; where there is none, its tests are skipped and say so.

    Not for the whole session: while it runs, so does a loop in this thread, and no other test
    could call `asyncio.run`.
    """
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=CHROMIUM_ARGUMENTS,
            env={name: text for name, text in os.environ.items() if name != "DISPLAY"},
        )
        try:
            yield browser
        finally:
            browser.close()


@pytest.fixture(scope="module")
def window(chromium: Browser) -> Iterator[Browsing]:
    """A window that tests use one after the other: a fresh one for each costs half a second."""
    window = Browsing(chromium)
    yield window
    window.close()


@pytest.fixture
def browsing(window: Browsing) -> Iterator[Browsing]:
    """A window; a complaint on its console, or a request to another host, is a failure."""
    yield window
    try:
        window.check()
    finally:
        window.forget()


@pytest.fixture
def scriptless(chromium: Browser) -> Iterator[Browsing]:
    """A window that runs no script."""
    window = Browsing(chromium, script=False)
    yield window
    window.close()


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def asked(
    request: pytest.FixtureRequest, live_server: LiveServer, databases: Databases
) -> Iterator[Site]:
    """A project of two hundred sessions, open on this machine."""
    with site_of(live_server, databases, request.param, sessions()) as site:
        yield site
