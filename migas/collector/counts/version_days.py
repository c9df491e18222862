"""The active days of a version's users, on their way from visits, packed or not."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import BigInteger, Text, cast, null, select, union_all

from migas.collector.counts.activity import UserDays, row_bytes
from migas.collector.counts.packed_visits import days_of, part_of
from migas.collector.counts.reading import hexadecimal
from migas.collector.counts.visits import first_number, in_parts
from migas.collector.database.tables import packed_visits, visits
from migas.collector.days import BLOCK_DAYS, block_of, day_number

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from sqlalchemy import CompoundSelect

    from migas.collector.days import Period

_ALL_DAYS = (1 << BLOCK_DAYS) - 1

VersionDays = defaultdict[int, dict[int, int]]
"""By profile, the days of each user as bits, from the block on in which a period begins."""


class Sought(NamedTuple):
    """Which visits to a version are looked for.

    Attributes:
        project: `owner/repo`.
        version: The version.
        period: Which days.
        ending: How their sessions ended, one of `ENDINGS`; None for all of them.
        profiles: Their profiles; None for all of them.
    """

    project: str
    version: str
    period: Period
    ending: str | None
    profiles: Collection[int] | None

    def question(self, part: tuple[int, int], dialect: str) -> CompoundSelect[Any]:
        """The question for both kinds of visits at once, for meanwhile some may be packed.

        Args:
            part: From which of `SAMPLES` parts of all users to which.
            dialect: `sqlite` or `postgresql`.

        Returns:
            Rows of a block's first day and a visit's profile, user and days; where there are many
            visits in a row, two texts of hexadecimal digits follow, and the three are None.
        """
        of_period = block_of(day_number(self.period.first)), day_number(self.period.last)
        first, end = map(first_number, part)
        days = visits.c.days if self.ending is None else visits.c[self.ending]
        columns = visits.c.start, visits.c.profile, visits.c.user_number, days.label("days")
        absent = [cast(null(), Text).label(name) for name in ("packed_keys", "packed_days")]
        loose = select(*columns, *absent).where(
            visits.c.project == self.project,
            visits.c.version == self.version,
            visits.c.start.between(*of_period),
            in_parts(visits.c.user_number, part),
            days.isnot(None),
        )
        columns_of_loose = [cast(null(), BigInteger)] * 3
        packed = packed_visits.c
        texts = (hexadecimal(packed[name], dialect) for name in ("keys", self.ending or "days"))
        many = select(packed.start, *columns_of_loose, *texts).where(
            packed.project == self.project,
            packed.version == self.version,
            packed.start.between(*of_period),
            packed.part.between(part_of(first), part_of(end - 1)),
        )
        return union_all(loose, many)

    def add(
        self, found: VersionDays, rows: Iterable[tuple[Any, ...]], part: tuple[int, int]
    ) -> None:
        """Add to what was found what the answer tells; days outside of the period are left out.

        Args:
            found: What is known, of whichever other users.
            rows: The answer.
            part: As it was asked for.
        """
        first, last = day_number(self.period.first), day_number(self.period.last)
        origin = block_of(first)
        meant = (1 << (last + 1 - origin)) - (1 << (first - origin))
        users = tuple(map(first_number, part))
        for start, *visit, keys, days in rows:
            those: Iterable[Sequence[int]] = (visit,)
            if keys is not None:
                those = days_of(bytes.fromhex(keys), bytes.fromhex(days), *users)
            if self.profiles is not None:
                those = (of for of in those if of[0] in self.profiles)
            offset = start - origin
            _add_block(found, those, offset, meant >> offset & _ALL_DAYS)


def in_rows(found: VersionDays, period: Period) -> dict[int, UserDays]:
    """Users' days as rows of bytes."""
    width = row_bytes(day_number(period.first), day_number(period.last))
    return {
        profile: UserDays(
            list(users), bytearray(b"".join([days.to_bytes(width) for days in users.values()]))
        )
        for profile, users in found.items()
    }


def _add_block(found: VersionDays, those: Iterable[Sequence[int]], offset: int, meant: int) -> None:
    """Add the days of a block that are meant."""
    for profile, user, days in those:
        if active := days & meant:
            of_users = found[profile]
            of_users[user] = of_users.get(user, 0) | active << offset
