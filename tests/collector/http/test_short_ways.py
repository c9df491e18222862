"""The short ways that ordinary breadcrumbs take give the answers of the long ones."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from migas.collector.http import documents
from tests.collector.live import ADD_PROJECT, a_breadcrumb

if TYPE_CHECKING:
    from tests.collector.live import LiveCollector, Reply

LONG_WAY = ADD_PROJECT[:-1] + " @skip(if:false)}"
USER = "35ecdd23-f0b6-593a-8d5b-108982c1126d"
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
INVENTED = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(params=["sqlite"])
def kind(request: pytest.FixtureRequest) -> str:
    """Nothing of this depends on the database."""
    chosen: str = request.param
    return chosen


def send(collector: LiveCollector, path: str, message: object, content_type: str) -> Any:
    """What a request is answered, and what it stores."""
    collector.execute("DELETE FROM crumbs")
    collector.execute("DELETE FROM users")
    body = json.dumps(message).encode()
    reply: Reply = collector.send(path, body, {"Content-Type": content_type})
    headers = sorted((name.lower(), value) for name, value in reply.headers.items())
    shown = [header for header in headers if header[0] not in ("date", "content-length")]
    stored = collector.crumbs(), collector.users()
    is_json = reply.headers["Content-Type"] == "application/json"
    return reply.status, shown, reply.json() if is_json else {"text": reply.body}, stored


def without_columns(answer: Any) -> Any:
    """An answer without where in the document its errors are."""
    status, headers, body, stored = answer
    for error in body.get("errors", ()):
        error.pop("locations", None)
    return status, headers, body, stored


@INVENTED
@given(CHANGES)
def test_any_fields_by_graphql(collector: LiveCollector, changes: dict[str, Any]) -> None:
    short, long = (
        send(
            collector,
            "/graphql",
            {"query": query, "variables": {"p": a_breadcrumb() | changes}},
            "application/json",
        )
        for query in (ADD_PROJECT, LONG_WAY)
    )
    assert without_columns(short) == without_columns(long)


@INVENTED
@given(CHANGES, st.sampled_from(["", "?wait=true", "?wait=false"]))
def test_any_fields_by_rest(collector: LiveCollector, changes: dict[str, Any], wait: str) -> None:
    fields = a_breadcrumb() | changes
    ctx = {name: fields.pop(name) for name in FIELDS[4:10] if name in fields}
    proc = {name: fields.pop(name) for name in FIELDS[10:14] if name in fields}
    message = fields | {"ctx": ctx, "proc": proc}
    path = f"/api/breadcrumb{wait}"
    short, long = (
        send(collector, path, message, content_type)
        for content_type in ("application/json", "application/json; charset=utf-8")
    )
    assert short == long


@pytest.mark.parametrize(
    "more",
    [
        {"variables": {}},
        {"variables": None},
        {"variables": {"p": None}},
        {"variables": {"p": []}},
        {"variables": {"p": [a_breadcrumb()]}},
        {"variables": {"p": a_breadcrumb(), "q": 1}},
        {"operationName": "M"},
        {"operationName": None},
        {"extensions": {}},
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "beginning",
    ["mutation", "mutation M", "\ufeffmutation"],
    ids=["unnamed", "named", "byte order mark"],
)
def test_any_message(collector: LiveCollector, more: dict[str, Any], beginning: str) -> None:
    message = {"variables": {"p": a_breadcrumb() | {"user_id": USER}}} | more
    short, long = (
        send(
            collector,
            "/graphql",
            {"query": beginning + query.removeprefix("mutation"), **message},
            "application/json",
        )
        for query in (ADD_PROJECT, LONG_WAY)
    )
    assert without_columns(short) == without_columns(long)


def test_the_short_way_is_for_documents_that_are_one_add_project_of_a_variable() -> None:
    """Otherwise all of this compared the long way with itself."""
    short = [
        ADD_PROJECT,
        "mutation M($p:ProjectInput!){ add_project( p : $p ) }",
        "# a comment\nmutation($p:ProjectInput!,){add_project(p:$p)}",
        f"\ufeff{ADD_PROJECT}",
    ]
    assert [documents.read(text).breadcrumb for text in short] == [("p", "add_project")] * 4
    renamed = documents.read("mutation($x:ProjectInput!){a:add_project(p:$x)}")
    assert renamed.breadcrumb == ("x", "a")


@pytest.mark.parametrize(
    "document",
    [
        LONG_WAY,
        "mutation($p:ProjectInput){add_project(p:$p)}",
        'mutation($p:ProjectInput!={project:"a"}){add_project(p:$p)}',
        "mutation($p:[ProjectInput!]!){add_project(p:$p)}",
        "mutation($p:ContextInput!){add_project(p:$p)}",
        "mutation($p:ProjectInput!){add_project(p:$q)}",
        "mutation($p:ProjectInput!){add_project(q:$p)}",
        "mutation($p:ProjectInput!){add_project(p:$p,p:$p)}",
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
        "mutation($p:String!){register_project(project:$p)}",
    ],
)
def test_any_other_document_takes_the_long_way(document: str) -> None:
    assert documents.read(document).breadcrumb is None
