"""What fails in one version and not in another one, or in one more often than in the other."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Literal, NamedTuple

from sqlalchemy import (
    BigInteger,
    String,
    cast,
    distinct,
    func,
    literal_column,
    select,
    union_all,
)

from migas.collector.counts.chance import VERY_CONFIDENT, compared
from migas.collector.counts.failures import Failures, said
from migas.collector.counts.fingerprint import node_of
from migas.collector.counts.sessions import (
    ERROR,
    VERSIONS_LONG,
    error_name,
    first_long_day,
)
from migas.collector.counts.slices import WEEKS, starts_in
from migas.collector.database.tables import MAX_VALUE_CHARS, daily, sessions
from migas.collector.days import day_number

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from migas.collector.counts.filters import Filter
    from migas.collector.days import Period

_AT_ONCE = 5000
"""So many errors are named to the database in one question."""

# In other words SQLite would take the index, which leads to errors and has all of a project's.
_IS_WEEKLY = daily.c.kind == literal_column("'weekly ' || 'versions'", String)

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


class Differing(Failures):
    """What fails in two versions of a project."""

    async def differences(
        self,
        project: str,
        period: Period,
        only: Filter,
        *,
        versions: Mapping[str, int],
        limit: int,
    ) -> tuple[list[Difference], dict[Where, int]]:
        """The errors of two versions.

        Args:
            project: `owner/repo`.
            period: Which days.
            only: Which sessions.
            versions: The first version and the second one, and how many sessions each of them
                has, ended in whichever way.
            limit: How many errors are told of those that the one, the other or both have.

        Returns:
            The errors, those first that differ by more than chance, then those that met most
            sessions; and how many there are in all by the versions that have them.
        """
        hits: defaultdict[int, dict[str, int]] = defaultdict(dict)
        for fingerprint, version, number in await self._of_versions(
            project, period, only, versions
        ):
            hits[fingerprint][version] = number
        found = [
            _difference(of, [(by_version.get(name, 0), versions[name]) for name in versions])
            for of, by_version in hits.items()
        ]
        kept, numbers = _most_telling(found, limit)
        of_kept = [int(error.name, 16) for error in kept]
        users, last_of = await self._users_of(project, period, only, versions, of_kept)
        messages = {row.idx: row for row in await self.rows(said(last_of.values()))}
        told = []
        for error, of in zip(kept, of_kept, strict=True):
            row = messages.get(last_of.get(of, -1))
            if row is not None:  # between two questions it may have been deleted
                first, second = (users.get((of, name), 0) for name in versions)
                told.append(
                    error._replace(
                        error_type=row.error_type[:MAX_VALUE_CHARS],
                        node=node_of(row.status_desc, row.error_desc),
                        message=row.error_desc,
                        first=error.first._replace(users=first),
                        second=error.second._replace(users=second),
                    )
                )
        return told, numbers

    async def _of_versions(
        self, project: str, period: Period, only: Filter, versions: Collection[str]
    ) -> list[tuple[int, str, int]]:
        """Errors, versions that have them, and in how many sessions."""
        if not only:
            total = cast(func.sum(daily.c.sessions), BigInteger)
            parts = []
            for span, starts in starts_in(period, charted=False, spans=WEEKS):
                is_kind, *by = daily.c.kind == ERROR, daily.c.value, daily.c.detail
                if span != 1:
                    is_kind, *by = _IS_WEEKLY, daily.c.detail, daily.c.value
                counts = select(*by, total).group_by(*by).having(total > 0)
                these = is_kind, daily.c.day.in_(starts), by[1].in_(versions)
                parts.append(counts.where(daily.c.project == project, *these))
            counted: Counter[tuple[int, str]] = Counter()
            for name, version, number in await self.chained(union_all(*parts)):
                counted[int(name, 16), version] += number
            return [(*key, number) for key, number in counted.items()]
        if only.outcome not in (None, "failed"):
            return []
        start, last = first_long_day(day_number(period.first)), day_number(period.last)
        known = select(daily.c.detail).where(
            daily.c.project == project,
            daily.c.kind == VERSIONS_LONG,
            daily.c.day.between(start, last),
            daily.c.value.in_(versions),
        )
        some = [int(name, 16) for (name,) in await self.chained(known.distinct())]
        if only.error is not None:
            some = [of for of in some if error_name(of) == only.error]
        keys = (sessions.c.fingerprint, sessions.c.version)
        those = only.with_(error=None, outcome=None).within(project, period, by_time=False)
        query = select(*keys, func.count()).where(*those, sessions.c.version.in_(versions))
        found: list[tuple[int, str, int]] = []
        for begin in range(0, len(some), _AT_ONCE):
            which = sessions.c.fingerprint.in_(some[begin : begin + _AT_ONCE])
            found += [tuple(row) for row in await self.scanned(query.where(which).group_by(*keys))]
        return found

    async def _users_of(
        self,
        project: str,
        period: Period,
        only: Filter,
        versions: Collection[str],
        fingerprints: Sequence[int],
    ) -> tuple[dict[tuple[int, str], int], dict[int, int]]:
        """Of errors how many users they hit in each version, and the last breadcrumb of each."""
        keys = (sessions.c.fingerprint, sessions.c.version)
        query = select(
            *keys, func.count(distinct(sessions.c.user_number)), func.max(sessions.c.last_idx)
        ).where(
            *only.with_(error=None).within(project, period, by_time=False),
            sessions.c.fingerprint.in_(fingerprints),
            sessions.c.version.in_(versions),
        )
        users: dict[tuple[int, str], int] = {}
        newest: dict[int, int] = {}
        for of, version, number, last in await self.scanned(query.group_by(*keys)):
            users[of, version] = number
            newest[of] = max(last, newest.get(of, last))
        return users, newest


def _difference(fingerprint: int, hits: Sequence[tuple[int, int]]) -> Difference:
    """An error of two versions, by its sessions in each and by how many each version has."""
    # Between two questions some sessions may have come.
    one, other = ((hit, max(whole, hit)) for hit, whole in hits)
    verdict = compared(one, other, VERY_CONFIDENT)
    first, second = Hits(one[0]), Hits(other[0])
    return Difference(error_name(fingerprint), "", "", None, first, second, verdict)


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
