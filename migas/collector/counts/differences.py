"""What fails in one version and not in another one, or in one more often than in the other."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Literal, NamedTuple

from sqlalchemy import distinct, func, select

from migas.collector.counts.chance import VERY_CONFIDENT, compared
from migas.collector.counts.fingerprint import node_of
from migas.collector.counts.sessions import error_name
from migas.collector.database.tables import MAX_VALUE_CHARS, crumbs, sessions

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from migas.collector.counts.filters import Filter
    from migas.collector.database.connections import Connections
    from migas.collector.days import Period

Where = Literal["first", "second", "both"]


class Hits(NamedTuple):
    """How many sessions of a version an error met, and how many known users of it."""

    sessions: int = 0
    users: int = 0


class Difference(NamedTuple):
    """An error in two versions.

    `name` is its fingerprint, `node` that of a pipeline, empty without one, `message` the newest
    one. `verdict` is 1 where the first version meets it more often than the second one by more
    than chance, -1 where it does less often, else 0.
    """

    name: str
    error_type: str
    node: str
    message: str | None
    first: Hits
    second: Hits
    verdict: int

    @property
    def where(self) -> Where:
        """In which of the two versions it was seen."""
        if not self.second.sessions:
            return "first"
        return "both" if self.first.sessions else "second"


async def differences(
    connections: Connections,
    project: str,
    period: Period,
    only: Filter,
    *,
    versions: Mapping[str, int],
    limit: int,
) -> tuple[list[Difference], dict[Where, int]]:
    """The errors of two versions.

    Args:
        connections: To the database.
        project: `owner/repo`.
        period: Which days.
        only: Which sessions.
        versions: The first version and the second one, and how many sessions each of them has,
            ended in whichever way.
        limit: How many errors are told of those that the one, the other or both have.

    Returns:
        The errors, those first that differ by more than chance, then those that met most sessions;
        and how many there are in all by the versions that have them.
    """
    hit = (func.count(), func.count(distinct(sessions.c.user_id)), func.max(sessions.c.last_idx))
    by = (sessions.c.fingerprint, sessions.c.version)
    query = (
        select(*by, *hit)
        .where(
            *only.within(project, period),
            sessions.c.fingerprint.isnot(None),
            sessions.c.version.in_(versions),
        )
        .group_by(*by)
    )
    hits: defaultdict[int, dict[str, Hits]] = defaultdict(dict)
    newest: defaultdict[int, int] = defaultdict(int)
    async with connections.reading() as connection:
        for fingerprint, version, number, users, last in await connection.execute(query):
            hits[fingerprint][version] = Hits(number, users)
            newest[fingerprint] = max(newest[fingerprint], last)
        found = [
            _difference(
                fingerprint, [(by_version.get(name, Hits()), versions[name]) for name in versions]
            )
            for fingerprint, by_version in hits.items()
        ]
        kept, numbers = _most_telling(found, limit)
        last_of = {error.name: newest[int(error.name, 16)] for error in kept}
        columns = (crumbs.c.idx, crumbs.c.error_type, crumbs.c.status_desc, crumbs.c.error_desc)
        said = select(*columns).where(crumbs.c.idx.in_(last_of.values()))
        messages = {row.idx: row for row in await connection.execute(said)}
    told = []
    for error in kept:
        row = messages.get(last_of[error.name])
        if row is not None:  # between two questions it may have been deleted
            told.append(
                error._replace(
                    error_type=row.error_type[:MAX_VALUE_CHARS],
                    node=node_of(row.status_desc, row.error_desc),
                    message=row.error_desc,
                )
            )
    return told, numbers


def _difference(fingerprint: int, hits: Sequence[tuple[Hits, int]]) -> Difference:
    """An error of two versions, by its hits and by how many sessions each version has."""
    # Between two questions some sessions may have come.
    one, other = ((hit.sessions, max(whole, hit.sessions)) for hit, whole in hits)
    verdict = compared(one, other, VERY_CONFIDENT)
    return Difference(error_name(fingerprint), "", "", None, hits[0][0], hits[1][0], verdict)


def _most_telling(
    found: Iterable[Difference], limit: int
) -> tuple[Sequence[Difference], dict[Where, int]]:
    """Some of each kind, and how many there are."""
    kept: list[Difference] = []
    numbers: dict[Where, int] = {"first": 0, "second": 0, "both": 0}
    for error in sorted(
        found,
        key=lambda error: (
            error.verdict == 0,
            -error.first.sessions - error.second.sessions,
            error.name,
        ),
    ):
        numbers[error.where] += 1
        if numbers[error.where] <= limit:
            kept.append(error)
    return kept, numbers
