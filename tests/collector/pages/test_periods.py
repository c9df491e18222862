"""A period comes from an address that anybody may have written."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migas.collector.days import MAX_DAYS, day_number, day_of
from migas.collector.pages.periods import PRESETS, STEPS, parse, query_of

TODAY = dt.date(2026, 11, 20)


def test_the_default_is_thirty_days_that_end_today() -> None:
    period = parse({}, TODAY)
    assert (period.first, period.last) == (dt.date(2026, 10, 22), TODAY)
    assert (period.days, period.preset, period.by) == (30, "30d", "day")


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_has_as_many_days_as_it_says(preset: str) -> None:
    assert parse({"period": preset}, TODAY).days == PRESETS[preset][1]


def test_a_year_is_shown_in_weeks_and_a_month_in_days() -> None:
    assert parse({"period": "1y"}, TODAY).by == "week"
    assert parse({"period": "1y", "by": "day"}, TODAY).by == "day"
    assert parse({"period": "30d", "by": "week"}, TODAY).by == "week"


def test_dates_of_ones_own_are_taken() -> None:
    period = parse({"from": "2026-01-05", "to": "2026-02-01"}, TODAY)
    assert (period.first, period.last) == (dt.date(2026, 1, 5), dt.date(2026, 2, 1))
    assert (period.preset, period.mistake) == (None, "")


def test_dates_may_have_the_names_that_programs_give_them() -> None:
    asked = {"since": "2026-01-05", "until": "2026-02-01"}
    assert parse(asked, TODAY) == parse({"from": "2026-01-05", "to": "2026-02-01"}, TODAY)
    assert parse({"since": "yesterday"}, TODAY).mistake


def test_without_a_second_date_the_period_ends_today_and_never_later() -> None:
    assert parse({"from": "2026-11-01"}, TODAY).last == TODAY
    assert parse({"from": "2026-11-01", "to": "2030-01-01"}, TODAY).last == TODAY


@pytest.mark.parametrize(
    "query",
    [
        {"from": "yesterday"},
        {"from": "2026-02-30"},
        {"from": "2026-02-02", "to": "2026-02-01"},
        {"from": "2027-01-01"},
        {"from": "0001-01-01"},
        {"from": "0001-01-01", "to": "0001-01-02"},
        {"from": "1969-12-31", "to": "1970-01-02"},
        {"from": "<script>", "to": "' OR 1=1"},
    ],
)
def test_dates_that_make_no_period_are_named_and_the_default_is_shown(
    query: dict[str, str],
) -> None:
    period = parse(query, TODAY)
    assert period.mistake
    assert (period.days, period.last) == (30, TODAY)
    assert "script" not in period.mistake


def test_without_a_first_date_the_period_is_as_long_as_without_any() -> None:
    period = parse({"to": "2026-01-30"}, TODAY)
    assert (period.first, period.last) == (dt.date(2026, 1, 1), dt.date(2026, 1, 30))
    assert (period.preset, period.mistake) == (None, "")


def test_what_is_no_period_and_no_bar_is_named() -> None:
    assert parse({"period": "2y"}, TODAY).mistake == (
        "There is no such period; there are 7d, 30d, 90d, 1y."
    )
    assert parse({"period": "1y", "by": "<b>"}, TODAY).mistake == (
        "A bar is one of these: a day, a week, a month."
    )
    both = parse({"from": "2026-02-30", "by": "year"}, TODAY).mistake
    assert both.startswith("Those are not two dates")
    assert both.endswith("A bar is one of these: a day, a week, a month.")
    assert not parse({"period": "", "by": ""}, TODAY).mistake


def test_the_period_before_is_as_long_and_ends_where_this_one_begins() -> None:
    before = parse({"period": "7d"}, TODAY).before
    assert (before.first, before.last) == (dt.date(2026, 11, 7), dt.date(2026, 11, 13))


def test_a_period_has_two_halves_without_a_gap() -> None:
    for query in ({"period": "7d"}, {"period": "30d"}, {"from": "2026-11-19"}):
        period = parse(query, TODAY)
        first, second = period.halves
        assert (first.first, second.last) == (period.first, period.last)
        assert first.last + dt.timedelta(days=1) == second.first
        assert second.days - first.days in (0, 1)


def test_months_begin_with_their_first_day_and_have_no_gap() -> None:
    period = parse({"from": "2024-01-31", "to": "2025-02-28", "by": "month"}, TODAY)
    firsts = [dt.date(2024, month, 1) for month in range(1, 13)]
    assert period.buckets() == [*firsts, dt.date(2025, 1, 1), dt.date(2025, 2, 1)]
    assert period.is_ragged
    assert not parse({"from": "2024-02-01", "to": "2024-02-29", "by": "month"}, TODAY).is_ragged


def test_a_week_over_a_years_end_is_one() -> None:
    period = parse({"from": "2020-12-27", "to": "2021-01-05", "by": "week"}, TODAY)  # week 53
    assert period.buckets() == [dt.date(2020, 12, 21), dt.date(2020, 12, 28), dt.date(2021, 1, 4)]


def test_weeks_begin_on_monday_and_have_no_gap() -> None:
    period = parse({"from": "2026-11-04", "to": "2026-11-18", "by": "week"}, TODAY)
    assert period.buckets() == [dt.date(2026, 11, 2), dt.date(2026, 11, 9), dt.date(2026, 11, 16)]
    assert period.is_ragged
    assert not parse({"from": "2026-11-02", "to": "2026-11-08", "by": "week"}, TODAY).is_ragged


@given(
    st.dictionaries(
        st.sampled_from(["period", "from", "to", "by"]),
        st.one_of(
            st.text(max_size=12),
            st.dates().map(dt.date.isoformat),
            st.sampled_from([*PRESETS, *STEPS]),
        ),
    )
)
def test_whatever_an_address_says_is_a_period_whose_days_all_have_a_bar(
    query: dict[str, str],
) -> None:
    period = parse(query, TODAY)
    assert 1 <= period.days <= MAX_DAYS
    assert period.last <= TODAY
    buckets = set(period.buckets())
    assert len(buckets) == len(period.buckets())
    found = parse(query_of(period), TODAY)
    assert (found.first, found.last, found.by) == (period.first, period.last, period.by)
    days = (period.first + dt.timedelta(days=number) for number in range(period.days))
    assert {period.bucket(day) for day in days} == buckets
    before = period.before
    assert (before.days, before.last) == (period.days, period.first - dt.timedelta(days=1))


def test_the_first_day_that_is_counted_has_a_period() -> None:
    period = parse({"from": "1970-01-01", "to": "1970-01-02"}, TODAY)
    assert (period.mistake, period.days, period.before.days) == ("", 2, 2)


def test_days_are_numbered_as_in_the_database() -> None:
    assert day_number(dt.date(1970, 1, 2)) == 1
    assert day_of(day_number(TODAY)) == TODAY
