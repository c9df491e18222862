"""What a project's tables have in a row, and how rows are written as JSON and as CSV."""

from __future__ import annotations

import csv
import datetime as dt
import io
import re
from dataclasses import asdict, dataclass, fields
from inspect import getdoc
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

# At the beginning of any line: some programs take a field's lines apart.
_FORMULA = re.compile(r"^(?=\s*[=+\-@\t\r\uff0b\uff0d\uff1d\uff20])", re.MULTILINE)
_STEERING = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True, slots=True)
class SessionsRow:
    """How the sessions of a day, week or month ended.

    `start` is its first day. A session counts on the day it ended where its program says when, else
    on the day it began. `sessions` are `completed`, `failed`, `suspended` and `running` ones,
    with today's. `rated` are those that ended before today, which is not over, or today where there
    are no others; `completion_rate` is `rated_completed` in percent of them, empty where there are
    none. `unfinished` says that today is among its days.
    """

    start: dt.date
    sessions: int
    completed: int
    failed: int
    suspended: int
    running: int
    rated: int
    rated_completed: int
    completion_rate: float | None
    unfinished: bool


@dataclass(frozen=True, slots=True)
class VersionRow:
    """How the sessions of a version ended.

    `sessions` are `completed`, `failed`, `suspended` and `running` ones, with today's. `rated` are
    those that ended before today, which is not over, or today where the project has no others;
    `completion_rate` is `rated_completed` in percent of them, empty where there are none, and
    `rate_low` and `rate_high` are its 95 % interval.
    """

    version: str
    sessions: int
    completed: int
    failed: int
    suspended: int
    running: int
    rated: int
    rated_completed: int
    completion_rate: float | None
    rate_low: float | None
    rate_high: float | None


@dataclass(frozen=True, slots=True)
class AdoptionRow:
    """How many sessions a version has in a day, week or month, and in percent of all then."""

    start: dt.date
    version: str
    sessions: int
    share: float
    unfinished: bool


@dataclass(frozen=True, slots=True)
class ErrorRow:
    """An error with which sessions failed.

    `error` is its fingerprint, `first` and `last` are the days on which it was first and last seen
    of all, `mark` is `new` or `back` where a release, `since`, brought it or brought it back.
    `message` is the newest one.
    """

    error: str
    error_type: str
    node: str
    users: int
    sessions: int
    first: dt.date | None
    first_version: str | None
    last: dt.date | None
    last_version: str | None
    mark: str
    since: str
    message: str | None


@dataclass(frozen=True, slots=True)
class UsersRow:
    """The users of a day, week or month, those seen for the first time, and their sessions.

    With filters `new` are those of whom nothing at all was seen before the first of all these days,
    in the day, week or month in which the filters first show them.
    """

    start: dt.date
    users: int
    new: int
    returning: int
    sessions: int
    unfinished: bool


@dataclass(frozen=True, slots=True)
class DurationRow:
    """How long the runs of a day, week or month took that completed.

    `median` and `p90` are seconds within which half and nine of ten were over, estimated within
    2 %, and empty where no run says how long it took.
    """

    start: dt.date
    runs: int
    median: float | None
    p90: float | None
    unfinished: bool


@dataclass(frozen=True, slots=True)
class VersionDurationRow:
    """How long the runs of a version took that completed.

    `median` and `p90` are seconds within which half and nine of ten were over, estimated within
    2 %. `change` is `slower` or `faster` where they took longer or shorter than those of the
    version before it, `before`, by more than chance and that estimate.
    """

    version: str
    runs: int
    median: float | None
    p90: float | None
    before: str | None
    change: str


@dataclass(frozen=True, slots=True)
class EnvironmentRow:
    """How many sessions ran on something, and how many users have it now and had it before.

    `kind` is `platform`, `container`, `language`, `ci` or `user`, the kind of user. `users_before`
    are those of the period of the same length before this one, `users_first_half` and
    `users_second_half` those of the halves of this one. `trend` is `grows` or `shrinks` where the
    share of all users differs between these by more than chance; of kinds of users all three are
    left empty.
    """

    kind: str
    value: str
    sessions: int
    users: int
    users_before: int
    users_first_half: int | None = None
    users_second_half: int | None = None
    trend: str = ""


@dataclass(frozen=True, slots=True)
class WhereRow:
    """How many sessions that have a value failed with an error, beside all that have it.

    `kind` is `version`, `platform`, `container`, `language` or `ci`. `share` is in percent of the
    sessions that failed with the error, `share_of_all` in percent of all sessions, and `times` the
    rate of failures among those that have the value by the rate among all. `difference` is `more`
    or `less` where that differs from the other sessions by more than chance, else empty.
    """

    kind: str
    value: str
    failed: int
    sessions: int
    share: float
    share_of_all: float
    times: float
    difference: str


@dataclass(frozen=True, slots=True)
class PeriodRow:
    """The sessions, users and durations of a period, of the one before it, and of a year ago.

    `period` is `now`, `before` or `a year ago`: 52 weeks, so that the days of the week are the
    same; that of a year ago is left out where it is nearly the one before. `since` and `until` are
    the days that are told of: where today, which is not over, is the last of several, all three are
    told of without their last day. `sessions` are `completed`, `failed`, `suspended` and `running`
    ones. `rated` are those that ended; `completion_rate` is `rated_completed` in percent of them,
    empty where there are none, and `rate_low` and `rate_high` are its 95 % interval. `change` is
    `more` or `fewer` where more or fewer complete `now` than then by more than chance.

    Of the `users`, `new_users` were seen for the first time; of very many, both are estimates that
    are within `margin` percent of all users in 95 of 100 cases, and exact where that is 0. `runs`
    completed and said how long they took: half and nine of ten were over within `median` and
    `p90` seconds, estimated within 2 %. `duration_change` is `slower` or `faster` where they take
    longer or shorter `now` than then by more than chance and that estimate.
    """

    period: str
    since: dt.date
    until: dt.date
    sessions: int
    completed: int
    failed: int
    suspended: int
    running: int
    rated: int
    rated_completed: int
    completion_rate: float | None
    rate_low: float | None
    rate_high: float | None
    change: str
    users: int
    new_users: int
    margin: float
    runs: int
    median: float | None
    p90: float | None
    duration_change: str


@dataclass(frozen=True, slots=True)
class DifferenceRow:
    """An error in two versions, `first` and `second`, or in one of them.

    `where` is `first`, `second` or `both`. The shares are percent of all sessions of that version,
    however they ended. `change` is `more` or `less` where the first version meets it more or less
    often than the second one by more than chance. `message` is of the newest, as its sender
    redacted it.
    """

    error: str
    error_type: str
    node: str
    where: str
    first: str
    first_sessions: int
    first_users: int
    first_share: float | None
    second: str
    second_sessions: int
    second_users: int
    second_share: float | None
    change: str
    message: str | None


@dataclass(frozen=True, slots=True)
class LostRow:
    """A run that began and never said how it ended, nor anything at all for a day or longer.

    `run` is the id of its session, `began` and `seen` when it was first and last heard of, in UTC.
    """

    run: str
    version: str
    began: dt.datetime
    seen: dt.datetime


Row = (
    SessionsRow
    | PeriodRow
    | LostRow
    | VersionRow
    | AdoptionRow
    | ErrorRow
    | WhereRow
    | UsersRow
    | EnvironmentRow
    | DurationRow
    | VersionDurationRow
    | DifferenceRow
)


ROWS: dict[str, type[Row]] = {
    "sessions": SessionsRow,
    "periods": PeriodRow,
    "versions": VersionRow,
    "adoption": AdoptionRow,
    "errors": ErrorRow,
    "where": WhereRow,
    "differences": DifferenceRow,
    "users": UsersRow,
    "durations": DurationRow,
    "version-durations": VersionDurationRow,
    "environments": EnvironmentRow,
    "lost": LostRow,
}
"""What each table of `Tables` has in a row."""


def explained(name: str) -> str:
    """What the columns of a table mean, with their names in backticks; empty where they say it."""
    return (getdoc(ROWS[name]) or "").partition("\n\n")[2]


def plain(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Rows as JSON has them, by HTTP, in files and from commands.

    Days are texts like 2026-01-31, and times go on behind a T, as in 2026-01-31T14:03:00Z.
    """
    return [{name: _written(value) for name, value in asdict(row).items()} for row in rows]


def _written(value: object) -> object:
    if isinstance(value, dt.datetime):
        return value.isoformat().replace("+00:00", "Z")  # as FastAPI has it
    return value.isoformat() if isinstance(value, dt.date) else value


def as_csv(name: str, rows: Sequence[Row]) -> str:
    """A table as CSV with a heading, every field in quotation marks."""
    out = io.StringIO()
    table = csv.writer(out, quoting=csv.QUOTE_ALL)
    table.writerow([field.name for field in fields(ROWS[name])])
    table.writerows([csv_cell(value) for value in row.values()] for row in plain(rows))
    return out.getvalue()


def csv_cell(value: object) -> object:
    """A value in CSV, for strangers' texts: no formula is run, and nothing steers a terminal."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _FORMULA.sub("'", _STEERING.sub(lambda found: ascii(found[0])[1:-1], value))
    return value
