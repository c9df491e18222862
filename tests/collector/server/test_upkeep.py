"""The newest versions of packages, read from an index that is a stranger."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from migas.collector.collector import Collector
from migas.collector.projects.versions import Release
from migas.collector.server import package_index
from migas.collector.server.package_index import newest_version
from migas.collector.server.upkeep import FRESH_SECONDS, refresh_releases
from tests.collector.counts.test_sessions import Clock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.collector.databases import Database


class Index:
    """What a package index answers, and what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.body = json.dumps({"info": {"version": "v2.1.0"}}).encode()
        self.status = 200
        self.drip = False
        self.url = ""


@pytest.fixture
def index() -> Iterator[Index]:
    with running_index() as running:
        yield running


@contextmanager
def running_index() -> Iterator[Index]:
    index = Index()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            index.asked.append(self.path)
            self.send_response(index.status)
            self.send_header("Content-Length", str(len(index.body)))
            self.end_headers()
            try:
                for byte in index.body if index.drip else ():
                    self.wfile.write(bytes([byte]))
                    time.sleep(0.05)
                if not index.drip:
                    self.wfile.write(index.body)
            except OSError:
                return

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    index.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield index
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_an_index_names_the_newest_version(index: Index) -> None:
    assert newest_version(index.url + "/", "some.package") == "2.1.0"
    assert index.asked == ["/pypi/some.package/json"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nonsense",
        b"[]",
        b"{}",
        b'{"info": null}',
        b'{"info": {"version": 5}}',
        b'{"info": {"version": "newest"}}',
        b"[" * 100_000,
        b"\xff",
    ],
    ids=["empty", "no json", "list", "nothing", "null", "number", "no version", "deep", "bytes"],
)
def test_nonsense_is_no_version(body: bytes, index: Index) -> None:
    index.body = body
    assert newest_version(index.url, "a") is None


def test_an_index_that_is_away_or_refuses_knows_no_version(index: Index) -> None:
    index.status = 404
    assert newest_version(index.url, "a") is None
    assert newest_version("http://127.0.0.1:9", "a") is None


def test_an_index_has_so_long_to_answer(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(package_index, "DEADLINE", 0.4)
    index.drip = True
    assert newest_version(index.url, "a") is None


def test_an_index_has_so_many_bytes(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(package_index, "MAX_BYTES", 10)
    assert newest_version(index.url, "a") is None


def test_a_projects_newest_version_is_read_once_an_hour(database: Database, index: Index) -> None:
    clock = Clock()

    async def run() -> None:
        async with Collector.open(database.url, clock=clock) as collector:
            await collector.projects.register(["a/b", "c/d"])
            await collector.projects.set_release("a/b", "2.0", ["1.0"])
            await collector.projects.set_package("a/b", "package")
            for _ in range(3):
                await refresh_releases(collector, index.url)
            assert index.asked == ["/pypi/package/json"]
            assert await collector.projects.release("a/b") == Release("2.1.0", ("1.0",))
            assert await collector.projects.release("c/d") == Release()
            index.body = b"nonsense"
            clock.now += FRESH_SECONDS
            await refresh_releases(collector, index.url)
            assert len(index.asked) == 2
            assert (await collector.projects.release("a/b")).latest == "2.1.0"

    asyncio.run(run())
