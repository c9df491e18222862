"""The questions that a maintainer comes with, each answered from the project's page by a click."""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote, urlencode

import pytest

from tests.collector.databases import a_session
from tests.collector.live import PROJECT
from tests.collector.pages.site import Site, chart_of, readable, table_of
from tests.collector.pages.two_hundred import (
    CROSS,
    HOSTILE,
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


@pytest.mark.parametrize("value", HOSTILE)
def test_whatever_a_filter_says_appears_as_text(asked: Site, value: str) -> None:
    sent = quote(value, errors="surrogatepass")
    for name in ("version", "platform", "container", "language", "ci", "user", "outcome", "error"):
        for path in (PAGE, f"{PAGE}/errors/{'0' * 16}", f"{PAGE}/compare", f"{PAGE}/users"):
            html = asked.text(f"{path}?{name}={sent}")
            assert "<script>alert" not in html
            assert "<img src=x" not in html


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
