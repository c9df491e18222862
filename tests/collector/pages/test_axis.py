"""What stands along the time of a chart: its days, weeks or months, and the releases in them."""

from __future__ import annotations

import datetime as dt

import pytest

from migas.collector.counts.releases import Arrival
from migas.collector.days import Period, Step
from migas.collector.pages.chart import Axis

TODAY = dt.date(2026, 11, 20)


@pytest.mark.parametrize(
    ("by", "places"),
    [
        ("day", ["0.00", "50.00"]),  # the first and the sixteenth of thirty days
        ("week", ["14.29", "50.00"]),  # a Sunday, and a Monday, in six weeks
        ("month", ["0.00", "50.00"]),
    ],
)
def test_a_release_stands_on_its_day_whatever_the_bars(by: Step, places: list[str]) -> None:
    period = Period(dt.date(2026, 11, 1), dt.date(2026, 11, 30), by)
    one, two = Arrival("1.0", dt.date(2026, 11, 1)), Arrival("1.1", dt.date(2026, 11, 16))
    came: dict[dt.date, list[Arrival]] = {}
    for arrival in (one, two, Arrival("2.0", two.day)):
        came.setdefault(period.bucket(arrival.day), []).append(arrival)
    marks = Axis.of(period, TODAY, came).marks
    assert [at for at, *_ in marks] == places
    assert [text for *_, text in marks] == ["1.0", "1.1, 2.0"]


def test_releases_that_come_soon_after_each_other_are_told_one_below_the_other() -> None:
    period = Period(dt.date(2026, 1, 1), TODAY, "month")
    came = {
        dt.date(2026, 8, 1): [
            Arrival("2.2.1", dt.date(2026, 8, 12)),
            Arrival("2.2.0", dt.date(2026, 8, 2)),
        ]
    }
    marks = Axis.of(period, TODAY, came).marks
    assert [(row, text) for _, _, row, text in marks] == [(0, "2.2.0"), (1, "2.2.1")]


@pytest.mark.parametrize(
    ("first", "by", "label"),
    [
        (dt.date(2025, 11, 21), "month", "Nov \N{RIGHT SINGLE QUOTATION MARK}25"),
        (dt.date(2025, 11, 21), "week", "Dec \N{RIGHT SINGLE QUOTATION MARK}25"),
        (dt.date(2026, 11, 1), "day", "1 Nov"),
        (dt.date(2026, 8, 1), "week", "27 Jul"),
    ],
)
def test_a_month_with_its_year_is_not_taken_for_a_day(first: dt.date, by: Step, label: str) -> None:
    labels = Axis.of(Period(first, TODAY, by), TODAY).labels
    assert labels[0][2] == label


@pytest.mark.parametrize("by", ["day", "week"])
def test_the_name_of_a_month_stands_where_it_begins(by: Step) -> None:
    period = Period(dt.date(2026, 1, 12), dt.date(2026, 12, 20), by)
    axis = Axis.of(period, TODAY)
    begin, days = axis.starts[0], len(axis.starts) * (7 if by == "week" else 1)
    for at, _, text in axis.labels:
        day = begin + dt.timedelta(days=round(float(at) / 100 * days))
        assert (day.day, f"{day:%b}") == (1, text[:3])
    assert len(axis.labels) > 3


def test_a_month_that_begins_with_a_week_is_named_once() -> None:
    period = Period(dt.date(2026, 5, 25), dt.date(2026, 6, 14), "week")  # 1 June is a Monday
    ((at, month),) = Axis.of(period, TODAY)._months()
    assert (round(at, 2), month) == (33.33, dt.date(2026, 6, 1))
