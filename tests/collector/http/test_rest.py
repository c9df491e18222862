"""What REST clients find, beyond the recorded exchanges."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest

from tests.collector.live import PROJECT, LiveCollector


def test_a_breadcrumb_is_committed_before_the_answer(collector: LiveCollector) -> None:
    for count in range(1, 6):
        assert collector.rest().status == 202
        assert len(collector.crumbs()) == count


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("v1.2.3", "1.2.3"),
        ("1.2.x-dirty", "1.2.x-dirty"),
        ("1.0 beta", "unknown"),
        ("1.0;drop table", "unknown"),
        ("", "unknown"),
        ("1.2.3.dev4+" + "a" * 49, "1.2.3.dev4+aaaaaaaaaaaaa"),
    ],
)
def test_a_version_of_any_form_is_taken(sent: str, stored: str, collector: LiveCollector) -> None:
    assert collector.rest(project_version=sent).status == 202
    assert collector.crumbs()[0]["version"] == stored


def test_a_user_is_stored_as_general(collector: LiveCollector) -> None:
    user = str(uuid4())
    collector.rest(ctx={"user_id": user, "user_type": "dev", "platform": "linux"})
    assert collector.users() == [
        {"user_id": user, "user_type": "general", "platform": "linux", "container": "unknown"}
    ]


@pytest.mark.parametrize(
    ("part", "field", "value"),
    [
        ("ctx", "user_id", "not-a-uuid"),
        ("ctx", "session_id", ""),
        ("ctx", "platform", "p" * 65),
        ("proc", "error_desc", "a\0b"),
        ("proc", "status_desc", "\ud83d"),
    ],
)
def test_what_cannot_be_stored_is_named_and_not_stored(
    part: str, field: str, value: str, collector: LiveCollector
) -> None:
    fields: dict[str, Any] = {part: {field: value}}
    reply = collector.rest(**fields)
    assert reply.status == 422
    (problem,) = reply.json()["detail"]
    assert problem["loc"] == ["body", part, field]
    assert field in problem["msg"]
    assert collector.crumbs() == []


def test_a_language_that_cannot_be_stored_is_named(collector: LiveCollector) -> None:
    reply = collector.rest(language="l" * 33)
    assert reply.status == 422
    assert reply.json()["detail"][0]["loc"] == ["body", "language"]


def test_what_cannot_be_stored_fails_as_on_the_wire_for_who_waits(
    collector: LiveCollector,
) -> None:
    reply = collector.rest(wait=True, ctx={"session_id": "no"})
    assert (reply.status, reply.json()) == (
        500,
        {"success": False, "message": "Error during ingestion."},
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"proc": {"status": "W"}},
        {"ctx": {"container": "podman"}},
        {"ctx": {"is_ci": "perhaps"}},
        {"project_version": 1},
        {"language": None},
        {"ctx": None},
        {"proc": []},
        {"project": ["a/b"]},
    ],
)
def test_a_wrong_type_or_name_is_422(fields: dict[str, Any], collector: LiveCollector) -> None:
    reply = collector.rest(**fields)
    assert reply.status == 422
    assert reply.json()["detail"][0]["loc"][0] == "body"
    assert collector.crumbs() == []


def test_a_missing_field_is_422(collector: LiveCollector) -> None:
    reply = collector.send("/api/breadcrumb", b'{"project": "a/b"}')
    assert reply.status == 422
    assert reply.json()["detail"][0]["loc"] == ["body", "project_version"]


@pytest.mark.parametrize("name", ["migas", "a/b/c", "a b/c", "/", "owner/\ud83d"])
def test_a_name_that_is_not_owner_and_repo_is_400(name: str, open_collector: LiveCollector) -> None:
    reply = open_collector.rest(project=name)
    assert (reply.status, reply.json()) == (
        400,
        {"detail": "Invalid project format (expected owner/repo)."},
    )
    assert open_collector.crumbs() == []


def test_an_open_collector_registers_a_project_at_its_first_breadcrumb(
    open_collector: LiveCollector,
) -> None:
    assert open_collector.rest(project="new/one").status == 202
    assert open_collector.rows("SELECT project FROM projects ORDER BY idx")[-1] == {
        "project": "new/one"
    }


def test_the_interface_is_described_without_scripts_from_elsewhere(
    collector: LiveCollector,
) -> None:
    described = collector.send("/openapi.json", b"", method="GET").json()
    assert "/api/breadcrumb" in described["paths"]
    assert collector.send("/docs", b"", method="GET").status == 404
    assert PROJECT not in str(described)


@pytest.mark.parametrize(
    ("query", "statuses"),
    [
        ("", (202, 400, 400)),
        ("?wait=false", (202, 400, 400)),
        ("?a=b", (202, 400, 400)),
        ("?wait=true", (200, 400, 400)),
        ("?wait=1", (200, 400, 400)),
        ("?wait=x", (422, 422, 422)),
    ],
)
def test_every_way_of_waiting_has_its_status(
    query: str, statuses: tuple[int, ...], collector: LiveCollector
) -> None:
    names = (PROJECT, "no/such", "nothing")
    bodies = [json.dumps({"project": name, "project_version": "1.0"}).encode() for name in names]
    replies = [collector.send(f"/api/breadcrumb{query}", body) for body in bodies]
    assert tuple(reply.status for reply in replies) == statuses
    assert len(collector.crumbs()) == (statuses[0] < 300)
