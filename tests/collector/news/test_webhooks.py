"""Who is told of news by a POST: once each, patiently, and by one process."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from migas.collector.collector import Collector
from migas.collector.database.tables import news
from migas.collector.news.webhooks import GIVE_UP, LEASE_SECONDS, MAX_SECONDS
from migas.collector.server import webhook_delivery
from migas.collector.server.upkeep import keep_telling
from migas.collector.server.webhook_delivery import post
from tests.collector.command_line import assert_refused
from tests.collector.counts.test_sessions import Clock
from tests.support.answers import Answer
from tests.support.collector import CollectorProcess
from tests.support.fault_server import FaultServer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from migas.collector.news.webhooks import Letter
    from tests.collector.command_line import Run
    from tests.collector.databases import Database
    from tests.support.answers import Request

PROJECT = "owner/tool"
TAKEN = Answer(204, b"")


def taking(_request: Request) -> Answer:
    return TAKEN


async def find(collector: Collector, *keys: str) -> None:
    """Have news, as if they had been found."""
    async with collector.connections.writing() as connection:
        for key in keys:
            row = {"id": f"id-{key}", "project": PROJECT, "key": key, "kind": "new", "found": 86400}
            row |= {"text": f"what {key} says", "page": f"errors/{key}"}
            await connection.execute(news.insert(), row)


def with_receivers(
    database: Database,
    urls: list[str],
    work: Callable[[Collector, Clock], Awaitable[Any]],
    *keys: str,
) -> None:
    """Do something where some are told of a project, of which some news were found since."""
    clock = Clock()

    async def run() -> None:
        async with Collector.open(database.url, clock=clock) as collector:
            await collector.projects.register([PROJECT])
            for url in urls:
                await collector.webhooks.add(PROJECT, url)
            await find(collector, *keys)
            await work(collector, clock)

    asyncio.run(run())


async def only(letters: Awaitable[list[Letter]]) -> Letter:
    (letter,) = await letters
    return letter


def test_a_receiver_is_told_what_is_found_from_now_on_in_order(database: Database) -> None:
    async def work(collector: Collector, _clock: Clock) -> None:
        assert await collector.webhooks.claim() == []
        await collector.webhooks.add(PROJECT, "http://later")
        await find(collector, "b", "c")
        for key in "bc":
            letter = await only(collector.webhooks.claim())
            assert (letter.url, letter.item.text) == ("http://later", f"what {key} says")
            await collector.webhooks.settle(letter, arrived=True)
        assert await collector.webhooks.claim() == []

    with_receivers(database, [], work, "a")


def test_one_process_sends_and_another_takes_over_when_it_is_gone(database: Database) -> None:
    async def work(collector: Collector, clock: Clock) -> None:
        async with Collector.open(database.url, clock=clock) as other:
            claims = await asyncio.gather(collector.webhooks.claim(), other.webhooks.claim())
            assert sorted(map(len, claims)) == [0, 1]
            clock.now += LEASE_SECONDS - 1
            assert await other.webhooks.claim() == []
            clock.now += 1
            assert (await only(other.webhooks.claim())).item.id == "id-a"

    with_receivers(database, ["http://here"], work, "a")


def test_it_is_tried_again_ever_later_and_then_left_out(database: Database) -> None:
    async def work(collector: Collector, clock: Clock) -> None:
        pauses = []
        for failures in range(GIVE_UP):
            letter = await only(collector.webhooks.claim())
            assert (letter.item.id, letter.failures) == ("id-a", failures)
            await collector.webhooks.settle(letter, arrived=False)
            due = database.value("SELECT due FROM webhooks")
            pauses.append(due - collector.clock.now())
            clock.now = max(due - 1, clock.now)
            assert pauses[-1] == 0 or await collector.webhooks.claim() == []
            clock.now = due
        assert pauses[:4] == [60, 120, 240, 480]
        assert pauses[-2:] == [MAX_SECONDS, 0]
        assert (await only(collector.webhooks.claim())).item.id == "id-b"

    with_receivers(database, ["http://here"], work, "a", "b")


def test_who_is_told_no_more_gets_nothing_that_is_under_way(database: Database) -> None:
    async def work(collector: Collector, _clock: Clock) -> None:
        letter = await only(collector.webhooks.claim())
        assert await collector.webhooks.remove(PROJECT, "http://here")
        await collector.webhooks.settle(letter, arrived=False)
        assert await collector.webhooks.of(PROJECT) == []
        assert await collector.webhooks.claim() == []

    with_receivers(database, ["http://here"], work, "a")


@pytest.mark.parametrize("status", [200, 204, 299])
def test_what_was_taken_has_arrived(status: int) -> None:
    with FaultServer(lambda _request: Answer(status, b"")) as server:
        assert post(server.url, b"{}")


@pytest.mark.parametrize("status", [301, 307, 400, 404, 410, 413, 429, 500, 503])
def test_what_was_refused_has_not_and_is_not_asked_twice_at_once(status: int) -> None:
    headers = (("Location", "/elsewhere"), ("Retry-After", "1"))
    with FaultServer(lambda _request: Answer(status, b"", headers=headers)) as server:
        assert not post(server.url + "/here", b"{}")
        assert [request.path for request in server.requests] == ["/here"]


@pytest.mark.parametrize("manner", ["refused", "reset", "not-http", "redirect-elsewhere"])
def test_a_receiver_that_cannot_be_understood_has_not_got_it(
    manner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook_delivery, "_RETRIES", webhook_delivery._RETRIES.new(connect=0))
    with FaultServer(manner) as server:
        assert not post(server.url, b"{}")
        assert len(server.requests) <= 1


def test_an_answer_without_an_end_is_not_read() -> None:
    with FaultServer("endless") as server:
        assert post(server.url, b"{}")


def test_a_certificate_that_nobody_vouches_for_is_refused() -> None:
    with FaultServer("self-signed", tls=True) as server:
        assert not post(server.url, b"{}")
        assert server.requests == []


def test_a_receiver_that_hangs_holds_up_nobody(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FaultServer("silent") as silent, FaultServer(taking) as quick:

        async def work(collector: Collector, clock: Clock) -> None:
            monkeypatch.setattr("migas.collector.server.upkeep.NEWS_INTERVAL", 0.05)
            telling = asyncio.create_task(keep_telling(collector, ""))
            try:
                for wait in (quick, silent):
                    assert await asyncio.to_thread(wait.wait_for_requests, 1)
                await find(collector, "b")
                await asyncio.to_thread(quick.wait_for_requests, 2)
                told = [request.json()["id"] for request in quick.requests]
                assert told == ["id-a", "id-b"]
                assert len(silent.requests) == 1
            finally:
                telling.cancel()
                await asyncio.gather(telling, return_exceptions=True)

        with_receivers(database, [silent.url, quick.url], work, "a")


def test_nobody_waits_for_a_thread_that_hangs_and_there_is_one_at_most(
    sqlite: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook_delivery, "DEADLINE", 0.2)
    with FaultServer("drip") as server:

        async def work(collector: Collector, _clock: Clock) -> None:
            sender = webhook_delivery.Delivery()
            letter = await only(collector.webhooks.claim())
            before = threading.active_count()
            for _ in range(3):
                assert not await sender.send(letter, "")
            assert len(server.requests) == 1
            assert threading.active_count() <= before + 2  # the server's has one, too

        with_receivers(sqlite, [server.url], work, "a")


def test_news_are_told_once_over_a_restart(run: Run, database: Database, tmp_path: Path) -> None:
    db = ["--db", database.url]
    run("project", "add", PROJECT, *db)

    def found(key: str) -> None:
        database.execute(
            "INSERT INTO news (id, project, key, kind, text, page, found)"
            " VALUES (?, ?, ?, 'silence', 'It is quiet', '', 86400)",
            f"id-{key}",
            PROJECT,
            key,
        )

    def wait_until_told(number: int) -> None:
        deadline = time.monotonic() + 60
        while database.value("SELECT told FROM webhooks") != number:
            assert time.monotonic() < deadline
            time.sleep(0.05)

    with FaultServer(taking) as server:
        address = f"{server.url}/hooks/secret"
        assert run("project", "notify", PROJECT, address, *db).returncode == 0
        found("a")
        collector = CollectorProcess(
            tmp_path / "unused",
            open_registration=False,
            database_url=database.url,
            arguments=["--root-path", "/tools", "--workers", "2"],
        )
        try:
            for number, key in enumerate("ab", 1):
                if key == "b":
                    collector.kill()
                    found("b")
                    collector.arguments = ["--public-url", "https://host.example/tools/"]
                collector.start()
                server.wait_for_requests(number, 60)
                wait_until_told(number)
        finally:
            collector.stop()
        first, second = server.requests
        assert (first.method, first.path) == ("POST", "/hooks/secret")
        assert first.json() == {
            "id": "id-a",
            "project": PROJECT,
            "kind": "silence",
            "text": f"{PROJECT}: It is quiet",
            "time": "1970-01-02T00:00:00+00:00",
            "page": f"/tools/p/{PROJECT}",
        }
        assert second.json()["id"] == "id-b"
        assert second.json()["page"] == f"https://host.example/tools/p/{PROJECT}"


def test_receivers_are_named_listed_and_removed(run: Run, database: Database) -> None:
    db = ["--db", database.url]
    run("project", "add", PROJECT, "other/one", *db)
    assert run("project", "notify", PROJECT, *db).stdout == f"nobody is told of {PROJECT}\n"
    url = "https://chat.example:8443/hooks/a?b=c"
    assert "from now on" in run("project", "notify", PROJECT, url, *db).stdout
    assert "already" in run("project", "notify", PROJECT, url, *db).stdout
    assert run("project", "notify", PROJECT, *db).stdout == f"{url}\n"
    told = json.loads(run("project", "notify", PROJECT, "http://[::1]/x", "--json", *db).stdout)
    failures = [{"url": "http://[::1]/x", "failures": 0}, {"url": url, "failures": 0}]
    assert told == {"project": PROJECT, "webhooks": failures}
    other = run("project", "notify", "other/one", url, "--remove", *db)
    assert_refused(other, "nobody at that address")
    assert "no more" in run("project", "notify", PROJECT, url, "--remove", *db).stdout
    assert run("project", "notify", PROJECT, *db).stdout == "http://[::1]/x\n"
    assert_refused(run("project", "notify", PROJECT, "--remove", *db), "URL")
    assert_refused(run("project", "notify", "no/such", url, *db), "migas project add")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "chat.example/hook",
        "ftp://chat.example/",
        "file:///etc/passwd",
        "https://",
        "https:///path",
        "https://me:secret@chat.example/",
        "https://chat.example:99999/",
        "https://chat.example/a b",
        "https://chat.example/\x1b[2J",
        "https://chat.example/\ud800",
        "https://chät.example/",
        "https://chat.example/" + "x" * 1000,
    ],
)
def test_what_cannot_be_posted_to_is_refused(run: Run, sqlite: Database, url: str) -> None:
    run("project", "add", PROJECT, "--db", sqlite.url)
    done = run("project", "notify", PROJECT, url, "--db", sqlite.url)
    assert_refused(done, "no address to post to")
    assert "secret" not in done.stderr
    assert sqlite.rows("SELECT * FROM webhooks") == []
