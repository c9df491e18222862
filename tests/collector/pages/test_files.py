"""The files of tables: the same figures as on the page from which a link leads to them."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
import re
from typing import TYPE_CHECKING

import pytest

from migas.collector.pages.words import EN_DASH, MINUS, percent, times
from tests.collector.databases import a_session
from tests.collector.live import PROJECT
from tests.collector.pages.site import Site, readable
from tests.collector.pages.two_hundred import (
    NOON,
    PAGE,
    PEOPLE,
    YESTERDAY,
    called,
    links,
    site_of,
)

if TYPE_CHECKING:
    from tests.collector.databases import Databases
    from tests.collector.live import LiveServer


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


def test_what_a_spreadsheet_would_run_is_defused(open_site: Site) -> None:
    proc = {"status": "F", "error_type": "=cmd()", "error_desc": "@SUM(1)"}
    context = {"session_id": PEOPLE[1]}
    assert open_site.collector.rest(wait=True, ctx=context, proc=proc).status == 200
    table = open_site.text(f"{PAGE}/errors.csv")
    assert '"\'=cmd()"' in table
    assert '"\'@SUM(1)"' in table
