"""A project's figures as tables, for people with a spreadsheet, a notebook or a script."""

from __future__ import annotations

import csv
import datetime as dt  # noqa: TC003  FastAPI reads the annotations when it runs
import io
import re
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from migas.collector.counts.comparison import ENOUGH, version_before
from migas.collector.counts.durations import longer, quantile
from migas.collector.counts.outcomes import Outcomes, outcomes_by, rated
from migas.collector.projects.versions import version_order

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from migas.collector.counts.filters import Filter
    from migas.collector.counts.lasting import Durations
    from migas.collector.counts.reports import Reports
    from migas.collector.days import Period

MAX_ERRORS = 1000
# At the beginning of any line: some programs take a field's lines apart.
_FORMULA = re.compile(r"^(?=\s*[=+\-@\t\r\uff0b\uff0d\uff1d\uff20])", re.MULTILINE)
_STEERING = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True, slots=True)
class SessionsRow:
    """How the sessions that began in a day, week or month ended.

    `start` is its first day, `completion_rate` in percent of those that ended, without today;
    None where none did. `unfinished` says that it has today in it, which is not over.
    """

    start: dt.date
    sessions: int
    completed: int
    failed: int
    suspended: int
    running: int
    completion_rate: float | None
    unfinished: bool


@dataclass(frozen=True, slots=True)
class VersionRow:
    """How the sessions of a version ended.

    `completion_rate` is in percent of the `rated` sessions, those that ended before today;
    `rate_low` and `rate_high` are its 95 % interval.
    """

    version: str
    sessions: int
    completed: int
    failed: int
    suspended: int
    running: int
    rated: int
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

    `error` is its fingerprint, `first` and `last` are days since anything was counted, `mark` is
    `new` or `back` where a release, `since`, brought it or brought it back. `message` is the
    newest one.
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
    """The users of a day, week or month, those seen for the first time, and their sessions."""

    start: dt.date
    users: int
    new: int
    returning: int
    sessions: int
    unfinished: bool


@dataclass(frozen=True, slots=True)
class DurationRow:
    """How long runs took that completed: those of a day, week or month, or those of a version.

    One of `start` and `version` is None. `median` and `p90` are seconds within which half and nine
    of ten were over, estimated within 2 %. `change` says of a version that it is `slower` or
    `faster` than the one before it, `before`, by more than chance and that estimate.
    """

    start: dt.date | None
    version: str | None
    runs: int
    median: float | None
    p90: float | None
    before: str | None
    change: str
    unfinished: bool


@dataclass(frozen=True, slots=True)
class EnvironmentRow:
    """How many sessions ran on something, and how many users have it now and had it before.

    `kind` is `platform`, `container`, `language` or `ci`; `users_before` are those of the period
    of the same length before this one.
    """

    kind: str
    value: str
    sessions: int
    users: int
    users_before: int


Row = SessionsRow | VersionRow | AdoptionRow | ErrorRow | UsersRow | EnvironmentRow | DurationRow


class Tables:
    """The tables of one project, of a period and the sessions of a filter.

    Args:
        reports: Where the figures come from.
        project: `owner/repo`.
        period: Which days, and what is counted together.
        only: Which sessions.
        today: The present day, which is not over.
    """

    def __init__(
        self, reports: Reports, project: str, period: Period, only: Filter, today: dt.date
    ) -> None:
        self._reports = reports
        self._asked = (project, period, only)
        self._period = period
        self._today = today

    async def sessions(self) -> list[SessionsRow]:
        """Sessions by the day, week or month they began, and by how they ended; none left out."""
        usage = await self._reports.usage(*self._asked)
        every, finished = (
            outcomes_by((self._period.bucket(row.day), row.status, row.sessions) for row in rows)
            for rows in (usage, [row for row in usage if row.day < self._today])
        )
        return [
            SessionsRow(
                start,
                *_numbers(every.get(start, Outcomes())),
                _rounded(finished.get(start, Outcomes()).rate),
                self._is_open(start),
            )
            for start in self._period.buckets()
        ]

    async def versions(self) -> list[VersionRow]:
        """Sessions by version, the newest first, with the completion rate and its 95 % interval."""
        usage = await self._reports.usage(*self._asked)
        every, finished = (
            outcomes_by((row.version, row.status, row.sessions) for row in rows)
            for rows in (usage, rated(usage, self._today))
        )
        found = []
        for version in sorted(every, key=version_order, reverse=True):
            ended = finished.get(version, Outcomes())
            low, high = ended.interval or (None, None)
            numbers = _numbers(every[version])
            rates = (_rounded(ended.rate), _rounded(low), _rounded(high))
            found.append(VersionRow(version, *numbers, ended.ended, *rates))
        return found

    async def adoption(self) -> list[AdoptionRow]:
        """Sessions by the day, week or month they began, and by version, the newest first."""
        found: defaultdict[dt.date, Counter[str]] = defaultdict(Counter)
        for row in await self._reports.usage(*self._asked):
            found[self._period.bucket(row.day)][row.version] += row.sessions
        return [
            AdoptionRow(
                start,
                version,
                by_version[version],
                round(100 * by_version[version] / by_version.total(), 2),
                self._is_open(start),
            )
            for start, by_version in sorted(found.items())
            for version in sorted(by_version, key=version_order, reverse=True)
        ]

    async def errors(self) -> list[ErrorRow]:
        """Errors, those that hit most users first."""
        found = await self._reports.errors(*self._asked, MAX_ERRORS)
        rows = []
        for error in found:
            first, last, mark, since = error.history
            rows.append(
                ErrorRow(
                    error=error.name,
                    error_type=error.error_type,
                    node=error.node,
                    users=error.users,
                    sessions=error.sessions,
                    first=first and first.day,
                    first_version=first and first.version,
                    last=last and last.day,
                    last_version=last and last.version,
                    mark=mark,
                    since=since,
                    message=error.message,
                )
            )
        return rows

    async def users(self) -> list[UsersRow]:
        """Users by the day, week or month, none left out: all, new and returning."""
        return self.of_users(await self._reports.users_over_time(*self._asked))

    def of_users(self, found: Mapping[dt.date, tuple[int, int, int]]) -> list[UsersRow]:
        """The rows of some users, those that are new, and their sessions."""
        rows = []
        for start in self._period.buckets():
            users, new, sessions = found.get(start, (0, 0, 0))
            new = min(new, users)
            rows.append(UsersRow(start, users, new, users - new, sessions, self._is_open(start)))
        return rows

    async def durations(self) -> list[DurationRow]:
        """How long runs took that completed: by the day, week or month, then by version.

        Quantiles are estimates within 2 %. Of many sessions they are told by version alone: with
        other filters the answer is empty then.
        """
        found = await self._reports.durations(*self._asked)
        return [] if found is None else self.timed(found)

    def timed(self, found: Durations) -> list[DurationRow]:
        """The rows of some durations."""
        rows = [
            _duration_row(
                found.by_time.get(start, {}), start=start, unfinished=self._is_open(start)
            )
            for start in self._period.buckets()
        ]
        enough = [name for name, of in found.by_version.items() if sum(of.values()) >= ENOUGH]
        for version in sorted(found.by_version, key=version_order, reverse=True):
            counts = found.by_version[version]
            before = version_before(version, enough) if version in enough else None
            verdict = longer(counts, found.by_version[before]) if before else 0
            change = ("", "slower", "faster")[verdict]
            rows.append(_duration_row(counts, version=version, before=before, change=change))
        return rows

    async def environments(self) -> list[EnvironmentRow]:
        """What sessions ran on: platforms, containers, languages and CI, with their users.

        Of each kind the most frequent come first.
        """
        project, period, only = self._asked
        _, shares = await self._reports.breakdown(project, period, only)
        _, now = await self._reports.users_by_facet(project, period, only)
        _, then = await self._reports.users_by_facet(project, period.before, only)
        return [
            EnvironmentRow(kind, value, number, now[kind][value], then[kind][value])
            for kind, found in shares.items()
            for value, number in sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))
        ]

    def _is_open(self, start: dt.date) -> bool:
        return self._period.bucket(self._today) == start


ROWS: dict[str, type[Row]] = {
    "sessions": SessionsRow,
    "versions": VersionRow,
    "adoption": AdoptionRow,
    "errors": ErrorRow,
    "users": UsersRow,
    "durations": DurationRow,
    "environments": EnvironmentRow,
}
"""What each table of `Tables` has in a row."""


def plain(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Rows as JSON has them: days are texts like 2026-01-31."""
    return [
        {
            name: value.isoformat() if hasattr(value, "isoformat") else value
            for name, value in asdict(row).items()
        }
        for row in rows
    ]


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


def _duration_row(
    counts: Mapping[int, int],
    *,
    start: dt.date | None = None,
    version: str | None = None,
    before: str | None = None,
    change: str = "",
    unfinished: bool = False,
) -> DurationRow:
    half, most = (_seconds(quantile(counts, share)) for share in (0.5, 0.9))
    runs = sum(counts.values())
    return DurationRow(start, version, runs, half, most, before, change, unfinished)


def _seconds(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")


def _numbers(of: Outcomes) -> tuple[int, int, int, int, int]:
    return of.total, of.completed, of.failed, of.suspended, of.running


def _rounded(share: float | None) -> float | None:
    return None if share is None else round(share, 2)
