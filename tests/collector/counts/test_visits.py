"""Users of a filter, of an error and of two versions: whatever happened, those of the sessions."""

from __future__ import annotations

import asyncio
import random
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from sqlalchemy import Engine, event

from migas.collector.collector import Collector
from migas.collector.counts import last_days, people, sample
from migas.collector.counts.filters import OUTCOMES, Filter
from migas.collector.counts.fingerprint import fingerprint
from migas.collector.counts.sessions import error_name, facets
from migas.collector.counts.visits import SAMPLES
from migas.collector.days import SECONDS_A_DAY, Period, block_of, day_number, day_of, moment
from migas.collector.ingestion.timing import Timing
from tests.collector.counts.test_sessions import (
    Clock,
    record,
    recounted,
    some_crumbs,
    told_sessions,
)
from tests.collector.databases import a_session, putting, with_collector
from tests.collector.test_collector import a_crumb

if TYPE_CHECKING:
    from tests.collector.databases import Database

TODAY = 20_040
PERIOD = Period(day_of(TODAY - 20), day_of(TODAY))
FILTERS = [
    Filter(),
    Filter(version="2.0"),
    Filter(platform="darwin"),
    Filter(container="unknown", language="python 3.11"),
    Filter(user="dev"),
    Filter(user="general", version="1.0"),
    Filter(ci="yes"),
    Filter(outcome="failed"),
    *(Filter(outcome=outcome, version="2.0") for outcome in OUTCOMES),
    Filter(outcome="completed", version="2.0", platform="linux"),
    Filter(outcome="unheard-of", version="2.0"),
]


def fill(database: Database) -> None:
    for number in range(6):
        crumbs = some_crumbs(number, 40)
        record(database, *crumbs, clock=Clock((TODAY - 30 + 6 * number) * SECONDS_A_DAY))


def asked(database: Database, question: str, *arguments: Any, **more: Any) -> Any:
    """The answer to a question, a method of `Reports`, about a project."""

    async def run() -> Any:
        clock = Clock(TODAY * SECONDS_A_DAY)
        async with Collector.open(database.url, clock=clock) as collector:
            return await getattr(collector.reports, question)("a/b", *arguments, **more)

    return asyncio.run(run())


def stored(database: Database, since: int = day_number(PERIOD.first)) -> list[dict[str, Any]]:
    """The sessions from a day on, each with its user's type and its day."""
    rows = told_sessions(database)
    for row in rows:
        row["day"] = (row["began"] if row["ended"] is None else row["ended"]) // SECONDS_A_DAY
    return [row for row in rows if row["day"] >= since]


def meets(row: dict[str, Any], only: Filter) -> bool:
    names = ("platform", "container", "language", "language_version", "is_ci")
    has = dict(facets(*(row[name] for name in names)))
    has |= {"version": row["version"], "user": row["user_type"]}
    has["outcome"] = next(name for name, letter in OUTCOMES.items() if letter == row["status"])
    return all(has[name] == value for name, value in only.values.items())


def test_users_are_those_of_the_sessions_whatever_the_filter(database: Database) -> None:
    fill(database)
    rows = stored(database)
    for only in FILTERS[1:]:
        users = {row["user_id"] for row in rows if row["user_id"] and meets(row, only)}
        types: defaultdict[str, set[str]] = defaultdict(set)
        for row in rows:
            if row["user_id"] in users:
                types[row["user_type"]].add(row["user_id"])
        counts = asked(database, "users", PERIOD, only)
        assert (counts.active, counts.margin) == (len(users), 0), only
        assert counts.types == {kind: len(of) for kind, of in types.items()}, only


def by_hand(rows: list[dict[str, Any]]) -> dict[str, tuple[int, int]]:
    """By an error's name how many users and sessions it met."""
    users: defaultdict[str, set[str]] = defaultdict(set)
    number: defaultdict[str, int] = defaultdict(int)
    for row in rows:
        if row["fingerprint"] is not None:
            name = error_name(row["fingerprint"])
            number[name] += 1
            users[name] |= {row["user_id"]} - {None}
    return {name: (len(users[name]), number[name]) for name in number}


def test_errors_are_those_of_the_sessions_whatever_the_filter(database: Database) -> None:
    fill(database)
    rows = stored(database)
    for only in FILTERS:
        expected = by_hand([row for row in rows if meets(row, only)])
        found = asked(database, "errors", PERIOD, only)
        assert {error.name: (error.users, error.sessions) for error in found} == expected, only
        order = [(-error.users, -error.sessions, error.name) for error in found]
        assert order == sorted(order)
        for error in found:
            assert sum(error.days.values()) == error.sessions == sum(dict(error.versions).values())
    (first, *_) = asked(database, "errors", PERIOD)
    only = Filter(error=first.name)
    assert asked(database, "errors", PERIOD, only) == [first]


def test_what_two_versions_have_is_of_their_sessions(database: Database) -> None:
    fill(database)
    rows = stored(database)
    for only in FILTERS:
        if only.version is not None:
            continue
        expected = {
            version: by_hand([row for row in rows if meets(row, only.with_(version=version))])
            for version in ("1.0", "2.0")
        }
        sizes = {"1.0": 500, "2.0": 500}
        found, _ = asked(database, "differences", PERIOD, only, versions=sizes, limit=50)
        assert {error.name for error in found} == {*expected["1.0"], *expected["2.0"]}, only
        for error in found:
            for hits, version in ((error.first, "1.0"), (error.second, "2.0")):
                assert (hits.users, hits.sessions) == expected[version].get(error.name, (0, 0))


SPANS = [
    Period(day_of(TODAY - 30), day_of(TODAY)),
    Period(day_of(TODAY - 60), day_of(TODAY - 2), "week"),
    Period(day_of(TODAY - 77), day_of(TODAY), "month"),
    Period(day_of(TODAY - 60), day_of(TODAY - 20), "week"),
    Period(day_of(TODAY - 30), day_of(TODAY - 25)),
    Period(day_of(TODAY - 40), day_of(TODAY - 40), "month"),
]


def fill_weeks(database: Database) -> None:
    """Sessions over more than one block of days, from the first of which users come and go."""
    for number in range(10):
        crumbs = some_crumbs(number, 30)
        record(database, *crumbs, clock=Clock((TODAY - 84 + 9 * number) * SECONDS_A_DAY))


def sessions_within(database: Database, period: Period, only: Filter) -> list[dict[str, Any]]:
    days = range(day_number(period.first), day_number(period.last) + 1)
    error = only.error
    return [
        row
        for row in stored(database, 0)
        if row["day"] in days
        and meets(row, only.with_(error=None))
        and (error is None or (row["fingerprint"] and error_name(row["fingerprint"]) == error))
    ]


@pytest.mark.parametrize("period", SPANS)
def test_users_over_time_and_by_what_they_run_on_are_those_of_the_sessions(
    period: Period, database: Database
) -> None:
    fill_weeks(database)
    (error, *_) = by_hand(stored(database))
    first_days = {
        row["user_id"]: day_of(row["first_day"])
        for row in database.rows(
            "SELECT user_id, first_day FROM project_users WHERE project = 'a/b'"
        )
    }
    joined = {user: day for user, day in first_days.items() if period.first <= day <= period.last}
    for only in [*FILTERS, Filter(error=error), Filter(error=error, version="1.0")]:
        rows = [row for row in sessions_within(database, period, only) if row["user_id"]]
        names = ("platform", "container", "language", "language_version", "is_ci")
        by_facet: defaultdict[str, defaultdict[str, set[str]]]
        by_facet = defaultdict(lambda: defaultdict(set))
        by_start: dict[Any, list[str]] = {start: [] for start in period.buckets()}
        for row in rows:
            by_start[period.bucket(day_of(row["day"]))].append(row["user_id"])
            for facet, value in facets(*(row[name] for name in names)):
                by_facet[facet][value].add(row["user_id"])
        number, found = asked(database, "users_by_facet", period, only)
        assert number == len({row["user_id"] for row in rows}), only
        assert {facet: of for facet, of in found.items() if of} == {
            facet: {value: len(users) for value, users in of.items()}
            for facet, of in by_facet.items()
        }, only
        if only or period.last < day_of(TODAY - 10):  # else they are those of all breadcrumbs
            counts = asked(database, "users", period, only)
            came_too = joined.keys() & {row["user_id"] for row in rows}
            assert (counts.active, counts.margin) == (number, 0), only
            assert not only or counts.new == len(came_too), only
        over_time = asked(database, "users_over_time", period, only)
        assert list(over_time) == period.buckets()
        if only:  # new where the filter first shows them, who were nowhere before the period
            first_shown = {
                user: min(start for start, users in by_start.items() if user in users)
                for user in {row["user_id"] for row in rows} & joined.keys()
            }
        else:
            first_shown = {user: period.bucket(day) for user, day in joined.items()}
        came = Counter(first_shown.values())
        for start, users in by_start.items():
            assert over_time[start] == (len(set(users)), came[start], len(users)), (only, start)
        in_all = asked(database, "users", period, only)
        # Somebody may have been seen first with a run that turned out to have ended later.
        new = sum(number for _, number, _ in over_time.values())
        assert in_all.new == (new if only else min(new, in_all.active)), only


@pytest.mark.parametrize("at_once", [1, 2, 10**9])
def test_users_are_the_same_however_many_are_asked_for_at_once(
    at_once: int, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill_weeks(database)
    whole = asked(database, "users_by_facet", SPANS[2])
    assert whole[0] > 3
    monkeypatch.setattr(sample, "MAX_AT_ONCE", at_once)
    assert asked(database, "users_by_facet", SPANS[2]) == whole


@pytest.mark.parametrize("half", [0, 1])
def test_activity_tells_a_part_of_its_period_as_if_it_were_asked_for_alone(
    half: int, database: Database
) -> None:
    fill_weeks(database)
    part = SPANS[2].halves[half]
    activity = asked(database, "activity", SPANS[2])
    alone = asked(database, "users_by_facet", part)
    assert alone[0] > 0
    assert (activity.users(part), activity.by_facet(part)) == alone


def test_a_day_goes_whose_only_session_turns_out_to_have_ended_on_another(
    database: Database,
) -> None:
    """A run is first heard of before midnight; where another one was then, the day stays."""
    users = [str(UUID(int=number)) for number in (1, 2)]
    runs = [
        a_crumb(status="R", session_id=str(UUID(int=number)), user_id=user)
        for number, user in enumerate((users[0], users[1], users[1]), 7 << 64)
    ]
    record(database, *runs, clock=Clock(TODAY * SECONDS_A_DAY - 5))
    ends = [run._replace(status="C").timed(Timing(0.0, 9.0)) for run in runs[:2]]
    record(database, *ends, clock=Clock(TODAY * SECONDS_A_DAY + 5))
    days = Period(day_of(TODAY - 1), day_of(TODAY))
    found = asked(database, "users_over_time", days)
    assert [users_then for users_then, *_ in found.values()] == [1, 2]
    assert recounted(database).none


def test_of_a_user_who_sends_very_much_no_day_is_taken_back_before_a_rebuild(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(last_days, "MAX_READ", 2)
    user = str(UUID(int=1))
    runs = [
        a_crumb(status="R", session_id=str(UUID(int=number << 64)), user_id=user)
        for number in (7, 8)
    ]
    record(database, *runs, clock=Clock(TODAY * SECONDS_A_DAY - 5))
    ends = [run._replace(status="C").timed(Timing(0.0, 9.0)) for run in runs]
    record(database, *ends, clock=Clock(TODAY * SECONDS_A_DAY + 5))
    days = Period(day_of(TODAY - 1), day_of(TODAY))

    def users() -> list[int]:
        return [number for number, *_ in asked(database, "users_over_time", days).values()]

    assert users() == [1, 1]
    assert recounted(database).wrong_users == 2  # with the version, and without
    assert users() == [0, 1]

    async def forget(collector: Collector) -> None:
        await collector.removal.forget_user(user)

    with_collector(database.url, forget)
    assert database.value("SELECT count(*) FROM visits") == 0


def test_a_day_is_taken_back_without_reading_others_breadcrumbs(sqlite: Database) -> None:
    """Also before SQLite has looked at what is in the file: it never does by itself."""
    user = str(UUID(int=1))
    run = a_crumb(status="R", session_id=str(UUID(int=7 << 64)), user_id=user)
    record(sqlite, run, clock=Clock(TODAY * SECONDS_A_DAY - 5))
    plans: list[str] = []

    def note(_c: object, cursor: Any, statement: str, parameters: Any, *_more: object) -> None:
        if statement.startswith("SELECT") and "crumbs" in statement:
            told = cursor.connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
            plans.extend(step for *_, step in told if " crumbs" in step)

    end = run._replace(status="C").timed(Timing(0.0, 9.0))
    event.listen(Engine, "before_cursor_execute", note)
    try:
        record(sqlite, end, clock=Clock(TODAY * SECONDS_A_DAY + 5))
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    assert len(plans) > 1
    assert all("ix_crumbs_user_id (user_id=?" in step for step in plans), plans


@pytest.mark.parametrize("seed", range(2))
def test_users_are_right_after_sessions_changed_and_went(seed: int, database: Database) -> None:
    """The last visit goes, or turns out to have been another one: one before it is found."""
    chosen = random.Random(seed)
    for number in range(4):
        crumbs = some_crumbs(seed * 10 + number, 40)
        record(database, *crumbs, clock=Clock((TODAY - 3 * number) * SECONDS_A_DAY))
    people_there = [row["user_id"] for row in database.rows("SELECT user_id FROM users")]

    async def remove(collector: Collector) -> None:
        await collector.removal.forget_user(chosen.choice(people_there))
        await collector.removal.forget_before(TODAY - 6)

    with_collector(database.url, remove)
    assert database.value("SELECT count(*) FROM visits") > 0
    assert recounted(database).none


def test_a_part_is_as_large_as_the_users_of_the_period_need(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others of the same block of days say nothing of how near an estimate is."""
    day = block_of(TODAY) + 20
    days = [(number, day + (number % 8 > 0)) for number in range(4000)]
    away = [(4000, day - 1), (4000, day + 1)]  # so that only what users did tells who was there
    with_collector(database.url, putting([_run_of(*of) for of in (*days, *away)]))
    _look_at_a_part(monkeypatch, 100, 15.0)
    period, only = Period.ending(day_of(day), 1), Filter(platform="linux")
    for of in (Filter(), only):
        activity = asked(database, "activity", period, of, may_estimate=True)
        counted = asked(database, "users", period, of)
        assert 0 < activity.margin <= 15
        assert activity.is_estimate
        # An estimate is never less than what is known: without a filter, how many are new.
        least = 0 if of else counted.new
        assert max(activity.whole(activity.users(period)), least) == counted.active
        assert abs(counted.active - 500) <= 500 * 2 * activity.margin / 100


def test_users_of_a_period_that_is_over_are_known_where_nobody_was_away(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    day = block_of(TODAY) + 20
    begun, left, stayed = (range(at, at + 1000) for at in (0, 1000, 2000))
    days = [(user, day - 2) for user in begun]  # before the period, and the last day of it
    days += [(user, day) for user in (*begun, *left, *stayed)]
    days += [(user, day + 1) for user in (*stayed, *range(3000, 5000))]
    elsewhere = [
        a_session(moment(at * SECONDS_A_DAY), "c/d", user_id=str(UUID(int=1)))
        for at in (day - 9, day + 1)
    ]
    with_collector(database.url, putting([*(_run_of(*of) for of in days), *elsewhere]))
    monkeypatch.setattr(people, "MAX_AT_MIDNIGHT", 1.0)
    _look_at_a_part(monkeypatch, 100, 15.0)
    period = Period.ending(day_of(day), 1)
    assert asked(database, "users", period) == (3000, 2000, {"general": 3000}, 0)
    activity = asked(database, "activity", period, Filter(), may_estimate=True)
    assert not activity.is_estimate
    assert activity.whole(activity.users(period)) == 3000

    # Sessions of users who came on the last day may count on the next one.
    monkeypatch.setattr(people, "MAX_AT_MIDNIGHT", 0.5)
    assert asked(database, "users", period).margin > 0
    monkeypatch.setattr(people, "MAX_AT_MIDNIGHT", 0.7)
    assert asked(database, "users", period).margin == 0

    with_collector(database.url, putting([_run_of(5000, day - 1), _run_of(5000, day + 1)]))
    assert asked(database, "users", period).margin > 0
    assert asked(database, "activity", period, Filter(), may_estimate=True).is_estimate
    assert asked(database, "users", Period.ending(day_of(day + 1), 3)) == (
        5001,
        4001,
        {"general": 5001},
        0,
    )


def _look_at_a_part(monkeypatch: pytest.MonkeyPatch, enough: int, most_margin: float) -> None:
    """Have users told by a part of them, of so many and within so many percent, however few."""
    monkeypatch.setattr(sample, "ENOUGH", enough)
    monkeypatch.setattr(sample, "FEW", 0)
    monkeypatch.setattr(sample, "MAX_MARGIN", most_margin)


def _run_of(user: int, day: int) -> dict[str, Any]:
    return a_session(moment(day * SECONDS_A_DAY + 9), "a/b", user_id=str(UUID(int=user)))


def test_of_very_many_users_a_part_says_how_many_there_are(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    period, when = Period.ending(day_of(TODAY), 1), moment(TODAY * SECONDS_A_DAY + 9)
    fields = [
        {"user_id": str(UUID(int=number)), "container": "docker" if number % 3 else "unknown"}
        for number in range(3000)
    ]
    with_collector(database.url, putting([a_session(when, "a/b", **of) for of in fields]))

    assert asked(database, "users", period, Filter(container="docker")) == (
        2000,
        2000,
        {"general": 2000},
        0,
    )
    _look_at_a_part(monkeypatch, 400, 10.0)
    few = asked(database, "users", period, Filter(container="docker"))
    assert 0 < few.margin <= 10
    assert abs(few.active - 2000) <= 2000 * 2 * few.margin / 100
    assert few.new == few.active == sum(few.types.values())
    assert asked(database, "users", period, Filter(container="podman")) == (0, 0, {}, 0)

    for only, number in ((Filter(), 3000), (Filter(container="docker"), 2000)):
        activity = asked(database, "activity", period, only, may_estimate=True)
        assert activity.part < SAMPLES
        assert 0 < activity.margin <= 10
        most = number * 2 * activity.margin / 100
        # Without a filter it is known how many there are; with one it is as a project's page says.
        whole = asked(database, "users", period, only).active
        assert activity.whole(activity.users(period)) == whole
        assert abs(whole - number) <= (most if only else 0)
        dockers = activity.by_facet(period)["container"]["docker"]
        assert abs(activity.whole(dockers) - 2000) <= most
        over_time = asked(database, "users_over_time", period, only, activity)
        ((users, new, of_users),) = over_time.values()
        assert abs(users - number) <= most
        assert users >= new >= number - most
        assert of_users == number
        exact = asked(database, "activity", period, only)
        assert (exact.part, exact.margin, exact.users(period)) == (SAMPLES, 0, number)
    nobody = asked(database, "activity", period, Filter(container="podman"), may_estimate=True)
    assert (nobody.users(period), nobody.margin) == (0, 0)


@pytest.mark.parametrize("outcome", ["running", "failed"])
def test_of_very_many_users_who_are_looked_for_one_by_one_a_part_is_enough(
    outcome: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    how: dict[str, Any] = {"status": "R"}
    only = Filter(outcome="running")
    if outcome == "failed":
        how = {"status": "F", "error_type": "OSError"}
        only = Filter(error=error_name(fingerprint("F", "OSError", None, None) or 0))
    sent = [_run_of(user, TODAY - user % 3) | how for user in range(2000)]
    sent += [_run_of(user, TODAY - 1) | how for user in range(500)]
    sent += [_run_of(user, TODAY) for user in range(1000, 3000)]
    with_collector(database.url, putting(sent))
    period = Period.ending(day_of(TODAY), 3)
    days = [day_of(TODAY - ago) for ago in (2, 1, 0)]

    exact = asked(database, "activity", period, only)
    assert (exact.part, exact.users(period)) == (SAMPLES, 2000)
    numbers = [len(range(2, 2000, 3)), 667 + 333, len(range(0, 2000, 3))]
    assert [exact.over_time()[day] for day in days] == numbers

    _look_at_a_part(monkeypatch, 400, 10.0)
    activity = asked(database, "activity", period, only, may_estimate=True)
    assert activity.part < SAMPLES
    assert activity.is_estimate
    assert 0 < activity.margin <= 10
    most = 2000 * 2 * activity.margin / 100
    assert abs(activity.whole(activity.users(period)) - 2000) <= most
    for day, number in zip(days, numbers, strict=True):
        assert abs(activity.whole(activity.over_time()[day]) - number) <= most
    assert set(activity.everyone) < set(exact.everyone)
