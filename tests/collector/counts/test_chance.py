"""What is more than chance, against values that others have published."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migas.collector.counts.chance import RARELY, SELDOM, compared, was_missing, wilson
from migas.collector.counts.comparison import newest_two
from migas.collector.counts.outcomes import Outcomes


@pytest.mark.parametrize(
    ("part", "whole", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),  # Newcombe 1998, table I
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_the_interval_is_that_of_the_literature(
    part: int, whole: int, low: float, high: float
) -> None:
    assert wilson(part, whole) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_a_share_lies_within_its_interval(part: int, more: int) -> None:
    low, high = wilson(part, part + more)
    assert 0 <= low <= high <= 1
    if part + more:
        assert low <= part / (part + more) <= high


@pytest.mark.parametrize(
    ("one", "other", "verdict"),
    [
        ((56, 70), (48, 80), 1),  # Newcombe 1998, table II: 0.0524 to 0.3339
        ((48, 80), (56, 70), -1),
        ((9, 10), (3, 10), 1),  # 0.1705 to 0.8090
        ((6, 7), (2, 7), 1),  # 0.0582 to 0.8062
        ((5, 56), (0, 29), 0),  # -0.0381 to 0.1926
        ((0, 10), (0, 10), 0),
        ((0, 0), (5, 10), 0),
        ((3_000, 10_000), (3_100, 10_000), 0),
    ],
)
def test_a_difference_is_more_than_chance_where_its_interval_leaves_zero_out(
    one: tuple[int, int], other: tuple[int, int], verdict: int
) -> None:
    assert compared(one, other) == verdict


def test_the_newest_is_compared_with_the_release_before_it() -> None:
    many = Outcomes(90, 10)
    versions = {
        "10.0": many,
        "9.0": many,
        "10.0rc1": many,
        "9.1": Outcomes(5),  # too few
        "nightly": many,
        "99": Outcomes(1),  # a stranger's
    }
    found = newest_two(versions)
    assert found is not None
    assert (found.newest, found.before, found.verdict) == ("10.0", "9.0", 0)
    named = newest_two(versions, "10.0rc1")
    assert named is not None
    assert (named.newest, named.before) == ("10.0rc1", "9.0")
    assert newest_two({"1.0": many}) is None
    assert newest_two({"1.0": Outcomes(5), "0.9": many}) is None


@pytest.mark.parametrize(
    ("seen", "since", "before", "seldom", "rarely"),
    [
        (1, 50, 950, True, False),  # the one time it was seen fell into a twentieth
        (1, 51, 949, False, False),
        (3, 99, 901, True, True),
        (10, 500, 500, True, True),
        (9, 500, 500, True, False),
        (5, 100, 0, False, False),
        (0, 0, 0, False, False),
    ],
)
def test_what_was_never_seen_before_may_have_been_missing_by_chance(
    seen: int, since: int, before: int, seldom: bool, rarely: bool
) -> None:
    assert was_missing(seen, since, before, SELDOM) == seldom
    assert was_missing(seen, since, before, RARELY) == rarely
