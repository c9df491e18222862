"""Administering over HTTP, with a root token and without one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.collector.live import PROJECT, LiveCollector, LiveServer, Reply

if TYPE_CHECKING:
    from collections.abc import Iterator

    from migas.collector.collector import Collector
    from tests.collector.databases import Database

CALLS = [
    ("POST", "register", {"project": "new/one"}),
    ("GET", "list-tokens", {}),
    ("POST", "issue-token", {"project": PROJECT}),
    ("POST", "revoke-token", {"token": "migas_0123456789abcdef_x"}),
]


class Administrator:
    """A collector, and a root token and a project's token to ask it with."""

    def __init__(self) -> None:
        self.tokens: dict[str | None, str] = {}
        self.collector: LiveCollector

    async def prepare(self, collector: Collector) -> None:
        for project in (None, PROJECT):
            self.tokens[project] = await collector.tokens.issue(project)

    def asks(self, method: str, call: str, body: Any = None, token: str | None = None) -> Reply:
        headers = {"Content-Type": "application/json"}
        headers["Authorization"] = f"Bearer {self.tokens[None] if token is None else token}"
        content = json.dumps(body).encode() if method == "POST" else b""
        return self.collector.send(f"/api/admin/{call}", content, headers, method)


@pytest.fixture
def administrator(live_server: LiveServer, database: Database) -> Iterator[Administrator]:
    asking = Administrator()
    with live_server.collector(database, prepare=asking.prepare) as collector:
        asking.collector = collector
        yield asking


@pytest.mark.parametrize(("method", "call", "body"), CALLS)
def test_nothing_is_administered_without_a_root_token(
    administrator: Administrator, method: str, call: str, body: dict[str, str]
) -> None:
    of_project = administrator.tokens[PROJECT]
    for token in ("", "migas_0123456789abcdef_x", of_project, of_project[:-1]):
        reply = administrator.asks(method, call, body, token=token)
        assert reply.status == 401
        assert set(reply.json()) == {"detail"}
    listed = administrator.asks("GET", "list-tokens").json()["tokens"]
    assert {token["project"] for token in listed} == {"master", PROJECT}
    assert len(listed) == 2


def test_a_project_is_registered_once(administrator: Administrator) -> None:
    said = [administrator.asks("POST", "register", {"project": "new/one"}) for _ in range(2)]
    assert [reply.json() for reply in said] == [
        {"success": True, "message": "Project is now registered."},
        {"success": True, "message": "Project is already registered."},
    ]
    assert administrator.asks("POST", "register", {"project": "one"}).status == 400


def test_a_token_is_issued_listed_and_revoked(administrator: Administrator) -> None:
    issued = administrator.asks(
        "POST", "issue-token", {"project": PROJECT, "description": "for the laboratory"}
    ).json()
    assert (issued["success"], issued["message"]) == (True, "Token issued successfully.")
    listed = administrator.asks("GET", f"list-tokens?project={PROJECT}").json()
    assert listed["success"] is True
    assert {token["project"] for token in listed["tokens"]} == {PROJECT}
    assert [t["description"] for t in listed["tokens"] if t["description"]] == [
        "for the laboratory"
    ]
    assert issued["token"].split("_", 2)[2] not in str(listed), "what opens it is shown once"

    ended = [administrator.asks("POST", "revoke-token", {"token": issued["token"]}).json()]
    ended.append(administrator.asks("POST", "revoke-token", {"token": issued["token"]}).json())

    assert [answer["success"] for answer in ended] == [True, False]
    left = administrator.asks("GET", f"list-tokens?project={PROJECT}").json()["tokens"]
    assert len(left) == len(listed["tokens"]) - 1


@pytest.mark.parametrize("project", ["master", "no/such", ""])
def test_no_token_is_issued_for_what_is_not_registered(
    administrator: Administrator, project: str
) -> None:
    assert administrator.asks("POST", "issue-token", {"project": project}).status == 400


def test_a_description_that_cannot_be_stored_is_refused(administrator: Administrator) -> None:
    body = {"project": PROJECT, "description": "a\0b"}
    assert administrator.asks("POST", "issue-token", body).status == 400
