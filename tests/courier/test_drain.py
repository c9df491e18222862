"""What becomes of a waiting breadcrumb, by what a real server answers."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from migas.courier.drain import Drain
from migas.courier.sender import Sender
from migas.spool import Spool
from migas.spool.record import Entry
from migas.spool.servers import Backoff
from tests.support.collector import running_collector
from tests.support.desk import NOBODY, wait_until
from tests.support.fault_server import Answer, FaultServer, Request
from tests.support.records import plant, put_old, record

if TYPE_CHECKING:
    from migas.message import Breadcrumb

Draining = Callable[..., Drain]


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    made = Spool(str(tmp_path / "state"))
    made.prepare()
    return made


@pytest.fixture
def drain(spool: Spool) -> Iterator[Draining]:
    """Make a drain and run it; each has connections of its own, as each courier does."""
    senders = []

    def run(timeout: float = 2.0, seconds: float = 20.0, *, by_hand: bool = False) -> Drain:
        sender = Sender(timeout)
        senders.append(sender)
        made = Drain(spool, Backoff(spool.root), sender, by_hand=by_hand)
        made.run(time.time() + seconds)
        return made

    yield run
    for sender in senders:
        sender.close()


def total(spool: Spool) -> int:
    return sum(spool.count().values())


def test_what_a_server_stored_is_gone(spool: Spool, server: FaultServer, drain: Draining) -> None:
    records = [record(server.url) for _ in range(5)]
    for made in records:
        spool.put(made)

    assert drain().delivered == 5
    assert server.breadcrumbs == [made["breadcrumb"] for made in records]
    assert total(spool) == 0
    assert server.connections == 1


STAYS = (
    "500",
    "503",
    "portal",
    "portal-200",
    "invalid-json",
    "list",
    "string",
    "null-data",
    "reset",
    "refused",
    "endless",
    "redirect-loop",
    "redirect-elsewhere",
    "not-http",
    "429",
    "429-retry-after",
)


@pytest.mark.parametrize("manner", STAYS)
def test_what_is_not_known_to_be_stored_stays(
    spool: Spool, server: FaultServer, drain: Draining, manner: str
) -> None:
    server.behave(manner)
    spool.put(record(server.url))

    assert drain().delivered == 0
    assert spool.count()["ready"] == 1
    assert Backoff(spool.root).states()[server.url]["failures"] == 1

    server.behave("ok")
    Path(spool.root, "servers.json").unlink()
    assert drain().delivered == 1


@pytest.mark.parametrize("manner", ["silent", "drip", "dropped"])
def test_a_server_that_makes_us_wait_leaves_no_thread_behind(
    spool: Spool, server: FaultServer, manner: str
) -> None:
    server.behave(manner)
    spool.put(record(server.url))
    sender = Sender(0.5)

    Drain(spool, Backoff(spool.root), sender).run(time.time() + 20)
    sender.close()

    assert spool.count()["ready"] == 1
    kind = Backoff(spool.root).states()[server.url]["kind"]
    assert kind == ("no route" if manner == "dropped" else "timeout")
    wait_until(lambda: "migas-transport" not in {one.name for one in threading.enumerate()})


@pytest.mark.parametrize("manner", ["silent", "drip", "endless", "reset"])
def test_a_server_that_fails_over_a_kept_connection_is_left_in_time(
    spool: Spool, server: FaultServer, manner: str
) -> None:
    def turn_bad(request: Request) -> None:
        if len(server.requests) == 3:
            server.behave(manner)

    for _ in range(6):
        spool.put(record(server.url))
    sender = Sender(0.5)
    server.behave(turn_bad)

    drain = Drain(spool, Backoff(spool.root), sender)
    drain.run(time.time() + 20)
    sender.close()

    assert drain.delivered == 3
    assert spool.count()["ready"] == 3
    wait_until(lambda: "migas-transport" not in {one.name for one in threading.enumerate()})


@pytest.mark.parametrize("manner", ["wrong-host", "self-signed", "expired", "private-ca"])
def test_a_certificate_that_proves_nothing_gets_nothing(
    spool: Spool, drain: Draining, manner: str
) -> None:
    with FaultServer(manner) as server:
        spool.put(record(server.url))
        drain()

        assert server.requests == []
        assert spool.count()["ready"] == 1


def test_a_private_authority_is_believed_when_the_environment_says_so(
    spool: Spool, drain: Draining, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FaultServer("private-ca") as server:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", server.ca_path)
        spool.put(record(server.url))

        assert drain().delivered == 1


@pytest.mark.parametrize("manner", ["413", "403"])
def test_a_migas_servers_no_is_final_and_counted(
    spool: Spool, server: FaultServer, drain: Draining, manner: str
) -> None:
    server.behave(manner)
    spool.put(record(server.url))

    assert drain().refused == 1
    assert total(spool) == 0
    assert spool.dropped() == {"refused by the server": 1}


def test_an_unregistered_project_is_refused_for_good(
    spool: Spool, server: FaultServer, drain: Draining
) -> None:
    spool.put(record(server.url, project="without-slash"))

    assert drain().refused == 1
    assert total(spool) == 0


def test_a_portals_graphql_errors_refuse_nothing(
    spool: Spool, server: FaultServer, drain: Draining
) -> None:
    server.behave(lambda _: Answer(200, {"errors": [{"message": "No."}]}, from_migas=False))
    spool.put(record(server.url))

    assert drain().refused == 0
    assert spool.count()["ready"] == 1


def test_a_version_that_graphql_refuses_goes_by_rest(
    spool: Spool, server: FaultServer, drain: Draining
) -> None:
    spool.put(record(server.url, project_version="1.2.x-dirty"))

    assert drain().delivered == 1
    assert [request.path for request in server.requests] == [
        "/graphql",
        "/api/breadcrumb?wait=true",
    ]


def test_a_servers_own_trouble_with_graphql_is_evaded_by_rest(
    spool: Spool, server: FaultServer, drain: Draining
) -> None:
    server.behave("graphql-errors")
    spool.put(record(server.url))

    assert drain().delivered == 1


def test_after_no_route_the_next_ones_are_not_tried(
    spool: Spool, server: FaultServer, drain: Draining
) -> None:
    server.behave("refused")
    for _ in range(10):
        spool.put(record(server.url))
    drain()
    server.behave("ok")

    assert drain().delivered == 0
    assert server.requests == []
    assert drain(by_hand=True).delivered == 10


def test_one_breadcrumb_that_upsets_the_server_does_not_keep_the_others(
    spool: Spool, server: FaultServer, drain: Draining
) -> None:
    def upset(request: Request) -> Answer | None:
        return Answer(500, "", from_migas=False) if b"poison" in request.body else None

    server.behave(upset)
    put_old(spool, record(server.url, status_desc="poison"), 60)
    for _ in range(3):
        spool.put(record(server.url))

    assert drain().delivered == 3
    assert spool.count()["ready"] == 1
    assert Backoff(spool.root).seconds_left(server.url) == 0


def test_a_plea_for_silence_is_respected_by_hand_too(
    spool: Spool, server: FaultServer, drain: Draining
) -> None:
    server.behave("429")
    for _ in range(3):
        spool.put(record(server.url))
    drain(by_hand=True)
    assert len(server.requests) == 1
    server.behave("ok")

    assert drain(by_hand=True).delivered == 0
    assert len(server.requests) == 1
    assert spool.count()["ready"] == 3


@pytest.mark.parametrize(("status", "kind"), [(429, "silenced"), (503, "failed"), (413, "refused")])
def test_a_plea_to_retry_after_a_while_hides_no_answer(
    spool: Spool, server: FaultServer, drain: Draining, status: int, kind: str
) -> None:
    pleading = Answer(status, {"detail": "Not now."}, headers=(("Retry-After", "1200"),))
    server.behave(lambda _request: pleading)
    spool.put(record(server.url))

    drain()

    assert spool.count()["ready"] == (kind != "refused")
    backoff = Backoff(spool.root)
    assert backoff.states()[server.url].get("kind", "refused") == kind
    assert (backoff.seconds_left(server.url, by_hand=True) > 600) is (kind == "silenced")


def test_a_dead_server_does_not_hold_up_another(
    spool: Spool, server: FaultServer, drain: Draining
) -> None:
    with FaultServer("refused") as dead:
        for _ in range(3):
            spool.put(record(dead.url))
            spool.put(record(server.url))
        drain()

    assert len(server.breadcrumbs) == 3
    assert spool.count()["ready"] == 3


def test_an_announcement_whose_end_waits_is_dropped(
    spool: Spool, server: FaultServer, drain: Draining
) -> None:
    end = record(server.url)
    session = end["breadcrumb"]["session_id"]
    put_old(spool, record(server.url, status="R", session_id=session), 5)
    spool.put(end)

    drain()

    assert [crumb["status"] for crumb in server.breadcrumbs] == ["C"]
    assert total(spool) == 0


@pytest.mark.parametrize("manner", ["refused", "500", "429"])
def test_an_announcement_that_cannot_be_sent_is_dropped(
    spool: Spool, server: FaultServer, drain: Draining, manner: str
) -> None:
    server.behave(manner)
    spool.put(record(server.url, status="R"))

    drain()

    assert total(spool) == 0


def test_an_end_that_arrives_while_its_announcement_is_sent_follows_it_by_a_second(
    spool: Spool,
) -> None:
    with running_collector() as collector:
        running = record(collector.url, status="R")
        session = running["breadcrumb"]["session_id"]
        spool.put(running)
        sender = Sender(5)

        def send(endpoint: str, crumb: Breadcrumb) -> None:
            sender(endpoint, crumb)
            if len(collector.crumbs()) == 1:
                spool.put(record(collector.url, session_id=session))

        Drain(spool, Backoff(spool.root), send).run(time.time() + 20)
        sender.close()

        first, last = collector.crumbs()
        assert (first["status"], last["status"]) == ("R", "C")
        assert last["timestamp"] > first["timestamp"]


def test_an_end_waits_for_the_moment_that_its_program_wrote_down(
    spool: Spool, server: FaultServer, drain: Draining
) -> None:
    made = record(server.url)
    made["not_before"] = time.time() + 0.7
    spool.put(made)

    drain()

    assert server.requests[0].time >= made["not_before"]


def test_a_moment_in_another_year_is_not_waited_for(
    spool: Spool, server: FaultServer, drain: Draining
) -> None:
    made = record(server.url)
    made["not_before"] = time.time() + 10**8
    spool.put(made)

    assert drain().delivered == 1


def test_what_was_planted_is_not_sent_and_keeps_nothing_waiting(
    spool: Spool, server: FaultServer, drain: Draining, tmp_path: Path
) -> None:
    name = Entry.name_for(record(), 100)
    plant(spool, Entry.name_for(record(), 100), b"[" * 5000)
    plant(spool, Entry.name_for(record(), 100), b"x" * 30_000)
    os.chmod(plant(spool, Entry.name_for(record(), 100)), 0o666)
    os.symlink("/etc/passwd", spool.folder("ready", name))
    os.mkfifo(spool.folder("ready", Entry.name_for(record(), 100)))
    os.mkdir(spool.folder("ready", Entry.name_for(record(), 100)))
    planted = 6
    if os.geteuid() == 0:
        spool.put(record(server.url))
        os.chown(spool.folder("ready", spool.entries()[-1].name), NOBODY, NOBODY)
        planted += 1
    spool.put(record(server.url))

    assert drain().delivered == 1
    assert spool.count() == {"open": 0, "ready": 0, "sending": 0, "aside": planted}


def test_what_arrives_while_another_drains_is_sent_by_that_one(
    spool: Spool, server: FaultServer
) -> None:
    spool.put(record(server.url))
    sender = Sender(5)
    late = Drain(spool, Backoff(spool.root), sender)

    def send(endpoint: str, crumb: Breadcrumb) -> None:
        if not server.breadcrumbs:
            spool.put(record(server.url))
            assert not late.run(time.time() + 5)  # the lease is held: it leaves
        sender(endpoint, crumb)

    first = Drain(spool, Backoff(spool.root), send)
    first.run(time.time() + 20)
    sender.close()

    assert first.delivered == 2


def test_a_drain_stops_at_its_deadline(spool: Spool, server: FaultServer, drain: Draining) -> None:
    for _ in range(3):
        spool.put(record(server.url))

    assert drain(seconds=0).delivered == 0
    assert spool.count()["ready"] == 3


def test_what_follows_stays_when_the_server_asks_for_silence(
    spool: Spool, server: FaultServer, drain: Draining
) -> None:
    for _ in range(4):
        spool.put(record(server.url))
    refusing = Answer(429, {"detail": "slow down"})
    server.behave(lambda _request: refusing if len(server.requests) > 2 else None)

    assert drain().delivered == 2

    assert (spool.count()["ready"], spool.count()["sending"]) == (2, 0)


def test_what_waits_is_sent_once_and_in_its_order(
    spool: Spool, server: FaultServer, drain: Draining
) -> None:
    records = [record(server.url) for _ in range(20)]
    for made in records:
        spool.put(made)

    drain()

    sessions = [crumb["session_id"] for crumb in server.breadcrumbs]
    assert sessions == [made["breadcrumb"]["session_id"] for made in records]
    assert total(spool) == 0
