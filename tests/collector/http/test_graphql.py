"""What GraphQL clients find, beyond the recorded exchanges."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from tests.collector.live import ADD_PROJECT, PROJECT, LiveCollector, LiveServer, a_breadcrumb

if TYPE_CHECKING:
    from migas.collector.collector import Collector
    from tests.collector.databases import Database

ADD_BREADCRUMB = (
    "mutation($project:String!,$version:String!,$ctx:ContextInput!){add_breadcrumb("
    'project:$project,project_version:$version,language:"python",language_version:"3.11",'
    "ctx:$ctx,proc:{status:C}){success message}}"
)
CHECK_PROJECT = (
    "query($p:String!,$v:String!){check_project(project:$p,project_version:$v)"
    "{success flagged latest message}}"
)
GET_USAGE = (
    "query($p:String!,$s:DateTime!,$e:DateTime,$u:Boolean!)"
    "{get_usage(project:$p,start:$s,end:$e,unique:$u)}"
)


def test_versions_are_stored_in_their_normal_form(collector: LiveCollector) -> None:
    collector.add_project(project_version="v1.2.3", language_version="3.13.0rc1")

    (crumb,) = collector.crumbs()
    assert (crumb["version"], crumb["language_version"]) == ("1.2.3", "3.13.0rc1")


def test_an_id_is_stored_in_its_canonical_form(collector: LiveCollector) -> None:
    collector.add_project(session_id="{35ECDD23F0B6593A8D5B108982C1126D}")

    assert collector.crumbs()[0]["session_id"] == "35ecdd23-f0b6-593a-8d5b-108982c1126d"


def test_a_breadcrumb_is_stamped_with_the_servers_time(collector: LiveCollector) -> None:
    before = int(time.time())
    collector.add_project()
    (row,) = collector.rows("SELECT timestamp FROM crumbs")
    assert before <= row["timestamp"] <= time.time()


def test_a_user_is_stored_once_with_the_first_values(collector: LiveCollector) -> None:
    user = str(uuid4())
    collector.add_project(user_id=user, platform="linux", user_type="dev", container="docker")
    collector.add_project(user_id=user, platform="darwin", user_type="ci")

    assert collector.users() == [
        {"user_id": user, "user_type": "dev", "platform": "linux", "container": "docker"}
    ]
    assert len(collector.crumbs()) == 2


def test_add_breadcrumb_stores_every_user_as_general(collector: LiveCollector) -> None:
    ctx = {"user_id": str(uuid4()), "user_type": "ci", "is_ci": True}
    collector.graphql(ADD_BREADCRUMB, project=PROJECT, version="1.0", ctx=ctx)

    assert collector.users()[0]["user_type"] == "general"
    assert collector.crumbs()[0]["is_ci"] is True


@pytest.mark.parametrize(
    ("sent", "stored"),
    [("v1.0", "1.0"), ("1.2.x-dirty", "1.2.x-dirty"), ("no version at all", "unknown")],
)
def test_add_breadcrumb_takes_versions_of_any_form(
    sent: str, stored: str, collector: LiveCollector
) -> None:
    collector.graphql(ADD_BREADCRUMB, project=PROJECT, version=sent, ctx={})
    assert collector.crumbs()[0]["version"] == stored


@pytest.mark.parametrize("name", ["migas", "a/b/c", "a b/c", "/", "owner/", "a/b\n", "ä/b", ""])
def test_a_name_that_is_not_owner_and_repo_is_refused_always(
    name: str, open_collector: LiveCollector
) -> None:
    answer = open_collector.add_project(project=name)
    assert answer == {"data": {"add_project": {"success": False}}}
    answer = open_collector.graphql(ADD_BREADCRUMB, project=name, version="1.0", ctx={})
    assert answer["data"]["add_breadcrumb"]["success"] is False
    assert open_collector.crumbs() == []


def test_an_open_collector_registers_a_project_at_its_first_breadcrumb(
    open_collector: LiveCollector,
) -> None:
    answer = open_collector.add_project(project="new/one")

    assert answer["data"]["add_project"] == {
        "bad_versions": [],
        "cached": False,
        "latest_version": "unknown",
        "message": "",
        "success": False,
    }
    assert open_collector.graphql("{get_projects}")["data"]["get_projects"][-1] == "new/one"
    assert open_collector.crumbs()[0]["project"] == "new/one"


@pytest.mark.parametrize("field", ["user_id", "session_id"])
@pytest.mark.parametrize("value", ["", "not-a-uuid", "35ecdd23-f0b6-593a-8d5b-108982c1126d0"])
def test_an_id_that_is_no_uuid_is_an_error(
    field: str, value: str, collector: LiveCollector
) -> None:
    answer = collector.add_project(**{field: value})
    assert answer["errors"][0]["message"] == f"'{field}' must be a UUID, or be left out."
    assert collector.crumbs() == []


@pytest.mark.parametrize(
    "field", ["language", "platform", "status_desc", "error_type", "error_desc"]
)
@pytest.mark.parametrize("character", ["\0", "\ud83d"])
def test_a_text_that_no_database_holds_is_an_error(
    field: str, character: str, collector: LiveCollector
) -> None:
    answer = collector.add_project(**{field: f"a{character}b"})
    assert answer["data"] is None
    assert field in answer["errors"][0]["message"]
    assert collector.crumbs() == []


@pytest.mark.parametrize(
    ("field", "longest"), [("language", "l" * 32), ("platform", "p" * 64), ("platform", "ä" * 64)]
)
def test_the_longest_text_that_fits_is_stored(
    field: str, longest: str, collector: LiveCollector
) -> None:
    answer = collector.add_project(**{field: longest}, user_id=str(uuid4()))
    assert "latest_version" in answer["data"]["add_project"]
    assert len(collector.crumbs()) == len(collector.users()) == 1


def test_texts_of_a_process_may_be_numbers(collector: LiveCollector) -> None:
    collector.add_project(error_desc=2, status_desc=True, error_type=1.5)
    (crumb,) = collector.crumbs()
    assert [crumb[f] for f in ("error_desc", "status_desc", "error_type")] == ["2", "True", "1.5"]


@pytest.mark.parametrize("field", ["language", "platform", "is_ci", "status", "container"])
def test_null_is_refused_where_the_wire_refuses_it(field: str, collector: LiveCollector) -> None:
    assert collector.add_project(**{field: None})["errors"]
    assert collector.crumbs() == []


def test_statuses_are_stored_as_letters(collector: LiveCollector) -> None:
    spellings = ("R", "running", "pending", "C", "completed", "success")
    for spelling in (*spellings, "F", "failed", "error", "S", "suspended"):
        collector.add_project(status=spelling)
    assert "".join(crumb["status"] for crumb in collector.crumbs()) == "RRRCCCFFFSS"


def test_check_project_says_when_no_version_is_known(collector: LiveCollector) -> None:
    answer = collector.graphql(CHECK_PROJECT, p="some/where", v="1.0")
    assert answer["data"]["check_project"] == {
        "success": False,
        "flagged": False,
        "latest": "unknown",
        "message": 'No version of "some/where" is known',
    }


@pytest.mark.parametrize("asked", ["1.1.0", "1.1", "v1.1.0"])
def test_a_flagged_version_is_recognised_in_any_spelling(
    asked: str, live_server: LiveServer, database: Database
) -> None:
    async def prepare(collector: Collector) -> None:
        await collector.projects.set_release(PROJECT, "1.2.0", ["1.10.0", "1.1.0", "1.9.0"])

    with live_server.collector(database, prepare=prepare) as collector:
        answer = collector.graphql(CHECK_PROJECT, p=PROJECT, v=asked)
        added = collector.add_project(project_version=asked)

    assert answer["data"]["check_project"]["flagged"] is True
    assert added["data"]["add_project"]["bad_versions"] == ["1.1.0", "1.9.0", "1.10.0"]


def test_get_usage_counts_breadcrumbs_and_their_users(collector: LiveCollector) -> None:
    user = str(uuid4())
    for fields in ({"user_id": user}, {"user_id": user}, {"user_id": str(uuid4())}, {}):
        collector.add_project(**fields)
    collector.add_project(project="mgxd/migas-py", user_id=str(uuid4()))

    def usage(**variables: object) -> object:
        defaults: dict[str, Any] = {"p": PROJECT, "s": "2020-01-01", "e": None, "u": False}
        return collector.graphql(GET_USAGE, **defaults | variables)["data"]["get_usage"]["hits"]

    assert usage() == 4
    assert usage(u=True) == 2
    assert usage(e="2020-01-02") == 0


def test_get_usage_counts_from_its_first_to_its_last_second(collector: LiveCollector) -> None:
    collector.add_project()
    collector.execute("UPDATE crumbs SET timestamp = 1767225600")  # 2026-01-01T00:00:00Z

    def hits(start: str, end: str) -> object:
        answer = collector.graphql(GET_USAGE, p=PROJECT, s=start, e=end, u=False)
        return answer["data"]["get_usage"]["hits"]

    assert hits("2026-01-01", "2026-01-01") == 1
    assert hits("2025-12-31", "2025-12-31T23:59:59Z") == 0
    assert hits("2026-01-01T00:00:01Z", "2026-01-02") == 0


@pytest.mark.parametrize(
    "date",
    ["2026-02-30", "2026-1-1", "2026-01-01 00:00:00", "2026-01-01T00:00:00", "", "20260101", 5],
)
def test_a_date_of_another_form_is_an_error(date: object, collector: LiveCollector) -> None:
    assert collector.graphql(GET_USAGE, p=PROJECT, s=date, u=False)["errors"]


def test_several_breadcrumbs_in_one_request_are_all_stored(collector: LiveCollector) -> None:
    both = "mutation($p:ProjectInput!){first:add_project(p:$p) second:add_project(p:$p)}"
    answer = collector.graphql(both, p=a_breadcrumb())
    assert "latest_version" in answer["data"]["first"]
    assert answer["data"]["first"] == answer["data"]["second"]
    assert len(collector.crumbs()) == 2


def test_a_mutation_by_get_is_refused(collector: LiveCollector) -> None:
    reply = collector.send(f"/graphql?query={ADD_PROJECT.replace(' ', '%20')}", b"", method="GET")
    assert 400 <= reply.status < 500


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("/graphql", "application/json"),
        ("/graphql", "application/json; charset=utf-8"),
        ("/graphql", "application/json ;charset=latin-1"),
        ("/graphql", "APPLICATION/JSON"),
        ("/graphql?", "application/json"),
        ("/graphql?query={get_projects}", "application/json"),
    ],
)
def test_json_that_is_posted_is_taken(
    path: str, content_type: str, collector: LiveCollector
) -> None:
    body = json.dumps({"query": ADD_PROJECT, "variables": {"p": a_breadcrumb()}}).encode()
    reply = collector.send(path, body, {"Content-Type": content_type})
    assert reply.status == 200
    assert reply.json()["data"]["add_project"]["latest_version"]
    assert [crumb["project"] for crumb in collector.crumbs()] == [PROJECT]


@pytest.mark.parametrize(
    "headers",
    [{}]
    + [
        {"Content-Type": content_type}
        for content_type in ("", "text/plain", "application/jsonx", "text/x; a=application/json")
    ],
)
def test_what_does_not_say_that_it_is_json_is_refused(
    headers: dict[str, str], collector: LiveCollector
) -> None:
    body = json.dumps({"query": ADD_PROJECT, "variables": {"p": a_breadcrumb()}}).encode()
    reply = collector.send("/graphql", body, headers)
    assert (reply.status, reply.body) == (400, b"Unsupported content type")
    assert collector.crumbs() == []
