"""Numbers, days and strangers' texts, as they are written on a page."""

from __future__ import annotations

import datetime as dt

import pytest

from migas.collector.pages import chart, words


@pytest.mark.parametrize(
    ("part", "whole", "written"),
    [
        (0, 0, "\N{EN DASH}"),
        (0, 7, "0%"),
        (7, 7, "100%"),
        (1, 3, "33.3%"),
        (1, 100_000, "0.1%"),
        (99_999, 100_000, "99.9%"),
        (934, 1000, "93.4%"),
    ],
)
def test_only_nothing_is_0_percent_and_only_everything_is_100(
    part: int, whole: int, written: str
) -> None:
    assert words.percent(part, whole) == written


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (None, "\N{EN DASH}"),
        (0.0, "0.0~s"),
        (0.42, "0.4~s"),
        (9.96, "10~s"),
        (59.4, "59~s"),
        (59.6, "1~min"),
        (200, "3~min 20~s"),
        (3599.7, "1~h"),
        (5 * 3600 + 700, "5~h 12~min"),
        (86_399, "1~d"),
        (52 * 3600, "2~d 4~h"),
    ],
)
def test_how_long_something_took(seconds: float | None, written: str) -> None:
    # What is a tilde above is a space at which no line ends: no number is parted from its unit.
    assert words.lasting(seconds) == written.replace("~", "\N{NO-BREAK SPACE}")


@pytest.mark.parametrize(
    ("now", "then", "written"),
    [
        (3, 2, "+50%"),
        (101, 100, "+1.0%"),
        (1, 4, f"{words.MINUS}75%"),
        (5, 0, ""),
        (50, 1, "over +900%"),
        (0, 5, f"{words.MINUS}100%"),
    ],
)
def test_by_how_much_a_number_has_grown(now: int, then: int, written: str) -> None:
    assert words.change(now, then) == written
    assert words.change(None, then) == ""


def test_durations_are_lines_over_a_scale_in_their_unit() -> None:
    axis = chart.Axis([dt.date(2026, 3, day) for day in (1, 2, 3)], "day", False, {})
    drawn = chart.duration_lines(axis, {"half": [None, 150.0, 600.0], "most": [None] * 3})
    assert drawn.scale == [(100 - 20 * at, f"{2 * at} min") for at in range(6)]
    assert drawn.bands == [
        ("line half", "M1.5,75.00L2.5,0.00"),
        ("line half dots", "M1.5,75.00h.001M2.5,0.00h.001"),
    ]
    assert [text for _, text in chart.duration_lines(axis, {}).scale] == ["0 s", "1 s"]


@pytest.mark.parametrize(
    ("lowest", "told"),
    [
        (0.0, [0, 25, 50, 75, 100]),
        (44.0, [25, 50, 75, 100]),
        (66.0, [60, 70, 80, 90, 100]),
        (97.0, [90, 95, 100]),
    ],
)
def test_the_scale_of_rates_ends_at_all_of_them(lowest: float, told: list[int]) -> None:
    axis = chart.Axis([dt.date(2026, 3, 1)], "day", False, {})
    scale = chart.rate_line(axis, [lowest]).scale
    assert [text for _, text in scale] == [f"{at}%" for at in told]
    assert [height for height, _ in scale][:: len(told) - 1] == [100.0, 0.0]


def test_counts_have_their_thousands_set_apart() -> None:
    assert words.number(1234567) == "1,234,567"
    assert words.counted(1, "session") == "1 session"
    assert words.counted(2000, "session") == "2,000 sessions"


@pytest.mark.parametrize(
    ("first", "last", "written"),
    [
        ((2026, 11, 1), (2026, 11, 1), "1 Nov 2026"),
        ((2026, 11, 1), (2026, 11, 20), "1 \N{EN DASH} 20 Nov 2026"),
        ((2026, 10, 22), (2026, 11, 20), "22 Oct \N{EN DASH} 20 Nov 2026"),
        ((2025, 11, 21), (2026, 11, 20), "21 Nov 2025 \N{EN DASH} 20 Nov 2026"),
    ],
)
def test_a_span_of_days_says_nothing_twice(
    first: tuple[int, int, int], last: tuple[int, int, int], written: str
) -> None:
    assert words.span(dt.date(*first), dt.date(*last)) == written


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("invoice\u202efdp.exe", "invoice\\u202efdp.exe"),
        ("\x1b[31mred\x07", "\\x1b[31mred\\x07"),
        ("zero\u200bwidth\ufeff", "zero\\u200bwidth\\ufeff"),
        ("\U000e0041tag", "\\U000e0041tag"),
        ("soft\u00adhyphen", "soft\\xadhyphen"),
        ("\u2800\u3164\uffa0", "\\u2800\\u3164\\uffa0"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("שלום · مرحبا", "שלום · مرحبا"),
        ("👩‍🔬 fails 🧠", "👩‍🔬 fails 🧠"),
        (None, ""),
    ],
)
def test_what_hides_or_reorders_characters_is_written_out(text: str | None, written: str) -> None:
    assert words.visible(text) == written


def test_a_long_text_has_a_head() -> None:
    assert words.head("short") == "short"
    assert words.head("x" * 2000) == "x" * words.LONG_CHARS + "…"


def test_a_text_of_many_lines_has_a_head() -> None:
    lines = [str(number) for number in range(words.LONG_LINES + 1)]
    assert words.head("\n".join(lines[:-1])) == "\n".join(lines[:-1])
    assert words.head("\n".join(lines)) == "\n".join(lines[:-1]) + "…"
    assert words.head("a" + "\n" * 2000) == "a…"


def test_a_small_line_stays_in_its_box() -> None:
    assert chart.spark([]) == ""
    assert chart.spark([0, 5, 10]) == "M0.0,27.0L60.0,14.0L120.0,1.0"
    assert chart.spark([3]) == "M0.0,1.0"
    assert chart.spark([0, 5, 10, 1], is_open=True) == chart.spark([0, 5, 10])
    assert chart.spark([1], is_open=True) == ""


def test_a_bar_can_be_seen_unless_it_is_nothing() -> None:
    assert chart.width(0, 10) == "0"
    assert chart.width(1, 1_000_000) == "0.50%"
    assert chart.width(1, 4) == "25.00%"


def test_months_have_names() -> None:
    days = [dt.date(2026, number, 3) for number in range(1, 13)]
    assert [words.month(day) for day in days] == [f"{day:%b %Y}" for day in days]
