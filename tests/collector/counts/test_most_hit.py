"""Whom errors hit, whichever way their users are counted."""

from __future__ import annotations

import random
import sqlite3
from collections import defaultdict
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from sqlalchemy import Engine, event

from migas.collector.counts import most_hit
from migas.collector.counts.filters import A_MONTH, Filter
from migas.collector.counts.most_hit import MostHit
from migas.collector.days import Period
from tests.collector.counts.asking import DAY, WEDNESDAY, asked, failed, run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from migas.collector.counts.most_hit import Hits
    from migas.collector.counts.reports import Reports
    from tests.collector.counts.asking import Sent
    from tests.collector.databases import Database

KINDS = ("OSError", "KeyError", "ValueError", "TypeError")
MOST = (
    {"platform": "linux"},
    {"ci": "no"},
    {"ci": "no", "platform": "linux"},
    {"platform": "linux", "outcome": "failed"},
)
"""Filters that leave more sessions than they leave out."""

UP_TO_TODAY = tuple(Period(WEDNESDAY - first * DAY, WEDNESDAY) for first in (69, 55, A_MONTH))


def failures() -> list[Sent]:
    """Failures of few users, who meet an error here and there, then and now, or are nobody."""
    chosen = random.Random(11)
    sent = []
    for number, days_ago in enumerate(sorted(chosen.choices(range(70), k=300), reverse=True), 1):
        user = chosen.randrange(25)
        fields = {
            "user_id": str(UUID(int=user, version=4)) if user else None,
            "platform": chosen.choice(("linux", "linux", "linux", "darwin")),
            "is_ci": chosen.random() < 0.2,
        }
        kind, version = chosen.choice(KINDS), chosen.choice(("1.0", "1.1"))
        sent.append(failed(number, kind, "full", version, days_ago=days_ago, **fields))
        if chosen.random() < 0.1:
            sent.append(run(number, days_ago, project_version=version, **fields))
    return sent


def meant(sent: Sequence[Sent], values: dict[str, str], period: Period) -> list[tuple[int, int]]:
    """How many users and sessions each error met, the most first, each session looked at."""
    users: dict[str, set[str]] = defaultdict(set)
    met: dict[str, int] = defaultdict(int)
    last = {fields["session_id"]: (days_ago, fields) for days_ago, fields in sent}
    for days_ago, fields in last.values():
        if (
            fields["status"] == "F"
            and period.first <= WEDNESDAY - days_ago * DAY <= period.last
            and fields["platform"] == values.get("platform", fields["platform"])
            and not (values.get("ci") == "no" and fields["is_ci"])
        ):
            met[fields["error_type"]] += 1
            users[fields["error_type"]] |= {fields["user_id"]} - {None}
    return sorted(((len(users[of]), met[of]) for of in met), reverse=True)


@pytest.fixture
def never_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """However much a filter leaves out, it is told by that."""
    monkeypatch.setattr(most_hit, "MOST", 0.0)

    def never(*_: object) -> None:
        raise AssertionError("they were counted one by one")

    monkeypatch.setattr(MostHit, "_hits_one_by_one", never)


@pytest.mark.usefixtures("never_one_by_one")
@pytest.mark.parametrize("values", MOST, ids=[" ".join(of.values()) for of in MOST])
def test_users_of_most_are_all_but_those_who_met_an_error_elsewhere_alone(
    values: dict[str, str], database: Database
) -> None:
    sent = failures()

    async def question(reports: Reports) -> list[list[Hits]]:
        only = await reports.resolved("a/b", Filter.read(values))
        return [await reports.most_hit("a/b", period, only, 10) for period in UP_TO_TODAY]

    for period, found in zip(UP_TO_TODAY, asked(database, sent, question), strict=True):
        assert [(of.users, of.sessions) for of in found] == meant(sent, values, period)


@pytest.mark.usefixtures("never_one_by_one")
def test_an_error_that_is_all_elsewhere_is_left_out(database: Database) -> None:
    sent = [run(number, platform="linux") for number in range(1, 6)]
    sent.append(failed(6, "OSError", "full", platform="linux"))
    sent.append(failed(7, "KeyError", "full", platform="darwin"))

    async def question(reports: Reports) -> list[Any]:
        only = await reports.resolved("a/b", Filter(platform="linux"))
        return [error.error_type for error in await reports.errors("a/b", UP_TO_TODAY[0], only)]

    assert asked(database, sent, question) == ["OSError"]


@pytest.mark.usefixtures("never_one_by_one")
def test_one_who_fails_again_and_again_is_looked_up_once(sqlite: Database) -> None:
    """A look-up for each failure would go through all of them each time."""
    times = 300
    loop = {"platform": "win32", "user_id": str(UUID(int=1, version=4))}
    sent = [failed(number, "OSError", "full", **loop) for number in range(times)]
    sent += [run(times + number, platform="linux") for number in range(times + 1)]
    sent.append(failed(2 * times + 1, "OSError", "full", platform="linux"))
    steps: list[None] = []

    def count(connection: object, _record: object) -> None:
        if isinstance(connection, sqlite3.Connection):  # those that answer many rows
            connection.set_progress_handler(lambda: steps.append(None), 100)

    async def question(reports: Reports) -> list[Hits]:
        only = await reports.resolved("a/b", Filter(platform="linux"))
        return await reports.most_hit("a/b", UP_TO_TODAY[0], only, 10)

    asked(sqlite, sent, question)
    event.listen(Engine, "connect", count)
    try:
        (error,) = asked(sqlite, [], question)
    finally:
        event.remove(Engine, "connect", count)
    assert (error.users, error.sessions) == (0, 1)
    assert 0 < len(steps) * 100 < 100 * times
