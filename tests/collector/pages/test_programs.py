"""The tables of a project as programs read them, with a token."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from html import unescape
from typing import TYPE_CHECKING

import pytest

from tests.collector.databases import a_session
from tests.collector.live import PROJECT
from tests.collector.pages.site import Site, readable
from tests.collector.pages.two_hundred import (
    API,
    BROKEN,
    PAGE,
    YESTERDAY,
    called,
    site_of,
)

if TYPE_CHECKING:
    from tests.collector.databases import Databases
    from tests.collector.live import LiveServer


@pytest.mark.parametrize(
    ("query", "said"),
    [("versoin=1", "'versoin'"), ("outcome=x", "'running'"), ("ci=maybe", "'no'")],
)
def test_a_filter_that_nothing_has_is_refused_to_programs(
    query: str, said: str, asked: Site
) -> None:
    reply = asked.get(f"{API}/versions?{query}", Authorization=f"Bearer {asked.token(PROJECT)}")
    assert reply.status == 422
    assert said in reply.body.decode()


def test_what_describes_the_tables_says_that_a_token_opens_them(asked: Site) -> None:
    described = json.loads(asked.get("/openapi.json").body)
    (scheme,) = described["components"]["securitySchemes"].values()
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")
    table = described["paths"]["/api/v1/projects/{owner}/{repo}/versions"]["get"]
    assert list(table["security"][0]) == list(described["components"]["securitySchemes"])


def test_programs_read_the_same_tables_with_a_token(asked: Site) -> None:
    token = asked.token(PROJECT)
    (one, other) = called(asked, "versions", token)
    assert (one["version"], other["version"], one["sessions"]) == ("1.1.0", "1.0.0", 100)
    assert one["rate_low"] < one["completion_rate"] < one["rate_high"]
    days = called(asked, "sessions?since=2026-11-10", token)
    assert [day["start"] for day in days] == [f"2026-11-{day}" for day in range(10, 21)]
    assert [day["sessions"] for day in days][-5:] == [66, 67, 67, 0, 0]
    assert [day["unfinished"] for day in days] == [False] * 10 + [True]
    (error,) = called(asked, "errors?container=apptainer", token)
    assert (error["error_type"], error["sessions"], error["users"]) == ("OSError", 25, 5)
    assert (error["first"], error["message"]) == ("2026-11-16", BROKEN["error_desc"])


def test_where_pages_are_open_to_this_machine_so_are_their_tables(asked: Site) -> None:
    assert len(json.loads(asked.get(f"{API}/versions").body)) == 2
    assert asked.get(f"{API}/versions", X_Forwarded_For="192.0.2.1").status == 401
    assert asked.get(f"{API}/versions", Host="example.org").status == 401
    assert asked.get(f"{API}/versions", Authorization="Bearer wrong").status == 401
    assert "a request from it needs none" in readable(asked.text(f"{PAGE}/api"))


def test_what_sessions_ran_on_is_a_table_with_users(asked: Site) -> None:
    rows = called(asked, "environments?container=apptainer")
    found = {(row["kind"], row["value"]): (row["sessions"], row["users"]) for row in rows}
    assert found["container", "apptainer"] == (50, 10)
    assert found["platform", "darwin"] == (10, 2)
    assert {row["users_before"] for row in rows} == {0}


def test_of_what_sessions_ran_on_the_most_frequent_comes_first_and_then_the_first_by_name(
    live_server: LiveServer, databases: Databases, kind: str
) -> None:
    sent = [
        a_session(YESTERDAY, platform=platform, container=container, is_ci=is_ci)
        for platform, container, is_ci in (
            ("linux", "docker", False),
            ("darwin", "apptainer", True),
            ("linux2", "apptainer", False),
            ("linux2", "unknown", True),
        )
    ]
    with site_of(live_server, databases, kind, sent) as site:
        rows = called(site, "environments")
    shown: dict[str, list[tuple[str, int]]] = {}
    for row in rows:
        shown.setdefault(row["kind"], []).append((row["value"], row["sessions"]))
    assert {name: shown[name] for name in ("platform", "container", "ci")} == {
        "platform": [("linux2", 2), ("darwin", 1), ("linux", 1)],
        "container": [("apptainer", 2), ("docker", 1), ("unknown", 1)],
        "ci": [("no", 2), ("yes", 2)],
    }


@pytest.mark.parametrize("by", ["day", "week", "month"])
@pytest.mark.parametrize("only", ["", "&ci=no"])
def test_users_are_counted_once_in_each_day_week_or_month(asked: Site, by: str, only: str) -> None:
    rows = called(asked, f"users?since=2026-09-01&by={by}{only}")
    seen = {row["start"]: row for row in rows if row["users"]}
    known = 36 if only else 40
    if by == "day":
        assert list(seen) == ["2026-11-16", "2026-11-17", "2026-11-18"]
        assert sum(row["sessions"] for row in seen.values()) == (180 if only else 200)
    else:
        (row,) = seen.values()
        assert (row["users"], row["new"], row["returning"]) == (known, known, 0)
        assert row["start"] == ("2026-11-16" if by == "week" else "2026-11-01")
    assert sum(row["new"] for row in rows) == known


def test_the_interface_is_closed_without_the_right_token(site: Site) -> None:
    for table in (
        "sessions",
        "versions",
        "adoption",
        "errors",
        "users",
        "environments",
        "durations",
        "version-durations",
        "where",
        "differences",
        "periods",
        "lost",
    ):
        assert site.get(f"{API}/{table}").status == 401
        for token, status in (("wrong", 401), (site.token("nipreps/nipreps"), 403)):
            reply = site.get(f"{API}/{table}", Authorization=f"Bearer {token}")
            assert reply.status == status
    token = site.token(None)
    unknown = "/api/v1/projects/nobody/nothing/users"
    assert site.get(unknown, Authorization=f"Bearer {token}").status == 404
    for query in ("by=year", "since=x", "since=2026-03-01&until=2026-01-01", "since=0001-01-01"):
        reply = site.get(f"{API}/users?{query}", Authorization=f"Bearer {token}")
        assert reply.status == 422
    assert called(site, "versions", token) == called(site, "errors", token) == []
    assert len(called(site, "users", token)) == 30


def test_the_interface_is_described(site: Site) -> None:
    paths = json.loads(site.get("/openapi.json").body)["paths"]
    described = paths["/api/v1/projects/{owner}/{repo}/versions"]["get"]
    names = {parameter["name"] for parameter in described["parameters"]}
    assert names >= {"since", "until", "by", "version", "language", "error"}


@pytest.mark.parametrize("is_signed_in", [True, False])
def test_a_table_comes_into_pandas_in_three_lines(asked: Site, is_signed_in: bool) -> None:
    """The example that the page for programs and the interface's description show."""
    page = asked.text(f"{PAGE}/api", asked.cookie(PROJECT) if is_signed_in else None)
    (example,) = re.findall(r'"An example in Python"><code>(.*?)</code>', page, re.DOTALL)
    example = unescape(example)
    assert example.isascii()
    assert len(example.strip().splitlines()) == 3
    # A machine that everything is open to needs no token, and a made-up one would be refused.
    assert ("YOUR_TOKEN" in example) == ("Authorization" in example) == is_signed_in
    if is_signed_in:
        described: str = json.loads(asked.get("/openapi.json").body)["info"]["description"]
        anywhere = example.replace(asked.url, "https://the-address-of-this-server")
        assert anywhere.replace(PROJECT, "owner/repo") in described
    pytest.importorskip("pandas")
    script = example.replace("YOUR_TOKEN", asked.token(PROJECT))
    script += "print(sessions['sessions'].sum(), list(sessions)[:2])"
    ran = subprocess.run(
        [sys.executable, "-c", script], check=False, capture_output=True, text=True, timeout=90
    )
    assert ran.stdout.strip() == "200 ['start', 'sessions']", ran.stderr
