"""How many users were active in a day, week, month or period, and on what, beside counting them."""

from __future__ import annotations

import datetime as dt
import random
from collections import Counter
from typing import TYPE_CHECKING, cast

import pytest

from migas.collector.counts.activity import Activity, UserDays, row_bytes
from migas.collector.counts.usage import FACETS
from migas.collector.days import Period, block_of, day_number

if TYPE_CHECKING:
    from collections.abc import Mapping

    from migas.collector.days import Step

FIRST = dt.date(2025, 12, 3)  # a Wednesday
PROFILES = [
    (platform, container, "python 3.12", "no")
    for platform in ("linux", "darwin")
    for container in ("docker", "unknown")
]


def rows(period: Period, days: Mapping[int, int]) -> UserDays:
    """Users and their days, as bits from the period's first one on, as a database tells them."""
    first, last = day_number(period.first), day_number(period.last)
    width, since = row_bytes(first, last), first - block_of(first)
    told = ((bits << since) % (1 << 8 * width) for bits in days.values())
    return UserDays(list(days), bytearray(b"".join(bits.to_bytes(width) for bits in told)))


def active_days(number: int) -> dict[tuple[str, ...], dict[int, int]]:
    """Some users' days by what they ran on, also days behind the end of the period."""
    chance = random.Random(number)
    return {
        profile: {
            user: sum(1 << day for day in range(number + 20) if chance.random() < 0.03)
            for user in range(40)
            if chance.random() < 0.5
        }
        for profile in PROFILES
    }


@pytest.mark.parametrize("by", ["day", "week", "month"])
@pytest.mark.parametrize("number", [1, 7, 8, 9, 64, 200])
def test_users_over_time_are_those_with_a_day_in_it(number: int, by: str) -> None:
    last = FIRST + dt.timedelta(days=number - 1)
    period, days = Period(FIRST, last, cast("Step", by)), active_days(number)
    seen = {
        (user, FIRST + dt.timedelta(days=day))
        for of_users in days.values()
        for user, bits in of_users.items()
        for day in range(number)
        if bits >> day & 1
    }
    activity = Activity(period, [(on, rows(period, of)) for on, of in days.items()])
    assert activity.over_time() == {
        start: len({user for user, day in seen if period.bucket(day) == start})
        for start in period.buckets()
    }
    assert activity.users(period) == len({user for user, _ in seen})
    people = {user for user, _ in seen}
    new = {user for user in people if user % 2}
    firsts = [min(day for of, day in seen if of == user) for user in new]
    assert activity.new_over_time({*new, 1000}) == Counter(map(period.bucket, firsts))


def test_users_of_a_part_are_told_apart_by_what_their_sessions_ran_on_then() -> None:
    days = {
        PROFILES[0]: {1: 0b001, 2: 0b100},
        PROFILES[1]: {1: 0b010},
        PROFILES[2]: {3: 0b001},
    }
    period = Period(FIRST, FIRST + dt.timedelta(days=2))
    activity = Activity(period, [(on, rows(period, of)) for on, of in days.items()])
    first_two = Period(FIRST, FIRST + dt.timedelta(days=1))
    found = activity.by_facet(first_two)
    assert found["platform"] == {"linux": 1, "darwin": 1}
    assert found["container"] == {"docker": 2, "unknown": 1}
    assert found["language"] == {"python 3.12": 2}
    assert set(found) == set(FACETS)
    assert activity.users(first_two) == 2
