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
        (dt.date(2025, 11, 21), "week", "Nov \N{RIGHT SINGLE QUOTATION MARK}25"),
        (dt.date(2026, 11, 1), "day", "1 Nov"),
        (dt.date(2026, 8, 1), "week", "27 Jul"),
    ],
)
def test_a_month_with_its_year_is_not_taken_for_a_day(first: dt.date, by: Step, label: str) -> None:
    labels = Axis.of(Period(first, TODAY, by), TODAY).labels
    assert labels[0][2] == label
