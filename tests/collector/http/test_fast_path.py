"""The short way gives the answers of the long way, and stores the same."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from migas.collector.http.fast_path import _plan
from tests.collector.http.test_exchanges import EXCHANGES, FOLDER, request_bytes
from tests.collector.live import ADD_PROJECT, PROJECT, LiveServer, a_breadcrumb

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.collector.databases import Databases
    from tests.collector.live import LiveCollector, Reply

POSTS = [name for name in EXCHANGES if not name.startswith(("check_", "get_"))]
USER = "35ecdd23-f0b6-593a-8d5b-108982c1126d"
HEADERS = {"Content-Type": "application/json"}

Both = tuple["LiveCollector", "LiveCollector"]


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[LiveServer, LiveServer]]:
    short, long = LiveServer(), LiveServer(shortcut=False)
    yield short, long
    short.stop()
    long.stop()


@pytest.fixture
def both(servers: tuple[LiveServer, LiveServer], databases: Databases) -> Iterator[Both]:
    """A collector with the short way and one without it, each over a database of its own."""
    with (
        databases.fresh("sqlite") as one,
        databases.fresh("sqlite") as other,
        servers[0].collector(one) as short,
        servers[1].collector(other) as long,
    ):
        yield short, long


def assert_same(both: Both, path: str, body: bytes, headers: dict[str, str] | None = None) -> Any:
    """Send a request both ways; return the answer they agree on."""
    replies: list[Reply] = [collector.send(path, body, headers or HEADERS) for collector in both]
    # How JSON is spaced is a matter of the libraries' releases.
    own = ("date", "location", "content-length")
    seen = [
        (
            reply.status,
            json.loads(reply.body) if reply.body.startswith(b"{") else reply.body,
            sorted((k.lower(), v) for k, v in reply.headers.items() if k.lower() not in own),
        )
        for reply in replies
    ]
    assert seen[0] == seen[1]
    assert both[0].crumbs() == both[1].crumbs()
    assert both[0].users() == both[1].users()
    return replies[0]


@pytest.mark.parametrize("name", POSTS)
def test_recorded_exchange(name: str, both: Both) -> None:
    recorded = json.loads((FOLDER / f"{name}.json").read_text())
    assert_same(both, recorded["path"], request_bytes(recorded), recorded["request_headers"])


def test_the_short_way_is_taken(both: Both) -> None:
    """Otherwise all of this compared the long way with itself."""
    assert _plan(ADD_PROJECT) == ("p", "add_project")
    assert _plan("mutation M($x:ProjectInput!){ a : add_project( p : $x ) }") == ("x", "a")
    body = json.dumps({"query": ADD_PROJECT, "variables": {"p": a_breadcrumb()}}).encode()
    assert (
        assert_same(both, "/graphql", body).json()["data"]["add_project"]["latest_version"]
        == "unknown"
    )
    assert len(both[0].crumbs()) == 1


DOCUMENTS = [
    "mutation($p:ProjectInput!){add_project(p:$p)}",
    "mutation M($p:ProjectInput!){again:add_project(p:$p)}",
    "mutation($p:ProjectInput){add_project(p:$p)}",
    'mutation($p:ProjectInput!={project:"a"}){add_project(p:$p)}',
    "mutation($p:[ProjectInput!]!){add_project(p:$p)}",
    "mutation($p:ContextInput!){add_project(p:$p)}",
    "mutation($p:ProjectInput!){add_project(p:$q)}",
    "mutation($p:ProjectInput!){add_project(q:$p)}",
    "mutation($p:ProjectInput!){add_project(p:$p,p:$p)}",
    "mutation($p:ProjectInput!){add_project(p:$p) @skip(if:true)}",
    "mutation($p:ProjectInput!) @a {add_project(p:$p)}",
    "mutation($p:ProjectInput!@a){add_project(p:$p)}",
    "mutation($p:ProjectInput!){add_project(p:$p){success}}",
    "mutation($p:ProjectInput!){add_project(p:$p) __typename}",
    "mutation($p:ProjectInput!,$q:Int){add_project(p:$p)}",
    "query($p:ProjectInput!){add_project(p:$p)}",
    "subscription($p:ProjectInput!){add_project(p:$p)}",
    "mutation($p:ProjectInput!){add_project(p:$p)} query Q{get_projects}",
    "mutation($p:ProjectInput!){...F} fragment F on Mutation{add_project(p:$p)}",
    "mutation($p:ProjectInput!){register_project(project:$p)}",
    "mutation($p:ProjectInput!){add_project(p:$p)",
    "# a comment\nmutation ($p: ProjectInput!) { add_project(p: $p) }",
    "\ufeffmutation($p:ProjectInput!){add_project(p:$p)}",
    "",
]


@pytest.mark.parametrize(
    "more",
    [{}, {"operationName": None}, {"operationName": "M"}, {"extensions": {}}, {"variables": {}}],
    ids=str,
)
def test_any_document(more: dict[str, Any], both: Both) -> None:
    for document in DOCUMENTS:
        message = {"query": document, "variables": {"p": a_breadcrumb()}} | more
        assert_same(both, "/graphql", json.dumps(message).encode())


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/graphql?", HEADERS),
        ("/graphql?query={get_projects}", HEADERS),
        ("/graphql", {}),
        ("/graphql", {"Content-Type": "text/plain"}),
        ("/graphql", {"Content-Type": "application/json; charset=utf-8"}),
        ("/graphql", {"Content-Type": "application/json; charset=latin-1"}),
        ("/graphql", {"Content-Type": "APPLICATION/JSON"}),
        ("/graphql", {"Content-Type": "application/jsonx"}),
        ("/graphql/", HEADERS),
    ],
)
def test_any_manner_of_asking(path: str, headers: dict[str, str], both: Both) -> None:
    body = json.dumps({"query": ADD_PROJECT, "variables": {"p": a_breadcrumb()}}).encode()
    assert_same(both, path, body, headers or {"X": "y"})


@pytest.mark.parametrize("query", ["", "?wait=true", "?wait=1", "?wait=x", "?wait=false", "?a=b"])
def test_any_manner_of_waiting(query: str, both: Both) -> None:
    for project in (PROJECT, "no/such", "nothing"):
        body = json.dumps({"project": project, "project_version": "1.0"}).encode()
        assert_same(both, f"/api/breadcrumb{query}", body)


ODD: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, False, 0, 1.5, 10**30, float("nan"), "", "1.0", "v1", "1.x", "C", "completed",
     "docker", "dev", USER, "x" * 33, "x" * 65, "\0", "\ud83d", "\u202e", [], {}, ["C"]]
)  # fmt: skip
FIELDS = [
    *("project", "project_version", "language", "language_version"),
    *("session_id", "user_id", "user_type", "platform", "container", "is_ci"),
    *("status", "status_desc", "error_type", "error_desc", "unknown"),
]
CHANGES = st.dictionaries(st.sampled_from(FIELDS), ODD, max_size=3)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(CHANGES, st.booleans())
def test_any_fields(both: Both, changes: dict[str, Any], short: bool) -> None:
    fields = a_breadcrumb() | changes
    if short:
        body = json.dumps({"query": ADD_PROJECT, "variables": {"p": fields}}).encode()
        assert_same(both, "/graphql", body)
        return
    ctx = {name: fields.pop(name) for name in FIELDS[4:10] if name in fields}
    proc = {name: fields.pop(name) for name in FIELDS[10:14] if name in fields}
    body = json.dumps(fields | {"ctx": ctx, "proc": proc}).encode()
    assert_same(both, "/api/breadcrumb", body)
