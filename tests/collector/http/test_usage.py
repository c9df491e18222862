"""Reading and administering with a token, beginning with what was recorded on the real server."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from tests.collector.counts.test_sessions import Clock
from tests.collector.http.test_exchanges import FOLDER
from tests.collector.live import PROJECT, LiveCollector, LiveServer
from tests.collector.test_collector import a_crumb

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from migas.collector.collector import Collector
    from tests.collector.databases import Database, Databases
    from tests.support.postgres import Postgres

RECORDED = sorted(
    path.stem for path in FOLDER.glob("*.json") if path.stem.startswith(("rest_usage", "rest_auth"))
)
REGISTER = "mutation($p:String!){register_project(project:$p)}"
ISSUE = 'mutation($p:String!){issue_token(project:$p,description:"x"){token success message}}'
REVOKE = "mutation($t:String!){revoke_token(token:$t)}"


class Tokens:
    """One of each kind."""

    def __init__(self) -> None:
        self.of: dict[str | None, str] = {}

    async def issue(self, collector: Collector) -> None:
        for project in (None, PROJECT, "nipreps/nipreps"):
            self.of[project] = await collector.tokens.issue(project)


@pytest.fixture
def tokens() -> Tokens:
    return Tokens()


@pytest.fixture
def collector(
    live_server: LiveServer, database: Database, tokens: Tokens
) -> Iterator[LiveCollector]:
    """As recorded: three projects, and a session of this one that was suspended that day."""
    clock = Clock(datetime(2026, 11, 22, 12, tzinfo=UTC).timestamp())

    async def prepare(collector: Collector) -> None:
        await tokens.issue(collector)
        run = str(uuid4())
        for status in "RS":
            crumb = a_crumb(PROJECT, project_version="0.4.0", session_id=run, status=status)
            await collector.ingestion.record(crumb)

    with live_server.collector(database, prepare=prepare, clock=clock) as running:
        yield running


def get(collector: LiveCollector, path: str, token: str | None = None) -> Any:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return collector.send(path, b"", headers, "GET")


@pytest.mark.parametrize("name", [*RECORDED])
def test_recorded_exchange(name: str, collector: LiveCollector, tokens: Tokens) -> None:
    recorded = json.loads((FOLDER / f"{name}.json").read_text())
    project: str | None = PROJECT
    if "_root" in name:
        project = None
    elif "_other_" in name or name == "rest_auth_projects_scoped":
        project = "nipreps/nipreps"
    token = "migas_0123_nonsense" if "_bad_" in name else tokens.of[project]
    headers = recorded["request_headers"]
    if "Authorization" in headers:
        headers["Authorization"] = f"Bearer {token}"

    reply = collector.send(recorded["path"], b"", headers, recorded["method"])

    assert reply.status == recorded["status"]
    assert reply.headers["Content-Type"] == "application/json"
    assert reply.body.decode() == recorded["response_body"]


def test_the_recorded_exchanges_are_there() -> None:
    assert len(RECORDED) == 8


@pytest.mark.parametrize(("weeks", "status"), [("0", 422), ("521", 422), ("x", 422), ("520", 200)])
def test_weeks_are_a_number_of_them(
    weeks: str, status: int, collector: LiveCollector, tokens: Tokens
) -> None:
    path = f"/api/usage/{PROJECT}?weeks={weeks}"
    assert get(collector, path, tokens.of[PROJECT]).status == status


@pytest.mark.parametrize(
    ("asked", "sessions"),
    [
        ("", 1),
        ("?weeks=2", 2),
        ("?since=2026-11-12", 2),
        ("?since=2026-11-13", 1),
        ("?since=2026-11-12&weeks=1", 2),
        ("?since=2030-01-01", 0),
    ],
)
def test_usage_is_of_the_last_week_or_since_a_day(
    asked: str, sessions: int, live_server: LiveServer, database: Database, tokens: Tokens
) -> None:
    clock = Clock(datetime(2026, 11, 12, 12, tzinfo=UTC).timestamp())

    async def prepare(collector: Collector) -> None:
        await tokens.issue(collector)
        await collector.ingestion.record(a_crumb(PROJECT, session_id=str(uuid4())))
        clock.now += 10 * 24 * 3600
        await collector.ingestion.record(a_crumb(PROJECT, session_id=str(uuid4())))

    with live_server.collector(database, prepare=prepare, clock=clock) as running:
        found = get(running, f"/api/usage/{PROJECT}{asked}", tokens.of[PROJECT]).json()
    assert sum(counted["count"] for counted in found) == sessions


@pytest.mark.parametrize("since", ["yesterday", "2026-13-01", ""])
def test_since_is_a_date(since: str, collector: LiveCollector, tokens: Tokens) -> None:
    assert get(collector, f"/api/usage/{PROJECT}?since={since}", tokens.of[PROJECT]).status == 422


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Basic abc", "bearer\tabc", "Bearer abc def", "Bearer \xff"]
)
@pytest.mark.parametrize("path", [f"/api/usage/{PROJECT}", "/api/auth/projects"])
def test_a_malformed_header_reads_nothing(header: str, path: str, collector: LiveCollector) -> None:
    reply = collector.send(path, b"", {"Authorization": header}, "GET")
    assert reply.status == 401
    assert PROJECT not in reply.body.decode()


def test_a_token_for_one_project_says_nothing_about_others(
    collector: LiveCollector, tokens: Tokens
) -> None:
    """Whether another project exists is nobody's business either."""
    for project in ("no/such", "mgxd/migas-py", "no", "a/../b", "%00/a"):
        assert get(collector, f"/api/usage/{project}", tokens.of[PROJECT]).status == 403


def test_an_administrator_registers_issues_and_revokes(
    collector: LiveCollector, tokens: Tokens
) -> None:
    root = tokens.of[None]

    def ask(query: str, **variables: str) -> Any:
        return collector.graphql(query, token=root, **variables)["data"]

    assert ask(REGISTER, p="new/one")["register_project"] == {
        "success": True,
        "message": "Project is now registered.",
    }
    assert "already" in ask(REGISTER, p="new/one")["register_project"]["message"]
    issued = ask(ISSUE, p="new/one")["issue_token"]
    assert issued["success"] is True
    token = issued["token"]
    assert get(collector, "/api/auth/projects", token).json() == {"projects": ["new/one"]}
    assert ask(REVOKE, t=token)["revoke_token"] is True
    assert ask(REVOKE, t=token)["revoke_token"] is False
    assert get(collector, "/api/auth/projects", token).status == 401


def test_an_administrator_is_told_what_cannot_be(collector: LiveCollector, tokens: Tokens) -> None:
    def ask(query: str, **variables: str) -> Any:
        (answer,) = collector.graphql(query, token=tokens.of[None], **variables)["data"].values()
        return answer

    assert ask(REGISTER, p="no name")["success"] is False
    assert ask(ISSUE, p="no/such") == {
        "token": None,
        "success": False,
        "message": "Project is not registered.",
    }
    assert ask(REVOKE, t="") is ask(REVOKE, t="\0") is False
    assert "no name" not in collector.graphql("{get_projects}")["data"]["get_projects"]


@pytest.mark.parametrize("project", [PROJECT, ""])
def test_without_a_root_token_nothing_is_administered(
    project: str, collector: LiveCollector, tokens: Tokens
) -> None:
    token = tokens.of.get(project)
    root_id = tokens.of[None].split("_")[1]
    for query, variables in (
        (REGISTER, {"p": "new/one"}),
        (ISSUE, {"p": PROJECT}),
        (REVOKE, {"t": root_id}),
    ):
        answer = collector.graphql(query, token=token, **variables)
        assert answer["data"] is None
        assert "token" in answer["errors"][0]["message"].lower() or not token
    assert len(collector.rows("SELECT id FROM tokens WHERE revoked IS NULL")) == 3
    assert len(collector.rows("SELECT idx FROM projects")) == 3


def test_health_is_that_of_the_database(
    collector: LiveCollector, caplog: pytest.LogCaptureFixture
) -> None:
    assert (get(collector, "/healthz").status, get(collector, "/healthz").json()) == (
        200,
        {"database": True},
    )
    collector.execute("ALTER TABLE projects RENAME TO away")
    reply = get(collector, "/healthz")
    assert (reply.status, reply.json()) == (503, {"database": False})
    assert reply.headers["X-Backend-Server"].startswith("migas@")


def test_a_table_that_is_missing_is_no_outage(
    collector: LiveCollector, tokens: Tokens, caplog: pytest.LogCaptureFixture
) -> None:
    collector.execute("ALTER TABLE slices RENAME TO away")
    reply = get(collector, f"/api/usage/{PROJECT}", tokens.of[PROJECT])
    assert (reply.status, reply.body) == (500, b"Internal Server Error")
    assert "Traceback" in caplog.text


def test_while_the_database_is_away_that_is_told_in_a_line(
    live_server: LiveServer,
    databases: Databases,
    postgres: Postgres,
    tokens: Tokens,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with (
        databases.fresh("postgresql") as database,
        live_server.collector(database, prepare=tokens.issue) as collector,
    ):
        name = database.value("SELECT current_database()")
        postgres.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        postgres.execute(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
        )
        try:
            for _ in range(2):  # on a connection that is lost, then on none
                assert collector.rest(wait=True).status == 500
                reply = get(collector, f"/api/usage/{PROJECT}", tokens.of[PROJECT])
                assert (reply.status, reply.headers["X-Backend-Server"][:6]) == (503, "migas@")
                assert get(collector, "/healthz").status == 503
                assert collector.graphql("{get_projects}")["errors"]
        finally:
            postgres.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
            databases.forget(database)
        assert collector.rest(wait=True).status == 200
    told = [record.getMessage() for record in caplog.records if record.name == "migas.collector"]
    assert any(line.startswith("a batch of 1 breadcrumbs was not stored: ") for line in told)
    assert any(line.startswith("GET /api/usage/") for line in told)
    assert "Traceback" not in caplog.text


def test_reading_goes_on_while_the_database_is_busy(
    busy: Callable[[], AbstractContextManager[None]],
    sqlite: Database,
    live_server: LiveServer,
    tokens: Tokens,
) -> None:
    with live_server.collector(sqlite, prepare=tokens.issue) as collector, busy():
        for _ in range(2):
            assert get(collector, f"/api/usage/{PROJECT}", tokens.of[PROJECT]).status == 200
