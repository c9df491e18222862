"""What the pages show, read without a browser."""

from __future__ import annotations

import datetime as dt
import json
import re
from html import unescape
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest

from migas.collector.pages.responses import EDITION, FILES
from migas.collector.pages.shown import MAX_VERSIONS
from tests.collector.databases import a_session, putting, with_collector
from tests.collector.live import PROJECT, PROJECTS
from tests.collector.pages.site import Site, chart_of, readable, table_of
from tests.collector.pages.two_hundred import NOON

if TYPE_CHECKING:
    from tests.collector.databases import Databases
    from tests.collector.live import LiveCollector, LiveServer

PIPELINE = "/p/brainlab/cortiprep"
NOBODY = "00000000-0000-4000-8000-"


def report(site: Site, session: int, status: str = "C", **fields: object) -> None:
    """Send a session's breadcrumb."""
    context = {"session_id": f"{NOBODY}{session:012}", "user_id": f"{NOBODY}{session % 3:012}"}
    context |= {"platform": "linux", "container": "docker"}
    proc: dict[str, object] = {"status": status}
    version = fields.pop("version", "1.0.0")
    proc |= fields
    reply = site.collector.rest(wait=True, project_version=version, ctx=context, proc=proc)
    assert reply.status == 200, reply


def test_the_list_shows_each_project_with_its_sessions_and_rate(demo: Site) -> None:
    text = readable(demo.text("/"))
    assert re.search(
        r"brainlab/cortiprep newest version 2\.3\.0 [\d,]+ sessions \d\d\.\d% comp", text
    )
    assert "nipreps/migas-py no version named as the newest No session in this period" in text


@pytest.mark.parametrize(
    "path",
    [
        *("/", PIPELINE, f"/api/v1/projects{PIPELINE[2:]}/versions", "/metrics"),
        *(f"{PIPELINE}/{name}" for name in ("periods", "compare", "users", "api", "errors.csv")),
    ],
)
def test_who_asks_for_the_head_alone_is_told_what_a_page_would_be(demo: Site, path: str) -> None:
    """RFC 9110, 9.3.2: HEAD is answered wherever GET is."""
    head, page = (demo.collector.send(path, b"", {}, method=method) for method in ("HEAD", "GET"))
    assert (head.status, page.status) == (200, 200)
    assert head.body == b""
    for name in ("Content-Type", "Content-Disposition", "Content-Security-Policy"):
        assert head.headers.get(name) == page.headers.get(name)


def test_projects_are_links_to_their_pages(demo: Site) -> None:
    assert f'href="{PIPELINE}"' in demo.text("/")


def test_without_a_project_the_list_says_how_to_make_one(site: Site) -> None:
    site.collector.execute("DELETE FROM projects")
    text = readable(site.text("/", site.cookie()))
    assert "No project yet" in text
    assert "migas project add owner/repo" in text


def test_a_project_shows_how_its_sessions_ended(open_site: Site) -> None:
    for session, status in enumerate("CCCFS"):
        report(open_site, session, status)
    report(open_site, 5, "R")
    text = readable(open_site.text(f"/p/{PROJECT}"))
    assert "Completion rate 60.0% 3 of 5 sessions that ended" in text
    assert "Sessions 6 Users 3 New users 3" in text
    assert "Completed 3 50.0% Failed 1 16.7% Suspended 1 16.7% No end reported 1 16.7%" in text


def test_versions_that_ran_only_today_are_not_compared(open_site: Site) -> None:
    yesterday = a_session(NOON - dt.timedelta(days=1), PROJECT, version="0.9")
    with_collector(open_site.collector.database.url, putting([yesterday]))
    for session, version in enumerate(("1.0.0", "1.1.0")):
        report(open_site, session, "C", version=version)
    text = readable(open_site.text(f"/p/{PROJECT}/compare?first=1.1.0&second=1.0.0"))
    assert "has ended before today, and so nothing can be compared yet." in text
    assert "of the 0 runs" not in text


def test_a_session_counts_once_by_its_last_report(open_site: Site) -> None:
    report(open_site, 1, "R")
    report(open_site, 1, "C")
    text = readable(open_site.text(f"/p/{PROJECT}"))
    assert "1 of 1 session that ended" in text
    assert "Sessions 1 Users 1" in text


def test_errors_are_listed_with_their_newest_message_and_versions(open_site: Site) -> None:
    failed = {"status": "F", "error_type": "KeyError"}
    report(open_site, 1, version="1.0.0", error_desc="row 7", **failed)
    report(open_site, 2, version="1.1.0", error_desc="row 8", **failed)
    report(open_site, 3, "F", version="1.1.0", error_type="OSError")
    text = readable(open_site.text(f"/p/{PROJECT}"))
    seen = "First seen on 20 Nov 2026 in 1.0.0 , last on 20 Nov 2026 in 1.1.0 ."
    assert (
        "KeyError 2 users · 2 sessions · 66.7% of failures row 8 "
        f"{seen} In this period in 1.0.0 (1 session), 1.1.0 (1)." in text
    )
    assert "OSError 1 user · 1 session · 33.3% of failures No message was sent." in text


def test_an_error_that_a_release_brought_or_brought_back_is_marked(
    live_server: LiveServer, databases: Databases, kind: str
) -> None:
    def failing(version: str, days_ago: int, kind: str | None, number: int = 8) -> list[Any]:
        """A hundred sessions of a version, of which some fail."""
        when = NOON - dt.timedelta(days=days_ago)
        failed: dict[str, Any] = {"status": "F", "error_type": kind, "error_desc": "at 0x7f12"}
        return [
            a_session(when, version=version, **(failed if n < number and kind else {}))
            for n in range(100)
        ]

    sent = [
        *failing("2.1.0", 90, "OldError"),
        *failing("2.2.0", 60, None),
        *failing("2.3.0", 20, "OldError", number=20),
        *failing("2.3.0", 10, "NewError"),
        *failing("2.3.0", 5, "RareError", number=1),
    ]
    with (
        databases.fresh(kind) as database,
        live_server.collector(database, prepare=putting(sent), clock=NOON.timestamp) as running,
    ):
        site = Site(running)
        text = readable(site.text(f"/p/{PROJECT}", site.cookie()))
    assert "OldError back since 2.3.0 0 users" in text
    assert "First seen on 22 Aug 2026 in 2.1.0 , last on 31 Oct 2026 in 2.3.0 ." in text
    assert "NewError new in 2.3.0 0 users" in text
    assert "RareError 0 users" in text  # one in a hundred may have been missing by chance


def test_versions_come_with_the_newest_first(open_site: Site) -> None:
    for session, version in enumerate(("1.9.0", "1.10.0", "2.0.0rc1", "unknown", "0.9")):
        report(open_site, session, version=version)
    html = open_site.text(f"/p/{PROJECT}")
    section = readable(html[html.index('id="versions"') : html.index('id="errors"')])
    found = re.findall(r"(\S+) 100% 20\.7\N{EN DASH}100\.0% 1 0", section)
    assert found == ["2.0.0rc1", "1.10.0", "1.9.0", "0.9", "unknown"]


YESTERDAY = NOON - dt.timedelta(days=1)


def test_a_release_that_completes_less_often_is_named(
    live_server: LiveServer, databases: Databases, kind: str
) -> None:
    sent = [a_session(YESTERDAY, version="2.2.1", status="CF"[n < 10]) for n in range(200)]
    sent += [a_session(YESTERDAY, version="2.3.0", status="CF"[n < 30]) for n in range(200)]
    sent += [a_session(YESTERDAY, version="2.1.0", status="C") for _ in range(16)]
    with (
        databases.fresh(kind) as database,
        live_server.collector(database, prepare=putting(sent), clock=NOON.timestamp) as running,
    ):
        site = Site(running)
        html = site.text(f"/p/{PROJECT}", site.cookie())
    text = readable(html)
    assert "2.3.0 completes less often than 2.2.1 : 85.0% against 95.0%." in text
    section = readable(html[html.index('id="versions"') : html.index('id="errors"')])
    # The few runs of 2.1.0 all completed, and it still stands below 2.3.0.
    rows = r"(2\.\d\.\d) ([\d.]+%) ([\d.]+)\N{EN DASH}([\d.]+)% \d+"
    assert re.findall(rows, section) == [
        ("2.3.0", "85.0%", "79.4", "89.3"),
        ("2.2.1", "95.0%", "91.0", "97.3"),
        ("2.1.0", "100%", "80.6", "100.0"),
    ]


def test_today_is_drawn_as_not_over_and_is_no_part_of_a_rate(
    live_server: LiveServer, databases: Databases
) -> None:
    sent = [a_session(YESTERDAY, user_id=f"{NOBODY}{1:012}") for _ in range(3)] + [
        a_session(NOON, status="F")
    ]
    with (
        databases.fresh("sqlite") as database,
        live_server.collector(database, prepare=putting(sent), clock=NOON.timestamp) as running,
    ):
        site = Site(running)
        html = site.text(f"/p/{PROJECT}?period=7d", site.cookie())
        past = site.text(f"/p/{PROJECT}?from=2026-11-01&to=2026-11-19", site.cookie())
        users = readable(site.text(f"/p/{PROJECT}/users", site.cookie()))
    chart = chart_of(html)
    assert (chart["failed"][-1], chart["rate"][-2:]) == (1, [100.0, None])
    assert 'class="pale"' in html
    text = readable(html)
    assert "Completion rate 100% 3 of 3 sessions that ended, without today" in text
    assert "Sessions 4 Users" in text
    assert "Today is not over: it is drawn pale, and no rate counts today." in text
    assert "Today is not over: it is drawn pale." in users  # where there is no rate
    assert 'class="pale"' not in past
    assert "Today is not over" not in past


def test_strangers_do_not_decide_how_long_a_page_is(open_site: Site) -> None:
    number = 300
    for session in range(number):
        report(
            open_site,
            1000 + session,
            "CF"[session % 2],
            version=f"1.{session}",
            error_type=f"E{session}",
        )
    report(open_site, 5000, "C", version="2.0")
    report(open_site, 5001, "C", version="2.0")
    html = open_site.text(f"/p/{PROJECT}")
    rows = re.findall(r'<th scope="row"><a href="[^"]*version=[^"]*"><bdi>[12]\.', html)
    assert len(rows) == MAX_VERSIONS
    text = readable(html)
    assert "40 older versions and 251 others with fewer sessions" in text
    (others,) = re.findall(r"251 others ([\d.]+%) \S+ (\d+) (\d+)", text)
    shown = re.findall(r"\b[12]\.\d+ [\d.]+% \S+ (\d+) (\d+)", text)
    assert sum(int(sessions) for sessions, _ in shown) + int(others[1]) == number + 2
    assert sum(int(failed) for _, failed in shown) + int(others[2]) == number // 2
    assert "140 sessions failed with other errors, or without one. The files have 1,000" in text
    assert len(html) < 150_000


def test_the_figures_are_the_same_on_either_database(open_collector: LiveCollector) -> None:
    site = Site(open_collector)
    report(site, 1)
    report(site, 2, "F", error_type="KeyError", error_desc="'bold'")
    text = readable(site.text(f"/p/{PROJECT}"))
    assert "Completion rate 50.0% 1 of 2 sessions that ended" in text
    assert "KeyError 1 user · 1 session · 100% of failures 'bold' First seen" in text
    assert f"{PROJECT} no version named as the newest 2 sessions 50.0%" in readable(site.text("/"))


def test_news_are_a_link_away(demo: Site) -> None:
    """From where somebody reads of errors to where it is said how to be told of them."""
    html = demo.text(f"{PIPELINE}?platform=linux")
    assert "A feed or a webhook can tell you when an error is new" in readable(html)
    (link,) = re.findall(r'href="([^"]*#news)"', html)
    page = demo.text(link)
    assert 'id="news"' in page
    assert "a webhook, or makes the token for an Atom feed" in readable(page)


def test_platforms_containers_languages_and_ci_are_shared_out(demo: Site) -> None:
    text = readable(demo.text(f"{PIPELINE}?period=1y"))
    assert re.search(r"Platforms .* linux \d\d\.\d% [\d,]+ darwin", text)
    assert re.search(r"Containers .* none, or not known", text)
    assert re.search(r"Languages .* python 3\.12", text)
    assert re.search(r"Continuous integration .* not CI \d\d\.\d%", text)


def test_runs_never_heard_of_again_are_told(demo: Site) -> None:
    text = readable(demo.text(f"{PIPELINE}?period=1y"))
    assert re.search(r"Never heard of again CSV JSON \d+ runs that began in this period", text)


def test_a_run_that_started_today_is_not_given_up(open_site: Site) -> None:
    report(open_site, 1, "R")
    assert "Never heard of again None:" in readable(open_site.text(f"/p/{PROJECT}"))


def test_breadcrumbs_without_a_session_are_no_run_that_was_lost(
    live_server: LiveServer, databases: Databases, kind: str
) -> None:
    now = NOON

    def clock() -> float:
        return now.timestamp()

    with (
        databases.fresh(kind) as database,
        live_server.collector(database, open_registration=True, clock=clock) as running,
    ):
        site = Site(running)
        for _ in range(3):
            assert running.rest(wait=True, proc={"status": "R"}).status == 200
        now += dt.timedelta(days=3)
        assert "None: every run that began in this period" in readable(site.text(f"/p/{PROJECT}"))
        report(site, 1, "R")
        now += dt.timedelta(days=3)
        html = site.text(f"/p/{PROJECT}")
    text = readable(html)
    assert "1 run that began in this period never said how it ended" in text
    assert re.findall(r'<code title="([^"]+)"', html) == [f"{NOBODY}000000000001"]


def test_whoever_only_asks_whether_it_answers_is_answered(site: Site) -> None:
    for path, status in (("/", 303), ("/sign-in", 200), ("/healthz", 200)):
        reply = site.collector.send(path, b"", {}, "HEAD")
        assert (reply.status, reply.body) == (status, b"")


def test_the_table_beside_the_chart_adds_up_to_the_summary(demo: Site) -> None:
    for query in ("?period=7d", "?period=90d", "?period=1y", "?period=1y&by=day"):
        html = demo.text(PIPELINE + query)
        chart = chart_of(html)
        total = sum(sum(chart[kind]) for kind in ("completed", "failed", "suspended", "running"))
        assert f"Sessions {total:,} Users" in readable(html)
        assert sum(chart["sessions"]) == total


def test_days_without_a_session_have_their_place_in_the_chart(open_site: Site) -> None:
    report(open_site, 1)
    html = open_site.text(f"/p/{PROJECT}?period=7d")
    assert table_of(html, "sessions-table")["Day"] == [
        *(f"{day} Nov 2026" for day in range(14, 20)),
        "20 Nov 2026 not over",
    ]
    chart = chart_of(html)
    assert chart["completed"] == [0, 0, 0, 0, 0, 0, 1]
    assert chart["rate"] == [None] * 6 + [100.0]


def test_the_picker_marks_the_period_that_is_shown(demo: Site) -> None:
    html = demo.text(f"{PIPELINE}?period=90d")
    picker = html[html.index('aria-label="Period"') :].partition("</nav>")[0]
    assert re.findall(r'href="([^"]*)" aria-current="page"', picker) == ["?period=90d"]


def test_dates_of_ones_own_are_shown_and_kept_in_the_form(demo: Site) -> None:
    html = demo.text(f"{PIPELINE}?from=2026-03-02&to=2026-03-29&by=week")
    assert "2 \N{EN DASH} 29 Mar 2026, in UTC" in readable(html)
    assert 'value="2026-03-02"' in html
    assert len(chart_of(html)["rate"]) == 4


def test_a_mistaken_bar_is_named_beside_ones_own_dates(demo: Site) -> None:
    text = readable(demo.text(f"{PIPELINE}?from=2026-03-02&to=2026-03-29&by=year"))
    assert "A bar is one of these: a day, a week, a month." in text
    assert "These are the last" not in text


def test_a_mistaken_date_is_named(demo: Site) -> None:
    html = demo.text(f"{PIPELINE}?from=2026-02-31")
    assert "Those are not two dates like 2026-01-31. These are the last 30 days." in html


def test_the_rate_is_compared_with_the_period_before(demo: Site) -> None:
    assert re.search(r"▼ down \d\.\d points on the 29 days before", readable(demo.text(PIPELINE)))


def test_a_difference_that_chance_may_explain_is_none(demo: Site) -> None:
    days = "from=2026-03-02&to=2026-03-08"
    assert "no different, beyond chance, from the 7 days before" in readable(
        demo.text(f"{PIPELINE}?{days}")
    )


def test_sessions_of_one_outcome_have_no_rate(demo: Site) -> None:
    text = readable(demo.text(f"{PIPELINE}?outcome=failed"))
    assert "Sessions of one outcome have no completion rate" in text
    assert "Sessions by version" in text
    assert "Completion rate \N{EN DASH}" not in text
    for judgement in ("completes", "95% interval", "points on", "Never heard of again", "no rate"):
        assert judgement not in text
    html = demo.text(f"{PIPELINE}?outcome=failed")
    assert set(chart_of(html)["rate"]) == {None}
    assert "Completion rate per day" not in html
    assert not re.search(r"2\.3\.0 newest 0%", text)
    beside = readable(demo.text(f"{PIPELINE}/compare?outcome=failed"))
    assert "Sessions of one outcome have no completion rate." in beside
    assert "completes" not in beside
    assert re.search(r"however they ended: of [\d,]+ of 2\.3\.0 and of [\d,]+ of", beside)
    completed = readable(demo.text(f"{PIPELINE}/compare?outcome=completed"))
    assert "Only sessions that failed have errors." in completed
    assert "No error" not in completed


def test_a_version_that_has_no_session_is_named(demo: Site) -> None:
    days = "from=2026-11-14&to=2026-11-20"
    text = readable(demo.text(f"{PIPELINE}/compare?{days}&first=2.2.1&second=9.9"))
    assert "9.9 has no session in this period: another version stands in its place." in text


def test_nearly_the_same_year_is_compared_once(demo: Site) -> None:
    text = readable(demo.text(f"{PIPELINE}?period=1y"))
    assert "the 364 days before" in text
    assert "52 weeks" not in text


def test_a_period_that_has_not_begun_is_named_so(demo: Site) -> None:
    text = readable(demo.text(f"{PIPELINE}?from=2030-01-01&to=2030-01-10"))
    assert "That period has not begun yet." in text


def test_how_often_something_fails_is_told_of_all_sessions_whatever_the_outcome(demo: Site) -> None:
    """The page of failed sessions leads to its errors: each share would be of failures there."""
    (link, *_) = re.findall(rf'href="({PIPELINE}/errors/[0-9a-f]+)', demo.text(PIPELINE))
    shares = r"[\d.]+% [\d.]+% [\d.]+|[\d.]+ times as often in|\([\d.]+%\)"
    for page in (link, f"{PIPELINE}/compare"):
        texts = [readable(demo.text(page + query)) for query in ("", "?outcome=failed")]
        every, failed = (re.findall(shares, text) for text in texts)
        assert len(every) > 5
        assert every == failed, page


def test_why_no_version_is_judged_is_said(demo: Site) -> None:
    """Nothing would leave it open whether nothing was found or nobody looked."""
    said = "Whether the newest version completes less often can be told only beside a release"
    few = "?from=2026-11-19&to=2026-11-19&container=unknown"
    assert said in readable(demo.text(PIPELINE + few))
    assert said not in readable(demo.text(PIPELINE))


@pytest.mark.parametrize("only", ["", "&container=docker"])
def test_users_of_a_past_period_are_the_same_on_each_page(demo: Site, only: str) -> None:
    days = f"?from=2026-03-02&to=2026-03-29{only}"
    overview, users = (readable(demo.text(PIPELINE + page + days)) for page in ("", "/users"))
    (number,) = re.findall(r"Users (\d+) (?:New users \d+ )?Sessions of each", users)
    assert int(number) > 0
    assert f"Users {number} New users" in overview


def test_what_a_long_page_has_is_a_link_away(demo: Site) -> None:
    html = demo.text(PIPELINE)
    nav = html[html.index('aria-label="On this page"') :].partition("</nav>")[0]
    parts = re.findall(r'href="#([a-z-]+)">([^<]+)', nav)
    assert [label for _, label in parts][1:4] == ["Versions", "How long runs take", "What fails"]
    for part, _ in parts:
        assert html.count(f'id="{part}"') == 1


def test_a_project_without_a_session_leads_to_its_first_from_every_page(demo: Site) -> None:
    overview = f"/p/{PROJECT}"
    assert "@migas.track" in demo.text(overview)
    for page in ("/users", "/periods", "/compare", "/errors/0123456789abcdef"):
        text = readable(demo.text(overview + page))
        assert "No run of this project was reported yet: see what to put into" in text


def test_a_period_without_a_session_says_so_and_shows_a_way_on(demo: Site) -> None:
    for page in ("", "/users", "/periods", "/compare", "/errors/0123456789abcdef"):
        for only in ("", "&platform=linux"):
            html = demo.text(f"{PIPELINE}{page}?from=2020-02-01&to=2020-02-29{only}")
            text = readable(html)
            (days,) = re.findall(r"all days with sessions of this project : (.*?)\.", text)
            assert re.fullmatch(r"\d+ (Nov|Dec) 2024 \N{EN DASH} 20 Nov 2026", days)
            assert "at the last year" in text
            assert ("Remove the filters" in text) == bool(only)
            assert "@migas.track" not in text  # this program says it already
            (link,) = re.findall(r'href="(\?from=2024[^"]*)"', html)
            assert unescape(link).endswith(f"&to=2026-11-20{only}")
    assert "20 Nov 2026, in UTC" in readable(demo.text(PIPELINE + unescape(link)))


def test_a_project_without_any_session_shows_what_to_put_into_a_program(demo: Site) -> None:
    html = demo.text("/p/nipreps/migas-py")
    assert "No session of this project yet" in html
    assert f"migas.setup(endpoint=&#34;{demo.url}&#34;)" in html.replace('"', "&#34;")
    assert "at the last year" not in html
    assert "@migas.track(&#34;nipreps/migas-py&#34;" in html.replace('"', "&#34;")
    assert "sessions-table" not in html


def test_how_things_are_counted_is_said(demo: Site) -> None:
    text = readable(demo.text(PIPELINE))
    assert "completed ÷ (completed + failed + suspended)" in text
    assert "A session is one run of a program" in text


@pytest.mark.parametrize(
    "path", ["/", PIPELINE, "/p/nobody/nothing", "/p/%3Cscript%3E/x", "/sign-in"]
)
def test_every_page_is_strict_about_what_it_may_load(demo: Site, path: str) -> None:
    headers = demo.get(path).headers
    assert headers["Content-Security-Policy"] == (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Backend-Server"].startswith("migas@")


class _Loads(HTMLParser):
    """What a page loads and runs."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.inline: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.addresses += [named[name] or "" for name in ("src", "href", "action") if name in named]
        self.inline += [name for name in named if name == "style" or name.startswith("on")]
        if tag == "style" or (tag == "script" and "src" not in named):
            self.inline.append(f"{tag} {named.get('type')}")


@pytest.mark.parametrize("path", ["/", PIPELINE, "/p/nobody/nothing"])
def test_a_page_loads_from_this_server_alone_and_has_nothing_inline(demo: Site, path: str) -> None:
    loads = _Loads()
    loads.feed(demo.get(path).body.decode())
    assert all(re.match(r"/(?!/)|[?#]", address) for address in loads.addresses)
    assert loads.inline == []


def test_files_may_be_kept_for_ever_and_change_their_address_when_they_change(demo: Site) -> None:
    for name, file in FILES.items():
        reply = demo.get(f"/static/{EDITION}/{name}")
        assert (reply.status, reply.body) == (200, file.body)
        assert "immutable" in reply.headers["Cache-Control"]
        assert reply.headers["X-Content-Type-Options"] == "nosniff"
    assert demo.get("/static/000000000000/page.css").status == 404


@pytest.mark.parametrize(
    "name", ["../views.py", "..%2fviews.py", "%2e%2e/views.py", "nothing.js", "..", "%00", ""]
)
def test_only_files_meant_for_pages_are_given_out(demo: Site, name: str) -> None:
    assert demo.get(f"/static/{EDITION}/{name}").status == 404


def test_an_unknown_project_is_not_found(demo: Site) -> None:
    for path in ("/p/nobody/nothing", "/p/nipreps/%2e%2e", "/p/" + "x" * 200 + "/y"):
        assert demo.get(path).status == 404


def test_pages_are_read_only(demo: Site) -> None:
    for path in ("/", PIPELINE):
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            assert demo.collector.send(path, b"", {}, method).status == 405


def test_the_registered_projects_are_all_listed(demo: Site) -> None:
    text = readable(demo.text("/"))
    assert all(project in text for project in PROJECTS)


def test_pages_are_no_part_of_the_interface_for_programs(demo: Site) -> None:
    paths = json.loads(demo.get("/openapi.json").body)["paths"]
    pages = {path for path in paths if not path.startswith(("/api", "/graphql", "/healthz"))}
    assert pages == {"/share/{owner}/{repo}/badge.json"}  # shields.io reads it
