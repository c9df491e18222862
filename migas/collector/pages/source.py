"""Where the pages' figures come from: daily counts, read in a handful of small queries."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from packaging.version import InvalidVersion, Version
from sqlalchemy import func, select

from migas.collector.counts import reports
from migas.collector.counts.sessions import OUTCOME
from migas.collector.database.tables import daily, releases
from migas.collector.pages.figures import (
    Failure,
    Outcomes,
    Project,
    Share,
    Summary,
    Unheard,
    bars_of,
    outcomes_of,
    total,
)
from migas.collector.pages.figures import Version as VersionFigures
from migas.collector.pages.periods import day_number

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from migas.collector.collector import Collector
    from migas.collector.pages.periods import Period
    from migas.collector.tokens import Access

_Key = TypeVar("_Key")

MAX_VERSIONS = 50
"""Whoever reports runs names their versions: a page must not grow with what strangers make up."""

MAX_FAILURES = 10
MAX_SHARES = 8

_FACETS: dict[str, reports.Facet] = {
    "Platforms": "platform",
    "Containers": "container",
    "Languages": "language",
    "Continuous integration": "ci",
}
_LABELS: dict[tuple[reports.Facet, str], str] = {
    ("ci", "yes"): "CI",
    ("ci", "no"): "not CI",
    ("container", "unknown"): "none, or not known",
}


async def summaries(collector: Collector, access: Access | None, period: Period) -> list[Summary]:
    """The projects that may be seen, those with most sessions in a period first."""
    names = await collector.reports.visible_projects(access)
    counts = (
        select(daily.c.project, daily.c.day, daily.c.detail, func.sum(daily.c.sessions))
        .where(
            daily.c.project.in_(names),
            daily.c.kind == OUTCOME,
            daily.c.day >= day_number(period.first),
            daily.c.day <= day_number(period.last),
        )
        .group_by(daily.c.project, daily.c.day, daily.c.detail)
    )
    newest = select(releases.c.project, releases.c.latest).where(releases.c.project.in_(names))
    async with collector.connections.reading() as connection:
        found = [tuple(row) for row in await connection.execute(counts)]
        latest = {row.project: row.latest for row in await connection.execute(newest)}
    by_project_and_day = _outcomes(((row[0], row[1]), row[2], row[3]) for row in found)
    first = day_number(period.first)
    listed = []
    for name in names:
        by_day = [
            by_project_and_day.get((name, first + day), Outcomes()) for day in range(period.days)
        ]
        sessions = [outcomes.total for outcomes in by_day]
        listed.append(Summary(name, latest.get(name, ""), total(by_day), sessions))
    return sorted(listed, key=lambda summary: (-summary.outcomes.total, summary.name))


async def project(collector: Collector, name: str, period: Period) -> Project:
    """Everything that a project's page shows of a period."""
    ask = collector.reports
    days, earlier = _days(period), _days(period.before)
    usage = await ask.usage(name, days)
    by_day = _outcomes((day_number(row.day), row.status, row.sessions) for row in usage)
    by_version = _outcomes((row.version, row.status, row.sessions) for row in usage)
    before = await ask.sessions(name, earlier)
    users = await ask.users(name, days)
    lost = await ask.lost_runs(name, days)
    release = await collector.projects.release(name)
    shown, others = _most_frequent(by_version, release.latest)
    return Project(
        name,
        period,
        latest=release.latest if release.is_known else "",
        flagged=release.flagged,
        outcomes=total(by_day.values()),
        before=total(_outcomes((row.start, row.status, row.sessions) for row in before).values()),
        users=users.active,
        new_users=users.new,
        bars=bars_of(by_day, period),
        versions=[VersionFigures(version, by_version[version]) for version in shown],
        other_versions=total(by_version[version] for version in others),
        other_versions_number=len(others),
        failures=[
            Failure(error.error_type, error.sessions, error.versions, error.message or "")
            for error in await ask.errors(name, days, MAX_FAILURES)
        ],
        shares={
            heading: [
                Share(_label(facet, share.value), share.sessions)
                for share in await ask.shares(name, days, facet, MAX_SHARES)
            ]
            for heading, facet in _FACETS.items()
        },
        unheard=[Unheard(run.session_id, run.version, run.began, run.seen) for run in lost.latest],
        unheard_total=lost.number,
    )


def _days(period: Period) -> reports.Period:
    return reports.Period(period.first, period.last)


def _label(facet: reports.Facet, value: str) -> str:
    return _LABELS.get((facet, value), value)


def _outcomes(rows: Iterable[tuple[_Key, str, int]]) -> dict[_Key, Outcomes]:
    """Counts by a key and a status, as outcomes by the key."""
    found: dict[_Key, dict[str, int]] = {}
    for key, status, number in rows:
        by_status = found.setdefault(key, {})
        by_status[status] = by_status.get(status, 0) + int(number)
    return {key: outcomes_of(by_status) for key, by_status in found.items()}


def _most_frequent(by_version: Mapping[str, Outcomes], latest: str) -> tuple[list[str], list[str]]:
    """The versions to show, the newest first, and the others; the named newest one is shown."""
    ranked = sorted(
        by_version, key=lambda version: (version != latest, -by_version[version].total, version)
    )
    shown = sorted(ranked[:MAX_VERSIONS], key=_newest_first, reverse=True)
    return shown, ranked[MAX_VERSIONS:]


def _newest_first(version: str) -> tuple[bool, Version, str]:
    """A key by which PEP 440's versions come in their order, and before whatever is none."""
    try:
        return True, Version(version), version
    except InvalidVersion:
        return False, Version("0"), version
