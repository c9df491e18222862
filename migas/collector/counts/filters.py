"""Which of a project's sessions a question is about: those that have some values in common."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from sqlalchemy import bindparam, false, func, or_, select

from migas.collector.counts.sessions import error_name
from migas.collector.counts.slices import EVERY
from migas.collector.database.tables import COUNTED_AT, RUNNING, profiles, sessions, slices
from migas.collector.database.value_lists import is_one_of
from migas.collector.days import SECONDS_A_DAY, day_number

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from sqlalchemy import ColumnElement, Select

    from migas.collector.days import Period

OUTCOMES = {"completed": "C", "failed": "F", "suspended": "S", "running": "R"}
"""How a session ended, as an address says it, and the letter that a row has."""

MAX_CHARS = 100

A_MONTH = 31
"""Those of so many days are found by their time among all that failed, those of more by what they
ran on. A database does not know which are fewer: it has no numbers of `COUNTED_AT`, or does not use
them."""


class SliceTerm(NamedTuple):
    """Rows of `slices` that are part of a sum.

    Attributes:
        where: The conditions that they have to meet.
        span_sign: 1 or -1: whether their `span` is above or below 0.
        is_taken_away: Whether their counts are subtracted.
    """

    where: tuple[ColumnElement[bool], ...]
    span_sign: int = 1
    is_taken_away: bool = False


@dataclass(frozen=True, slots=True)
class Filter:
    """The values that sessions must have; None where any will do.

    Args:
        version: The version of the program.
        platform: As its breadcrumbs name it.
        container: The same.
        language: A language and the two numbers that matter of its version: `python 3.11`.
        ci: `yes` or `no`.
        user: The type of the user.
        outcome: A name in `OUTCOMES`.
        error: The fingerprint with which they failed, in hexadecimal digits.
        profiles: The numbers of the profiles that it leaves, where somebody has looked them up:
            with them a database goes straight to what it looks for.
        others: The numbers of all other profiles, where these have had fewer sessions: what it
            leaves may then be told as everything without theirs. A profile that comes up after they
            were looked up is taken for one that it leaves, until the next question looks again.
    """

    version: str | None = None
    platform: str | None = None
    container: str | None = None
    language: str | None = None
    ci: str | None = None
    user: str | None = None
    outcome: str | None = None
    error: str | None = None
    profiles: tuple[int, ...] | None = field(default=None, compare=False)
    others: tuple[int, ...] | None = field(default=None, compare=False)

    @classmethod
    def read(cls, query: Mapping[str, str]) -> Self:
        """A filter from an address, as anybody may have written it.

        What no session can have, a fourth outcome say, is kept: no session has it then.
        """
        return cls().with_(**{name: storable(query[name]) for name in NAMES if query.get(name)})

    def __bool__(self) -> bool:
        """Whether it leaves any session out."""
        return bool(self.values)

    @property
    def values(self) -> dict[str, str]:
        """The values that are asked for, by their names, in the order of the names."""
        return self.changed()

    def changed(self, **values: str | None) -> dict[str, str]:
        """The same of the filter that `with_` would make of these.

        Raises:
            TypeError: No filter has one of these names.
        """
        if unknown := values.keys() - NAMES:
            raise TypeError(f"no filter is called {', '.join(sorted(unknown))}")
        mine = dict(zip(NAMES, _values_of(self), strict=True)) | values
        return {name: value for name in NAMES if (value := mine[name]) is not None}

    def with_(self, **values: str | None) -> Self:
        """The same filter but for some values."""
        if values.keys() & _PROFILE_CONDITIONS.keys():
            return replace(self, profiles=None, others=None, **values)
        return replace(self, profiles=self.profiles, others=self.others, **values)

    @property
    def on_anything(self) -> Self:
        """The same filter, whatever sessions ran on."""
        return self.with_(**dict.fromkeys(_PROFILE_CONDITIONS))

    def conditions(self, project: str) -> list[ColumnElement[bool]]:
        """What the rows of `sessions` have to meet that are of a project."""
        mine = [
            _CONDITIONS[name](value) for name, value in self.values.items() if name in _CONDITIONS
        ]
        return mine + self.profile_conditions(project, sessions.c.profile)

    def within(
        self, project: str, period: Period, *, by_time: bool | None = None
    ) -> tuple[ColumnElement[bool], ...]:
        """What the rows of `sessions` have to meet that count for a project in a period.

        Args:
            project: `owner/repo`.
            period: Which days.
            by_time: Whether those that failed are found by their time rather than by what else is
                asked for; by default where that leads to fewer.
        """
        first = day_number(period.first) * SECONDS_A_DAY
        end = (day_number(period.last) + 1) * SECONDS_A_DAY
        if by_time is None:
            is_short = period.days <= A_MONTH or self.profiles_alike(project) is None
            by_time = is_short and self.version is None
        # In other words than those of an index, so that none of them is taken for it.
        counted = COUNTED_AT if by_time else COUNTED_AT + 0
        mine = sessions.c.project == project, first <= counted, end > counted
        return (*mine, *self.conditions(project))

    @property
    def statuses(self) -> tuple[str, ...]:
        """The letters of the outcomes that it leaves."""
        return tuple(letter for name, letter in OUTCOMES.items() if self.outcome in (None, name))

    def slice_terms(self, project: str, columns: Collection[str]) -> tuple[SliceTerm, ...]:
        """Which rows of `slices` of a project say how many sessions meet it; none know of errors.

        Outcomes are columns there: see `statuses`. The same conditions serve other filters of the
        same kind, for they are given the `slice_values` of one.

        Args:
            project: `owner/repo`.
            columns: What the sessions are to be told apart by.

        Returns:
            Which rows have to be added up, and which of them taken away.
        """
        mine = () if self.version is None else (_SLICES_OF_VERSION,)
        # Of all profiles together there is a row for each version. Without any version told apart,
        # a filter is sooner answered by the rows of its profiles, which have all versions together.
        is_by_version = self.version is not None or "version" in columns
        if self.others is not None and is_by_version and "profile" not in columns:
            return (
                SliceTerm((*mine, _SLICES_OF_ALL)),
                SliceTerm((*mine, _SLICES_OF_OTHERS), is_taken_away=True),
            )
        alike = None if self.profiles is not None else self.profiles_alike(project)
        ran_on: tuple[ColumnElement[bool], ...] = ()
        if self.profiles is not None:
            ran_on = (_SLICES_OF_PROFILES,)
        elif alike is not None:
            ran_on = (slices.c.profile.in_(alike),)
        if not is_by_version and (ran_on or "profile" in columns):
            return (SliceTerm(ran_on, span_sign=-1),)
        if not ran_on:
            ran_on = (_SLICES_OF_EACH if "profile" in columns else _SLICES_OF_ALL,)
        return (SliceTerm(mine + ran_on),)

    @property
    def slice_values(self) -> dict[str, Any]:
        """The values of the parameters that its `slice_terms` have."""
        values = {"version": self.version, "profiles": self.profiles, "others": self.others}
        return {name: value for name, value in values.items() if value is not None}

    def profile_conditions(
        self, project: str, profile: ColumnElement[int]
    ) -> list[ColumnElement[bool]]:
        """What a profile has to meet; nothing where no filter asks for what a profile has."""
        if self.profiles is not None:
            return [is_one_of(profile, self.profiles)]
        alike = self.profiles_alike(project)
        return [] if alike is None else [profile.in_(alike)]

    def profiles_alike(self, project: str) -> Select[Any] | None:
        """The numbers of the profiles that it leaves; None where it leaves all."""
        values = {name: value for name, value in self.values.items() if name in _PROFILE_CONDITIONS}
        if not values:
            return None
        return select(profiles.c.profile).where(
            profiles.c.project == project,
            *(_PROFILE_CONDITIONS[name](value) for name, value in values.items()),
        )


def storable(value: str) -> str:
    """A value as a database may be asked for it, of `MAX_CHARS` characters at most.

    None holds a NUL or a lone surrogate.
    """
    return value.replace("\0", "").encode("utf-8", "replace").decode()[:MAX_CHARS]


_SLICES_OF_VERSION = slices.c.version == bindparam("version")
_SLICES_OF_PROFILES = is_one_of(slices.c.profile, "profiles")
_SLICES_OF_OTHERS = is_one_of(slices.c.profile, "others")
_SLICES_OF_EACH = slices.c.profile > EVERY
_SLICES_OF_ALL = slices.c.profile == EVERY

NAMES = tuple(field.name for field in fields(Filter) if field.compare)
_values_of = attrgetter(*NAMES)


def is_language(named: ColumnElement[str], value: str) -> ColumnElement[bool]:
    """Whether a name like `python 3.11` is that language, or a version of it."""
    more = f"{value}." if " " in value else f"{value} "
    # Not by LIKE, for which SQLite takes small and capital letters for the same.
    return or_(named == value, func.substr(named, 1, len(more)) == more)


def _has_error(value: str) -> ColumnElement[bool]:
    number = error_number(value)
    return false() if number is None else sessions.c.fingerprint == number


def error_number(name: str) -> int | None:
    """The fingerprint of that name; None where it is none."""
    try:
        number = int(name, 16)
    except ValueError:
        return None
    return number if name == error_name(number) and 0 <= number < 2**63 else None


_CONDITIONS: Mapping[str, Any] = {
    "version": lambda value: sessions.c.version == value,
    # In these words it is answered from an index.
    "outcome": lambda value: (
        RUNNING if value == "running" else sessions.c.status == OUTCOMES.get(value, "")
    ),
    "error": _has_error,
}

_PROFILE_CONDITIONS: Mapping[str, Any] = {
    "platform": lambda value: profiles.c.platform == value,
    "container": lambda value: profiles.c.container == value,
    "language": lambda value: is_language(profiles.c.language, value),
    "ci": lambda value: profiles.c.ci == value,
    "user": lambda value: profiles.c.user_type == value,
}
