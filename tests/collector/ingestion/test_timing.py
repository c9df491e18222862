"""When runs ended and how long they took: asked for in answers, told in headers, stored."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from tests.collector.live import ADD_PROJECT, PROJECT, LiveCollector, a_breadcrumb

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.collector.databases import Database
    from tests.collector.live import LiveServer, Reply

DAY = 86400
NOW = 20_000 * DAY + 5
JSON = {"Content-Type": "application/json"}
TOLD = {"X-Migas-Ended-Ago": str(3 * DAY), "X-Migas-Duration": "12.5"}
LITERAL = (
    'mutation{add_project(p:{project:"%s",project_version:"1.0",language:"python",'
    'language_version:"3.11.7",session_id:"%s",status:%s}), __typename}'
)
ADD_BREADCRUMB = (
    "mutation($project:String!,$project_version:String!,$language:String!,"
    "$language_version:String!,$ctx:ContextInput!,$proc:ProcessInput!)"
    "{add_breadcrumb(project:$project,project_version:$project_version,language:$language,"
    "language_version:$language_version,ctx:$ctx,proc:$proc){success message}}"
)


@pytest.fixture
def collector(live_server: LiveServer, database: Database) -> Iterator[LiveCollector]:
    """A collector by whose clock it is always the same second."""
    with live_server.collector(database, clock=lambda: NOW) as running:
        yield running


def post(
    collector: LiveCollector, path: str, message: object, headers: dict[str, str] | None = None
) -> Reply:
    return collector.send(path, json.dumps(message).encode(), JSON | (headers or TOLD))


def nested(session: str | None, status: str) -> dict[str, object]:
    return a_breadcrumb() | {"ctx": {"session_id": session}, "proc": {"status": status}}


def by_add_project(session: str | None, status: str) -> tuple[str, object]:
    p = a_breadcrumb() | {"session_id": session, "status": status}
    return "/graphql", {"query": ADD_PROJECT, "variables": {"p": p}}


def by_literals(session: str | None, status: str) -> tuple[str, object]:
    return "/graphql", {"query": LITERAL % (PROJECT, session, status)}


def by_add_breadcrumb(session: str | None, status: str) -> tuple[str, object]:
    return "/graphql", {"query": ADD_BREADCRUMB, "variables": nested(session, status)}


def by_rest(session: str | None, status: str) -> tuple[str, object]:
    return "/api/breadcrumb", nested(session, status)


def by_rest_and_waiting(session: str | None, status: str) -> tuple[str, object]:
    return "/api/breadcrumb?wait=true", nested(session, status)


WAYS = [by_add_project, by_literals, by_add_breadcrumb, by_rest, by_rest_and_waiting]


def times(collector: LiveCollector) -> list[dict[str, Any]]:
    return collector.rows("SELECT timestamp, ended, duration FROM crumbs ORDER BY idx")


@pytest.mark.parametrize("way", WAYS)
def test_an_end_is_stored_with_its_time_and_with_its_arrivals(
    way: Callable[[str | None, str], tuple[str, object]], collector: LiveCollector
) -> None:
    reply = post(collector, *way(str(uuid4()), "C"))
    assert reply.status in (200, 202)
    assert times(collector) == [{"timestamp": NOW, "ended": NOW - 3 * DAY, "duration": 12.5}]


def test_of_what_goes_on_or_has_no_session_no_end_is_stored(collector: LiveCollector) -> None:
    post(collector, *by_rest(str(uuid4()), "R"))
    post(collector, *by_rest(None, "C"))
    assert times(collector) == [{"timestamp": NOW, "ended": None, "duration": None}] * 2


def test_what_one_request_says_holds_for_no_other(collector: LiveCollector) -> None:
    post(collector, *by_rest(str(uuid4()), "C"))
    assert collector.rest(ctx={"session_id": str(uuid4())}, proc={"status": "C"}).status == 202
    assert times(collector)[1] == {"timestamp": NOW, "ended": None, "duration": None}


@pytest.mark.parametrize(
    ("said", "stored"),
    [
        ("0", 0.0),
        ("0.5", 0.5),
        (str(31 * DAY), 31.0 * DAY),
        (str(31 * DAY + 1), None),
        ("-1", None),
        ("nan", None),
        ("inf", None),
        ("1e999", None),
        ("", None),
        ("yesterday", None),
        ("9" * 900, None),
    ],
)
def test_what_cannot_be_is_left_out_and_the_breadcrumb_is_stored(
    said: str, stored: float | None, collector: LiveCollector
) -> None:
    headers = {"X-Migas-Ended-Ago": said, "X-Migas-Duration": said}
    assert post(collector, *by_rest(str(uuid4()), "F"), headers).status == 202
    ended = None if stored is None else NOW - round(stored)
    assert times(collector) == [{"timestamp": NOW, "ended": ended, "duration": stored}]


def test_a_breadcrumb_that_is_sent_again_later_is_the_same_one(collector: LiveCollector) -> None:
    session = str(uuid4())
    for ended_ago in ("0", "60", str(DAY)):
        post(collector, *by_add_project(session, "C"), TOLD | {"X-Migas-Ended-Ago": ended_ago})
    post(collector, *by_rest(session, "C"), {"Accept": "application/json"})
    assert [row["ended"] for row in times(collector)] == [NOW]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("POST", "/graphql", 200), ("GET", "/healthz", 200), ("GET", "/nowhere", 404)],
)
def test_every_answer_says_what_is_welcome(
    method: str, path: str, status: int, collector: LiveCollector
) -> None:
    reply = collector.send(path, b'{"query": "{get_projects}"}', JSON, method)
    assert (reply.status, reply.headers["X-Migas-Accepts"]) == (status, "ended_ago, duration")
