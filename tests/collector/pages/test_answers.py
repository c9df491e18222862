"""The questions that a maintainer comes with, each answered from the project's page by a click."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
import re
import subprocess
import sys
from contextlib import contextmanager
from html import unescape
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote, urlencode

import pytest

from migas.collector.pages.words import EN_DASH, MINUS, percent, times
from tests.collector.databases import a_session, putting
from tests.collector.live import PROJECT
from tests.collector.pages.conftest import NOON
from tests.collector.pages.site import Site, chart_of, readable, table_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.collector.databases import Databases
    from tests.collector.live import LiveServer

PAGE = f"/p/{PROJECT}"
CROSS = "\N{MULTIPLICATION SIGN}"
YESTERDAY = NOON - dt.timedelta(days=1)
PEOPLE = [f"00000000-0000-4000-8000-{number:012}" for number in range(40)]
BROKEN = {"status": "F", "error_type": "OSError", "error_desc": "[Errno 30] Read-only: <path>"}


def sessions() -> list[dict[str, Any]]:
    """Two versions, two platforms, and an error that apptainer brings about."""
    sent = []
    for number in range(200):
        in_apptainer = number % 4 == 0
        fields: dict[str, Any] = {
            "version": "1.1.0" if number % 2 else "1.0.0",
            "platform": "darwin" if number % 5 == 0 else "linux",
            "container": "apptainer" if in_apptainer else "docker",
            "language_version": "3.11.4" if number % 3 else "3.12.1",
            "is_ci": number % 10 == 0,
            "user_id": PEOPLE[number % 40],
            "duration": (90.0 if number % 2 else 60.0) + number % 7,
        }
        if number % 8 == 0 or number == 1:
            fields |= BROKEN
        elif number % 50 == 7:
            fields |= {"status": "R"}
        sent.append(a_session(YESTERDAY - dt.timedelta(days=number % 3 + 1), **fields))
    return sent


@contextmanager
def site_of(
    live_server: LiveServer, databases: Databases, kind: str, sent: list[dict[str, Any]]
) -> Iterator[Site]:
    """The pages of an open collector with some sessions, at noon of the present day."""
    with (
        databases.fresh(kind) as database,
        live_server.collector(
            database, open_registration=True, prepare=putting(sent), clock=NOON.timestamp
        ) as running,
    ):
        yield Site(running)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def asked(
    request: pytest.FixtureRequest, live_server: LiveServer, databases: Databases
) -> Iterator[Site]:
    """A project of two hundred sessions, open on this machine."""
    with site_of(live_server, databases, request.param, sessions()) as site:
        yield site


def links(html: str) -> list[str]:
    return [unescape(found) for found in re.findall(r'<a [^>]*?href="([^"]*)"', html)]


@pytest.mark.parametrize(
    ("name", "value", "number", "users"),
    [
        ("version", "1.1.0", 100, 20),
        ("platform", "darwin", 40, 8),
        ("container", "apptainer", 50, 10),
        ("language", "python 3.11", 133, 40),
        ("ci", "yes", 20, 4),
        ("ci", "no", 180, 36),
        ("user", "general", 200, 40),
        ("outcome", "failed", 26, 6),
        ("outcome", "running", 4, 4),
    ],
)
def test_a_row_is_a_link_to_the_sessions_that_it_counts(
    asked: Site, name: str, value: str, number: int, users: int
) -> None:
    """And every figure of the page obeys."""
    (link,) = {link for link in links(asked.text(PAGE)) if parse_qs(link[1:]).get(name) == [value]}
    html = asked.text(PAGE + link)
    text = readable(html)
    if name == "outcome":
        said = f"Sessions {number} Sessions of one outcome have no completion rate Users {users} "
        assert f"{said}New users {users} " in text
    else:
        assert f"Sessions {number} Users {users} New users {users} " in text
    chart = chart_of(html)
    assert sum(sum(chart[k]) for k in ("completed", "failed", "suspended", "running")) == number
    for kind in ("platform", "container", "language", "ci"):
        table = html[html.index(f'id="share-{kind}"') :].partition("</table>")[0]
        assert sum(map(int, re.findall(r'<td class="num soft">(\d+)</td>', table))) == number
    failed = chart["failed"]
    assert (sum(failed) > 0) == ("OSError" in text)
    if sum(failed):
        assert f"{sum(failed)} sessions" in text or f"{sum(failed)} session" in text


def test_filters_are_combined_kept_shown_and_removed(asked: Site) -> None:
    query = "?period=90d&version=1.1.0&container=docker"
    html = asked.text(PAGE + query)
    assert "Sessions 100 Users" in readable(html)
    chips = html[html.index('<ul class="chips"') :].partition("</ul>")[0]
    assert readable(chips) == (
        f"version 1.1.0 {CROSS} , remove this filter "
        f"container docker {CROSS} , remove this filter Remove all"
    )
    assert links(chips) == [
        "?period=90d&container=docker",
        "?period=90d&version=1.1.0",
        "?period=90d",
    ]
    kept = [link for link in links(html) if "period=7d" in link]
    assert kept == ["?period=7d&version=1.1.0&container=docker"]
    assert '<input type="hidden" name="version" value="1.1.0">' in html


def test_a_filter_that_nothing_meets_says_how_to_go_on(asked: Site) -> None:
    for query in ("version=9", "ci=maybe", "user=nobody", "outcome=x", "error=zz", "language="):
        text = readable(asked.text(f"{PAGE}?{query}"))
        is_filter = not query.endswith("=")
        assert ("No session with these filters in this period" in text) == is_filter
        assert ("Remove the filters" in text) == is_filter
        outcomes = "There are completed, failed, suspended and running."
        assert (outcomes in text) == (query == "outcome=x")


def test_an_errors_page_says_where_it_happens(asked: Site) -> None:
    (link,) = {link for link in links(asked.text(PAGE)) if "/errors/" in link}
    html = asked.text(link)
    text = readable(html)
    assert "Users hit 6 Sessions 26 Of all sessions 13.0%" in text
    assert (
        "3.8 times as often in apptainer as overall (50.0% of its sessions, 13.0% of all)" in text
    )
    assert "darwin 19.2% 20.0% 0.96" in text
    assert "[Errno 30] Read-only: <path>" in text
    assert text.count("Read-only") == 11  # the newest, and the last ten
    narrowed = readable(asked.text(link + "&container=docker"))
    assert "Users hit 1 Sessions 1 Of all sessions 0.7%" in narrowed
    none = readable(asked.text(link + "&version=7"))
    assert "No session failed with this error and these filters in this period" in none


@pytest.mark.parametrize(
    "name", ["x", "0" * 17, "G" * 16, "f" * 16, "%3Cscript%3E", "-000000000000001"]
)
def test_what_is_no_errors_name_is_not_found(asked: Site, name: str) -> None:
    assert asked.get(f"{PAGE}/errors/{name}").status == 404


def test_the_files_of_an_errors_page_have_what_it_shows(asked: Site) -> None:
    (path,) = {link for link in links(asked.text(PAGE)) if "/errors/" in link}
    html = asked.text(path)
    files = {link for link in links(html) if ".json" in link and "sessions.json" not in link}
    (file,) = files  # the same for each of its tables
    rows = json.loads(asked.get(file).body)
    written = asked.get(file.replace(".json", ".csv")).body.decode()
    assert [row["value"] for row in csv.DictReader(io.StringIO(written))] == [
        row["value"] for row in rows
    ]
    for kind in ("version", "platform", "container", "language", "ci"):
        table = html[html.index(f'id="by-{kind}"') :].partition("</table>")[0]
        cells = [
            [readable(cell) for cell in re.findall(r"<t[hd].*?</t[hd]>", row)]
            for row in re.findall(r"<tr>(.*?)</tr>", table, re.DOTALL)[1:]
        ]
        labels = {"yes": "CI", "no": "not CI"}
        assert cells == [
            [
                labels.get(row["value"], row["value"]),
                percent(row["failed"], 26),
                percent(row["sessions"], 200),
                times(row["times"]),
            ]
            for row in rows
            if row["kind"] == kind
        ]
    found = {(row["kind"], row["value"]): row for row in rows}
    apptainer = found["container", "apptainer"]
    assert (apptainer["share"], apptainer["share_of_all"]) == (96.15, 25.0)
    assert (apptainer["times"], apptainer["difference"]) == (3.846, "more")
    assert found["container", "docker"]["difference"] == "less"
    assert called(asked, "where") == []


def test_an_error_that_no_session_has_is_an_empty_page(asked: Site) -> None:
    text = readable(asked.text(f"{PAGE}/errors/{'0' * 16}"))
    assert "No session failed with this error in this period" in text


def test_an_errors_page_asks_for_a_token(site: Site) -> None:
    path = f"{PAGE}/errors/{'0' * 16}?period=90d&language=python+3.11"
    reply = site.get(path)
    assert reply.status == 303
    assert reply.headers["Location"] == f"/sign-in?{urlencode({'next': path})}"
    assert site.get(path, site.cookie("nipreps/nipreps")).status == 404
    assert site.get(path, site.cookie(PROJECT)).status == 200


HOSTILE = [
    "<script>alert(1)</script>",
    "'\"><img src=x>",
    "%",
    "_",
    "\0",
    "\ud800",
    "a" * 5000,
]


@pytest.mark.parametrize("value", HOSTILE)
def test_whatever_a_filter_says_appears_as_text(asked: Site, value: str) -> None:
    sent = quote(value, errors="surrogatepass")
    for name in ("version", "platform", "container", "language", "ci", "user", "outcome", "error"):
        for path in (PAGE, f"{PAGE}/errors/{'0' * 16}", f"{PAGE}/compare", f"{PAGE}/users"):
            html = asked.text(f"{path}?{name}={sent}")
            assert "<script>alert" not in html
            assert "<img src=x" not in html


def test_a_rate_in_a_file_is_what_its_own_columns_say(
    live_server: LiveServer, databases: Databases
) -> None:
    """Also of today, which is no part of it while there are other days."""
    sent = [
        *(a_session(YESTERDAY, **({"status": "F"} if number < 3 else {})) for number in range(10)),
        *(a_session(NOON - dt.timedelta(hours=1)) for _ in range(5)),
    ]
    with site_of(live_server, databases, "sqlite", sent) as site:
        versions = called(site, "versions")
        (week,) = called(site, "sessions?by=week&since=2026-11-16")
        today = called(site, "sessions?since=2026-11-20")
        one_outcome = [
            *called(site, "versions?outcome=completed"),
            *called(site, "sessions?since=2026-11-19&outcome=failed"),
        ]
        programs = readable(site.text(f"{PAGE}/api"))
    for row in (*versions, week):
        numbers = ("sessions", "completed", "rated", "rated_completed", "completion_rate")
        assert [row[name] for name in numbers] == [15, 12, 10, 7, 70]
    # Of sessions that all ended in one way the page shows no rate either.
    assert [row["sessions"] for row in one_outcome] == [12, 3, 0]
    assert {(row["rated"], row["completion_rate"]) for row in one_outcome} == {(0, None)}
    # Where there is only today, it is what there is: the page shows that rate, too.
    assert [(day["rated"], day["completion_rate"]) for day in today] == [(5, 100)]
    assert "completion_rate is rated_completed in percent of them" in programs
    assert "without that filter there is no row" in programs


def test_periods_beside_each_other_are_a_file(
    live_server: LiveServer, databases: Databases
) -> None:
    """With what the page's table says, of which the dates are those of the questions."""
    sent = [
        a_session(
            NOON - dt.timedelta(days=days),
            status="F" if n < failed else "C",
            user_id=PEOPLE[n % users],
            duration=float(seconds),
        )
        for days, failed, users, seconds in ((2, 1, 3, 60), (12, 30, 2, 120))
        for n in range(60)
    ]
    sent.append(a_session(NOON - dt.timedelta(hours=1), duration=9000.0))
    with site_of(live_server, databases, "sqlite", sent) as site:
        now, before, year_ago = called(site, "periods?since=2026-11-11")
        page = readable(site.text(f"{PAGE}?from=2026-11-11&to=2026-11-20"))
        links_of = links(site.text(f"{PAGE}?from=2026-11-11&to=2026-11-20"))
        of_today = called(site, "periods?since=2026-11-20")
        of_a_year = called(site, "periods?since=2025-11-21")
        failed = called(site, "periods?since=2026-11-11&outcome=failed")
        beside = readable(site.text(f"{PAGE}/periods?from=2026-11-11&to=2026-11-20"))
        alone = readable(site.text(f"{PAGE}/periods?from=2026-11-20"))
        of_failed = readable(site.text(f"{PAGE}/periods?from=2026-11-11&outcome=failed"))
        neither = readable(site.text(f"{PAGE}/periods?from=2026-11-11&version=9"))
    assert (now["period"], now["since"], now["until"]) == ("now", "2026-11-11", "2026-11-19")
    assert (before["since"], before["until"]) == ("2026-11-01", "2026-11-09")
    assert (year_ago["since"], year_ago["until"]) == ("2025-11-12", "2025-11-20")
    numbers = ("sessions", "failed", "rated", "completion_rate", "change")
    assert [now[name] for name in numbers] == [60, 1, 60, 98.33, ""]
    assert [before[name] for name in numbers] == [60, 30, 60, 50, "more"]
    assert [year_ago[name] for name in numbers] == [0, 0, 0, None, ""]
    assert "98.3%" in page
    assert "50.0%" in page
    assert any("/periods.csv?" in link for link in links_of)
    assert any("/periods?" in link for link in links_of)
    assert [now[name] for name in ("users", "new_users", "margin", "runs")] == [3, 1, 0, 59]
    assert [before[name] for name in ("users", "new_users", "runs")] == [2, 2, 30]
    assert now["median"] == pytest.approx(60, rel=0.02)
    assert before["median"] == pytest.approx(120, rel=0.02)
    assert year_ago["median"] is None
    assert [row["duration_change"] for row in (now, before, year_ago)] == ["", "faster", ""]
    assert "Sessions 60 60 the same 0 Completed" in beside
    assert f"98.3% 50.0% more complete now {EN_DASH} 95% interval" in beside
    assert "Users 3 2 now +50% 0 New users 1 2 now -50% 0 Half".replace("-", MINUS) in beside
    assert f" faster now {EN_DASH} Nine of ten" in beside
    assert "The first session of this project that is known was on" in beside
    assert "Today is not over: it is left out" in beside
    assert "Today is not over: it is left out" in page
    assert [row["sessions"] for row in of_today] == [1]
    assert [row["period"] for row in of_a_year] == ["now", "before"]
    assert "Sessions 1 30" in of_failed
    assert "Completed, of those" not in of_failed
    assert "Half of the runs" not in of_failed
    assert "Today is not over: nothing can be set beside it yet." in alone
    assert "complete now" not in alone
    assert "No session with these filters in any of these periods" in neither
    assert [(row["sessions"], row["completion_rate"], row["change"]) for row in failed] == [
        (1, None, ""),
        (30, None, ""),
        (0, None, ""),
    ]


def test_runs_that_were_never_heard_of_again_are_a_file(
    live_server: LiveServer, databases: Databases
) -> None:
    silent = [
        a_session(NOON - dt.timedelta(days=days), status="R", version=f"1.{days}")
        for days in range(2, 14)
    ]
    sent = [*silent, a_session(NOON - dt.timedelta(hours=1), status="R")]
    with site_of(live_server, databases, "sqlite", sent) as site:
        rows = called(site, "lost")
        (filtered,) = called(site, "lost?version=1.5")
        (file,) = {link for link in links(site.text(PAGE)) if "/lost.json?" in link}
        assert json.loads(site.text(file)) == rows  # times are written as by HTTP
        table = csv.DictReader(io.StringIO(site.text(file.replace(".json", ".csv"))))
        assert list(table) == rows
        assert called(site, "lost?outcome=failed") == []
    # All of them, where the page has the latest.
    assert [row["version"] for row in rows] == [f"1.{days}" for days in range(2, 14)]
    assert filtered["began"] == filtered["seen"] == "2026-11-15T12:00:00Z"


@pytest.mark.parametrize("query", ["period=7d&version=1.1.0", "period=7d&ci=no"])
def test_each_table_is_a_file_by_a_link_with_the_same_filters(asked: Site, query: str) -> None:
    html = asked.text(f"{PAGE}?{query}")
    files = dict.fromkeys(link for link in links(html) if ".csv?" in link or ".json?" in link)
    assert [link.partition("?") for link in files] == [
        (f"{PAGE}/{name}.{form}", "?", query)
        for name in (
            "sessions",
            "versions",
            *(["adoption"] if "version" not in query else []),
            "durations",
            "version-durations",
            "errors",
            "environments",
            "lost",
        )
        for form in ("csv", "json")
    ]
    for link in files:
        reply = asked.get(link)
        name = link.partition("?")[0].rpartition("/")[2]
        assert reply.headers["Content-Disposition"] == f'attachment; filename="migas-py-{name}"'
        assert reply.headers["X-Content-Type-Options"] == "nosniff"
        if name.endswith(".csv"):
            head, *rows = list(csv.DictReader(io.StringIO(reply.body.decode())))[:2]
            assert head
            if name == "versions.csv" and "version" in query:
                assert (head["version"], head["sessions"], rows) == ("1.1.0", "100", [])
                assert (head["completion_rate"], head["rated"]) == ("98.96", "96")
        else:
            assert json.loads(reply.body)


@pytest.mark.parametrize("name", ["nothing.csv", "users.xml", "versions", "users.csv.json"])
def test_there_are_no_other_files(asked: Site, name: str) -> None:
    assert asked.get(f"{PAGE}/{name}").status == 404


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("from=abc", "Those are not two dates"),
        ("from=2026-11-20&to=2026-11-01", "end before it begins"),
        ("period=2y", "There is no such period"),
        ("by=year", "A bar is one of these"),
        ("outcome=crashed", "completed, failed, suspended, running"),
        ("contaner=docker", "container"),
    ],
)
def test_a_file_of_something_else_than_is_asked_for_is_refused(
    asked: Site, query: str, words: str
) -> None:
    for form in ("csv", "json"):
        reply = asked.get(f"{PAGE}/sessions.{form}?{query}")
        assert reply.status == 422
        assert words in readable(reply.body.decode())


def test_a_file_until_a_day_is_what_programs_get(asked: Site) -> None:
    until = (NOON - dt.timedelta(days=1)).date()
    reply = asked.get(f"{PAGE}/sessions.json?to={until}&container=docker&by=week")
    assert json.loads(reply.body) == called(
        asked, f"sessions?until={until}&container=docker&by=week"
    )


def test_what_has_ended_of_today_is_a_rate_where_there_is_nothing_else(
    live_server: LiveServer, databases: Databases, kind: str
) -> None:
    sent = [a_session(NOON, status=status) for status in "CCFR"]
    with site_of(live_server, databases, kind, sent) as site:
        for query in (f"from={NOON.date()}&to={NOON.date()}", "period=30d", "period=30d&by=week"):
            text = readable(site.text(f"{PAGE}?{query}"))
            assert "2 of 3 sessions that ended today " in text
            assert "the rate is of what has ended so far" in text
            assert "no rate counts today" not in text
    sent.append(a_session(YESTERDAY))
    with site_of(live_server, databases, kind, sent) as site:
        text = readable(site.text(f"{PAGE}?period=30d"))
        assert "1 of 1 session that ended, without today " in text
        assert "no rate counts today" in text


def test_a_file_asks_for_a_token(site: Site) -> None:
    path = f"{PAGE}/versions.csv"
    assert site.get(path).status == 303
    assert site.get(path, site.cookie("nipreps/nipreps")).status == 404
    assert site.get(path, site.cookie(PROJECT)).body.startswith(b'"version","sessions"')


API = f"/api/v1/projects/{PROJECT}"


def called(asked: Site, path: str, token: str | None = None) -> Any:
    token = token or asked.token(PROJECT)
    reply = asked.get(f"{API}/{path}", Authorization=f"Bearer {token}")
    assert reply.status == 200, reply
    return json.loads(reply.body)


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


def test_what_fails_in_two_versions_is_a_file(asked: Site) -> None:
    html = asked.text(f"{PAGE}/compare?first=1.1.0&second=1.0.0&container=docker")
    (link,) = {link for link in links(html) if "/differences.json?" in link}
    (row,) = json.loads(asked.text(link))
    named = "differences?first=1.1.0&second=1.0.0"
    assert called(asked, f"{named}&container=docker") == [row]
    (both,) = called(asked, named)
    assert (both["where"], both["error_type"], both["change"]) == ("both", "OSError", "less")
    assert (both["first_sessions"], both["first_share"]) == (1, 1.0)
    assert (both["second_sessions"], both["second_share"]) == (25, 25.0)
    for other in ("", "?first=1.1.0", "?first=1.0.0&second=1.0.0", "?first=%00&second=%ED%A0%80"):
        assert called(asked, f"differences{other}") == []
    assert called(asked, "differences?first=9&second=8") == []


def test_a_slower_release_is_told(asked: Site) -> None:
    said = readable(asked.text(PAGE))
    assert "1.1.0 is slower than 1.0.0" in said
    assert "half of its runs are over within 1 min 33 s, against 1 min 3 s" in said
    filtered = readable(asked.text(f"{PAGE}?container=docker&ci=no"))
    assert "1.1.0 is slower than 1.0.0" in filtered
    failed = asked.text(f"{PAGE}?outcome=failed")
    assert "told of runs that completed, and none of these did" in readable(failed)
    assert "?period=30d&outcome=completed" in links(failed)
    (week,) = [row for row in called(asked, "durations?by=week&platform=linux") if row["runs"]]
    newer, older = called(asked, "version-durations?platform=linux")
    assert (newer["version"], newer["change"], newer["before"]) == ("1.1.0", "slower", "1.0.0")
    assert (older["change"], older["before"]) == ("", None)
    assert week["runs"] == newer["runs"] + older["runs"] > 100
    assert older["median"] == pytest.approx(63, rel=0.03)
    assert newer["p90"] == pytest.approx(96, rel=0.03)


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


def test_what_a_spreadsheet_would_run_is_defused(open_site: Site) -> None:
    proc = {"status": "F", "error_type": "=cmd()", "error_desc": "@SUM(1)"}
    context = {"session_id": PEOPLE[1]}
    assert open_site.collector.rest(wait=True, ctx=context, proc=proc).status == 200
    table = open_site.text(f"{PAGE}/errors.csv")
    assert '"\'=cmd()"' in table
    assert '"\'@SUM(1)"' in table


def test_users_are_told_over_time_and_by_what_they_run_it_on(asked: Site) -> None:
    (link,) = {link for link in links(asked.text(PAGE)) if re.match(f"{PAGE}/users[?][^#]*$", link)}
    text = readable(asked.text(link))
    assert "Users 40 New users 40 Sessions of each, on average 5.0" in text
    assert "18 Nov 2026 40 " in text
    assert "python 3.11 40 100%" in text
    assert "darwin 8 20.0%" in text
    narrowed = readable(asked.text(f"{PAGE}/users?by=month&version=1.0.0"))
    assert "Nov 2026 not over 20 20 0 5.0" in narrowed
    # As the project's page says of the same sessions.
    assert "Users 20 New users 20 Sessions" in narrowed
    assert "Users 20 New users 20 " in readable(asked.text(f"{PAGE}?version=1.0.0"))
    assert "No user with these filters" in readable(asked.text(f"{PAGE}/users?version=7"))


def test_a_period_is_compared_with_the_one_before_and_with_a_year_ago(
    live_server: LiveServer, databases: Databases, kind: str
) -> None:
    ages = {"now": 1, "before": 8, "a year ago": 1 + 364}
    failing = {"now": 30, "before": 5, "a year ago": 29}
    sent = [
        a_session(NOON - dt.timedelta(days=age), status="CF"[number < failing[name]])
        for name, age in ages.items()
        for number in range(100)
    ]
    with site_of(live_server, databases, kind, sent) as site:
        for only in ("", "&platform=linux"):
            html = site.text(f"{PAGE}?period=7d{only}")
            table = html[html.index('id="compared"') :].partition("</table>")[0]
            assert re.findall(r"(\d+) (\d\d\.\d%) \S+(?: (fewer|within))?", readable(table)) == [
                ("100", "70.0%", ""),
                ("100", "95.0%", "fewer"),
                ("100", "71.0%", "within"),
            ]
            named = re.findall(
                r"(the 6 days before|a year \(52 weeks\) before) 100", readable(table)
            )
            assert named == ["the 6 days before", "a year (52 weeks) before"]


def test_two_versions_stand_side_by_side(
    live_server: LiveServer, databases: Databases, kind: str
) -> None:
    def failing(version: str, **errors: int) -> list[dict[str, Any]]:
        names = [name for name, number in errors.items() for _ in range(number)]
        return [
            a_session(
                YESTERDAY,
                version=version,
                container="docker" if n % 2 else "apptainer",
                **({"status": "F", "error_type": names[n]} if n < len(names) else {}),
            )
            for n in range(100)
        ]

    sent = [
        *failing("1.0.0", OldError=20, CommonError=10),
        *failing("1.1.0", NewError=30, CommonError=12, RareError=1),
        *failing("0.9.0", AncientError=40),
        *failing("0.8.0")[:5],
    ]
    with site_of(live_server, databases, kind, sent) as site:
        (link,) = {link for link in links(site.text(PAGE)) if "/compare?" in link}
        page = site.text(link)
        text = readable(page)
        chosen = site.text(f"{PAGE}/compare?first=0.9.0&second=1.1.0&container=docker")
        unknown = readable(site.text(f"{PAGE}/compare?first=7&second=1.0.0"))
        oldest = readable(site.text(f"{PAGE}/compare?first=0.9.0"))
        nothing = readable(site.text(f"{PAGE}/compare?platform=none"))
    assert "1.1.0 beside 1.0.0" in text
    said = "1.1.0 completes 57.0% of the 100 runs that ended, and 1.0.0 70.0% of 100"
    assert f"{said}: a difference that chance may explain." in text
    told = r"NewError more than chance 30 \(30\.0%\) RareError may be chance 1 "
    errors = {to.partition("version=")[2] for to in links(page) if "/errors/" in to}
    assert errors == {"", "1.0.0", "1.1.0"}  # those of both have none
    alone = rf"Fails in 1\.1\.0 only .* {told}"
    assert re.search(alone, text)
    assert re.search(r"Fails in 1\.0\.0 only .* OldError more than chance 20 \(20\.0%\)", text)
    assert re.search(r"Fails in both .* CommonError 12 \(12\.0%\) 10 \(10\.0%\)", text)
    assert "AncientError" not in text
    assert "AncientError more than chance 20 (40.0%)" in readable(chosen)
    # What was chosen is kept where other dates or filters are asked for.
    kept = "period=7d&container=docker&first=0.9.0&second=1.1.0"
    assert f"?{kept}" in links(chosen)
    assert '<input type="hidden" name="container" value="docker">' in chosen
    assert "1.1.0 beside 1.0.0" in unknown
    assert "0.9.0 beside 1.1.0" in oldest  # of 0.8.0 there are too few sessions
    assert "There are no two versions with these filters in this period" in nothing


def test_a_filter_by_version_is_none_of_two_versions_and_is_kept(asked: Site) -> None:
    (link,) = {
        link for link in links(asked.text(f"{PAGE}?version=1.0.0&ci=no")) if "/compare" in link
    }
    html = asked.text(link)
    text = readable(html)
    assert "1.0.0 beside 1.1.0" in text  # the version that was looked at comes first
    assert "The filter version 1.0.0 leaves nothing out on this page" in text
    chips = html[html.index('<ul class="chips"') :].partition("</ul>")[0]
    assert readable(chips) == f"CI not CI {CROSS} , remove this filter"
    # Whoever changes something here, or goes elsewhere, still has the filter.
    kept = "version=1.0.0&ci=no"
    for path in ("", "/compare", "/users"):
        assert f"{PAGE}{path}?period=30d&{kept}" in links(html)
    assert "?period=7d&ci=no&version=1.0.0&first=1.0.0&second=1.1.0" in links(html)
    assert html.count('<input type="hidden" name="version" value="1.0.0">') == 2
    chosen = readable(asked.text(f"{PAGE}/compare?version=1.0.0&first=1.1.0"))
    assert "1.1.0 beside 1.0.0" in chosen
    assert "leaves nothing out" not in readable(asked.text(f"{PAGE}/compare?ci=no"))


@pytest.mark.parametrize("value", HOSTILE)
def test_no_versions_name_does_anything_else(asked: Site, value: str) -> None:
    sent = quote(value, errors="surrogatepass")
    html = asked.text(f"{PAGE}/compare?first={sent}&second={sent}")
    assert "1.1.0 beside 1.0.0" in readable(html)
    assert "<script>alert" not in html


@pytest.mark.parametrize("page", ["compare", "api"])
def test_the_other_pages_ask_for_a_token(site: Site, page: str) -> None:
    path = f"{PAGE}/{page}?period=90d"
    reply = site.get(path)
    assert reply.status == 303
    assert reply.headers["Location"] == f"/sign-in?{urlencode({'next': path})}"
    assert site.get(path, site.cookie("nipreps/nipreps")).status == 404
    assert site.get(path, site.cookie(PROJECT)).status == 200


def test_adoption_is_the_share_of_sessions_that_each_version_has(asked: Site) -> None:
    columns = table_of(asked.text(f"{PAGE}?from=2026-11-14&ci=no"), "adoption-table")
    assert list(columns) == ["Day", "1.1.0", "1.0.0"]
    assert columns["Day"][2:] == [
        *(f"{day} Nov 2026" for day in range(16, 20)),
        "20 Nov 2026 not over",
    ]
    shares = [float(text.rstrip("%")) for name in ("1.1.0", "1.0.0") for text in columns[name][2:5]]
    assert [one + other for one, other in zip(shares[:3], shares[3:], strict=True)] == [100] * 3
    rows = called(asked, "adoption?since=2026-11-01&by=month&ci=no")
    assert [(row["version"], row["sessions"], row["share"]) for row in rows] == [
        ("1.1.0", 100, 55.56),
        ("1.0.0", 80, 44.44),
    ]
    assert rows[0]["unfinished"] is True


def test_a_week_is_named_as_iso_8601_has_it(asked: Site) -> None:
    html = asked.text(f"{PAGE}?from=2024-12-20&to=2027-01-10&by=week")
    weeks = table_of(html, "sessions-table")["Week of"]
    assert weeks[:3] == [
        "16 Dec 2024 (2024-W51)",
        "23 Dec 2024 (2024-W52)",
        "30 Dec 2024 (2025-W01)",
    ]
    assert weeks[-1] == "16 Nov 2026 (2026-W47) not over"
    months = table_of(asked.text(f"{PAGE}/users?from=2026-09-15&by=month"), "users-table")[
        "Month of"
    ]
    assert months == ["Sep 2026", "Oct 2026", "Nov 2026 not over"]


@pytest.mark.parametrize(("outcome", "number"), [("failed", 6), ("running", 4), ("completed", 35)])
def test_the_page_of_users_is_narrowed_to_an_outcome(
    asked: Site, outcome: str, number: int
) -> None:
    """The very users that the project's page has of these sessions."""
    offered = links(asked.text(f"{PAGE}/users?platform=linux"))
    assert f"?period=30d&platform=linux&outcome={outcome}" in offered
    html = asked.text(f"{PAGE}/users?outcome={outcome}")
    text = readable(html)
    assert f"Users {number} New users {number} Sessions of each" in text
    assert f"Users {number} New users" in readable(asked.text(f"{PAGE}?outcome={outcome}"))
    assert "remove this filter" in text
    assert "Only users of sessions that" not in text


def test_the_page_of_users_is_narrowed_to_a_version(asked: Site) -> None:
    """By a row of a table that counts sessions and says so, also beside other filters."""
    html = asked.text(f"{PAGE}/users?platform=linux")
    assert "Version Share as a bar Sessions Share 1.0.0 80 50.0% 1.1.0 80 50.0%" in readable(html)
    assert "These are sessions" in readable(html)
    (link,) = {link for link in links(html) if "version=1.1.0" in link}
    assert link == "?period=30d&version=1.1.0&platform=linux"
    narrowed = asked.text(f"{PAGE}/users{link}")
    text = readable(narrowed)
    assert f"version 1.1.0 {CROSS} , remove this filter" in text
    assert "?period=30d&platform=linux" in links(narrowed)
    assert "Share as a bar Sessions Share 1.1.0 80 100% These" in text
    assert "Users 16 New users 16 Sessions of each, on average 5.0" in text


def test_sessions_without_a_user_count_for_their_version(open_site: Site) -> None:
    """And strangers, who name their versions, do not decide how long the table is."""
    open_site.collector.rest(wait=True, project_version="9.0", ctx={"user_id": PEOPLE[0]})
    for number in range(17):
        session = {"session_id": PEOPLE[number]}
        open_site.collector.rest(wait=True, project_version=f"1.{number % 16}", ctx=session)
    text = readable(open_site.text(f"{PAGE}/users"))
    assert "Users 1 " in text
    assert "Sessions Share 1.0 2 11.1%" in text
    assert "2 others 2 11.1% These" in text


def test_a_report_has_users_by_month_in_two_clicks(asked: Site) -> None:
    html = asked.text(f"{PAGE}/users?platform=linux")
    (link,) = {link for link in links(html) if "by=month" in link and "from=" in link}
    assert link == "?from=2025-12-01&by=month&platform=linux"
    columns = table_of(asked.text(f"{PAGE}/users{link}"), "users-table")
    assert len(columns["Month of"]) == 12
    assert (columns["Users"][-1], columns["New"][-1], columns["Returning"][-1]) == ("32", "32", "0")


SHOWN = ("linux", "docker", "python 3.10", "python 3.13", "general")


def test_what_users_run_it_on_grows_or_shrinks(
    live_server: LiveServer, databases: Databases, kind: str
) -> None:
    sent = [
        a_session(
            NOON - dt.timedelta(days=days),
            user_id=PEOPLE[n],
            language_version="3.13.1" if n < new else "3.10.1",
            platform="linux" if n < 20 else "darwin",
            container="docker" if n < some else "apptainer",
        )
        for days, new, some in ((10, 5, 12), (2, 35, 22))
        for n in range(40)
    ]
    with site_of(live_server, databases, kind, sent) as site:
        text = readable(site.text(f"{PAGE}/users?from=2026-11-09"))
        rows = called(site, "environments?since=2026-11-09")
    assert "python 3.13 35 87.5% 12.5% 87.5% grows" in text
    assert "python 3.10 35 87.5% 87.5% 12.5% shrinks" in text
    assert "linux 20 50.0% 50.0% 50.0% steady" in text
    # Of so many values, one in twenty changes by as much.
    assert "docker 22 55.0% 30.0% 55.0% steady" in text
    assert [(row["kind"], *list(row.values())[3:]) for row in rows if row["value"] in SHOWN] == [
        ("platform", 20, 0, 20, 20, ""),
        ("container", 22, 0, 12, 22, ""),
        ("language", 35, 0, 35, 5, "shrinks"),
        ("language", 35, 0, 5, 35, "grows"),
        ("user", 40, 0, None, None, ""),
    ]


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
