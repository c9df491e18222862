"""How many users there are about, as a few of their sessions tell."""

from __future__ import annotations

import random

import pytest

from migas.collector.counts.sample import about_how_many


def test_who_was_met_again_and_again_is_all_there_is() -> None:
    assert about_how_many([1, 2, 3] * 10) == 3
    assert about_how_many([]) == 0


def test_who_was_met_once_tells_of_others() -> None:
    assert about_how_many([1, 2, 2, 3, 3, 4]) == 4 + 2 * 1 // (2 * 3)
    assert about_how_many(range(100)) == 100 + 100 * 99 // 2


@pytest.mark.parametrize("number", [300, 2_500, 40_000])
def test_it_is_about_right_where_all_have_as_many_sessions(number: int) -> None:
    met = random.Random(2).choices(range(number), k=10_000)
    assert about_how_many(met) == pytest.approx(number, rel=0.1)
