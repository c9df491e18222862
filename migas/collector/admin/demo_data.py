"""A year of two invented projects, for `migas demo --serve` and for tests of the pages.

The same seed and day give the same sessions. There is a rhythm of the week, versions succeed each
other, one release is bad and soon replaced, and over the year more runs complete. The newest
release of the pipeline completes less often than the one before, and is slower: it brings an error,
which hits containers of one kind, and brings another one back. That of the tool came days ago, and
so did its error. Of the year before few sessions are known, of the oldest release: enough to
compare with.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import math
import random
import uuid
from bisect import bisect_right
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import delete, exists

from migas.collector.collector import Collector
from migas.collector.counts.rebuild import rebuild
from migas.collector.database.statements import insert_in_batches
from migas.collector.database.tables import crumbs, project_users, users
from migas.collector.days import SECONDS_A_DAY, day_number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection

SESSIONS = 30_000
"""Enough for every sentence of the pages to be more than chance, and there after some seconds."""

EARLIER = 0.04
"""How many sessions the year before has, as a part of the others."""

DAYS = 365

_WEEK = (1.0, 1.08, 1.1, 1.05, 0.9, 0.34, 0.28)
_HOURS = (1, 1, 1, 1, 1, 1, 2, 5, 9, 12, 13, 12, 9, 12, 14, 14, 13, 11, 8, 6, 5, 4, 3, 2)
_PYTHONS = ("3.10.14", "3.11.9", "3.12.7", "3.13.2")


@dataclass(frozen=True, slots=True)
class Release:
    """A version, the day of the year on which it came out, and which part of its runs fails.

    `slowness` is how many times as long its runs take as those of others.
    """

    version: str
    day: int
    failing: float
    errors: tuple[int, ...]
    slowness: float = 1.0


@dataclass(frozen=True, slots=True)
class Invented:
    """A project that does not exist.

    Args:
        name: `owner/repo`.
        share: Its part of all sessions.
        people: How many users it has at the end of the year.
        releases: Its versions in their order; `errors` are weights for the errors below.
        errors: Types and redacted messages.
        flagged: Versions with known faults.
        containers: Weights of unknown (none), docker and apptainer.
        in_ci: Which part of its users is a machine that tests something.
        minutes: How long half of its runs take.
    """

    name: str
    share: float
    people: int
    releases: tuple[Release, ...]
    errors: tuple[tuple[str, str], ...]
    flagged: tuple[str, ...]
    containers: tuple[int, int, int]
    in_ci: float
    minutes: float


PIPELINE = Invented(
    "brainlab/cortiprep",
    0.78,
    3200,
    (
        Release("1.8.3", -90, 0.155, (5, 6, 4, 3, 2, 1, 0, 0, 4)),
        Release("1.9.0", -20, 0.140, (5, 6, 4, 3, 2, 1, 0, 0, 4)),
        Release("1.9.1", 24, 0.118, (5, 4, 4, 3, 2, 1, 0, 0, 4)),
        Release("2.0.0", 88, 0.126, (4, 4, 5, 3, 3, 1, 0, 0, 4)),
        Release("2.0.1", 104, 0.097, (4, 4, 4, 2, 2, 1, 0, 0, 0)),
        Release("2.1.0", 171, 0.082, (4, 3, 4, 2, 1, 1, 0, 0, 0)),
        Release("2.2.0", 243, 0.310, (3, 3, 3, 2, 1, 1, 30, 0, 0)),
        Release("2.2.1", 254, 0.068, (4, 3, 4, 1, 1, 1, 0, 0, 0)),
        Release("2.3.0", 331, 0.135, (4, 3, 3, 1, 1, 1, 0, 9, 6), 1.35),
    ),
    (
        ("FileNotFoundError", "No such file or directory: '<path>'"),
        ("MemoryError", "Unable to allocate 3.52 GiB for an array with shape (256, 320, 320, 36)"),
        (
            "NodeExecutionError",
            """Exception raised while executing Node bold_reg. Cmdline:
\tantsRegistration --dimensionality 3 --output [ transform, <path> ]
Stderr:
\tItk::ExceptionObject: all samples map outside moving image buffer""",
        ),
        ("SystemExit", "2"),
        ("CalledProcessError", "Command ['recon-all', '-s', 'sub-<id>'] returned exit status 1."),
        ("PermissionError", "[Errno 13] Permission denied: <path>"),
        ("KeyError", "'SliceTiming'"),
        ("OSError", "[Errno 30] Read-only file system: <path>"),
        ("ValueError", "operands could not be broadcast together with shapes (182,218) (160,218)"),
    ),
    ("2.2.0",),
    (24, 38, 38),
    0.07,
    95,
)

TOOL = Invented(
    "openneuron/bidsfold",
    0.22,
    1500,
    (
        Release("0.11.0", -60, 0.085, (5, 3, 2, 1, 0)),
        Release("0.12.0", 61, 0.071, (5, 3, 2, 1, 0)),
        Release("0.12.1", 79, 0.060, (5, 3, 2, 1, 0)),
        Release("0.13.0", 187, 0.049, (4, 3, 2, 1, 0)),
        Release("1.0.0rc1", 290, 0.066, (4, 3, 2, 3, 0)),
        Release("1.0.0", 311, 0.036, (4, 3, 2, 1, 0)),
        Release("1.0.1", 358, 0.450, (1, 1, 0, 0, 30)),
    ),
    (
        ("ValidationError", "'BIDSVersion' is a required property"),
        ("SystemExit", "1"),
        ("UnicodeDecodeError", "'utf-8' codec can't decode byte 0xe9 in position 114"),
        ("TypeError", "fold() got an unexpected keyword argument 'strict'"),
        ("JSONDecodeError", "Expecting value: line 1 column 1 (char 0)"),
    ),
    (),
    (74, 18, 8),
    0.21,
    0.4,
)

PROJECTS = (PIPELINE, TOOL)


def fill_database(
    database: str, sessions: int = SESSIONS, counting: Callable[[], None] = lambda: None
) -> None:
    """Make a database and fill it.

    Args:
        database: A URL of a database that is not there yet.
        sessions: As for `fill`.
        counting: As for `fill`.

    Raises:
        CollectorError: The database cannot be made.
    """

    async def make() -> None:
        async with Collector.open(database) as collector:
            await fill(collector, sessions, counting=counting)

    asyncio.run(make())


async def fill(
    collector: Collector,
    sessions: int = SESSIONS,
    *,
    seed: int = 7,
    counting: Callable[[], None] = lambda: None,
) -> None:
    """Put the projects and about so many sessions into an empty database.

    Args:
        collector: Where they go; its clock says when the year ends.
        sessions: How many, in all projects together.
        seed: Which of all invented years it is.
        counting: Called once all are invented, and have to be counted.
    """
    today, now = collector.clock.today(), collector.clock.now()
    await collector.projects.register([project.name for project in PROJECTS])
    for project in PROJECTS:
        await collector.projects.set_release(
            project.name, project.releases[-1].version, project.flagged
        )

    def insert(connection: Connection) -> None:
        for project in PROJECTS:
            chance = random.Random(f"{seed} {project.name}")  # noqa: S311  invented, not secret
            people, names = _people(project, chance), users.columns.keys()
            insert_in_batches(
                connection, users, (dict(zip(names, person, strict=False)) for person in people)
            )
            count = round(sessions * project.share)
            for runs in (
                _before(project, people, count, today),
                _runs(project, people, count, today, chance),
            ):
                came = (run for run in runs if run["timestamp"] <= now)
                insert_in_batches(connection, crumbs, came)
        counting()
        rebuild(connection)
        # Some came too late, or too seldom, for a run.
        ran = exists().where(project_users.c.user_id == users.c.user_id)
        connection.execute(delete(users).where(~ran))

    async with collector.connections.writing() as connection:
        await connection.run_sync(insert)


class _Person(NamedTuple):
    user_id: str
    user_type: str
    platform: str
    container: str
    joined: float
    python: int


def _people(project: Invented, chance: random.Random) -> list[_Person]:
    """The users in the order in which they come."""
    found = []
    for number in range(project.people):
        is_ci = chance.random() < project.in_ci
        (container,) = chance.choices(("unknown", "docker", "apptainer"), project.containers)
        is_linux = is_ci or container == "apptainer"
        (other,) = chance.choices(("linux", "darwin", "win32"), (55, 32, 13))
        found.append(
            _Person(
                _uuid(chance),
                "ci" if is_ci else "general",
                "linux" if is_linux else other,
                container,
                DAYS * (number / project.people) ** 0.8 - 40,
                chance.choices(range(4), (3, 5, 4, 1))[0],
            )
        )
    return found


def _runs(
    project: Invented, people: list[_Person], sessions: int, today: dt.date, chance: random.Random
) -> Iterator[dict[str, Any]]:
    """Sessions, one breadcrumb each, in the order of time."""
    first = today - dt.timedelta(days=DAYS - 1)
    # Of its own, so that it changes nothing else of the year.
    pace = random.Random(project.name)  # noqa: S311  invented, not secret
    busy = [_activity(first + dt.timedelta(days=day), day, chance) for day in range(DAYS)]
    # A few people run a program most of the time: the weights fall like those of words.
    eager = list(accumulate(1 / (1 + number * 7919 % 400) ** 1.1 for number in range(len(people))))
    for day in range(DAYS):
        count = round(sessions * busy[day] / sum(busy))
        present = max(bisect_right(people, float(day), key=lambda person: person.joined), 40)
        who = chance.choices(people[:present], cum_weights=eager[:present], k=count)
        what = chance.choices(project.releases, _shares(project, day), k=count)
        midnight = day_number(first + dt.timedelta(days=day)) * SECONDS_A_DAY
        hours = chance.choices(range(24), _HOURS, k=count)
        times = sorted(midnight + 3600 * hour + int(chance.random() * 3600) for hour in hours)
        for person, release, time in zip(who, what, times, strict=True):
            python = _PYTHONS[min(person.python + int(day > 150 + 40 * person.python), 3)]
            ending = _ending(project, release, person, chance)
            took = _duration(project, release, pace)
            yield {
                "project": project.name,
                "version": release.version,
                "language": "python",
                "language_version": python,
                "timestamp": time,
                "session_id": _uuid(chance, time),
                "user_id": person.user_id,
                "is_ci": person.user_type == "ci",
                "platform": person.platform,
                "container": person.container,
                **ending,
                "duration": None if ending["status"] == "R" else took,
            }


def _before(
    project: Invented, people: list[_Person], sessions: int, today: dt.date
) -> Iterator[dict[str, Any]]:
    """The sessions of the year before: few, of those who came first, of the oldest release."""
    oldest = replace(project, releases=project.releases[:1])
    chance = random.Random(f"before {project.name}")  # noqa: S311  invented, not secret
    first_ones = people[: len(people) // 8]
    yesteryear = today - dt.timedelta(days=DAYS)
    return _runs(oldest, first_ones, round(sessions * EARLIER), yesteryear, chance)


def _ending(
    project: Invented, release: Release, person: _Person, chance: random.Random
) -> dict[str, str | None]:
    """How a run ends."""
    status: str
    description: str | None
    error: tuple[str | None, str | None] = (None, None)
    luck = chance.random()
    if luck < release.failing:
        status, description = "F", "Errored"
        (error,) = chance.choices(project.errors, release.errors)
        if error[0] == "OSError" and person.container != "apptainer" and chance.random() < 0.8:
            error = project.errors[0]
    elif luck < release.failing + 0.022:
        status, description = "S", chance.choice(("Suspended", "Terminated (SIGTERM)"))
    elif luck < release.failing + 0.031:
        status, description = "R", None
    else:
        status, description = "C", "Completed"
    return {
        "status": status,
        "status_desc": description,
        "error_type": error[0],
        "error_desc": error[1],
    }


def _duration(project: Invented, release: Release, pace: random.Random) -> float:
    """Seconds that a run takes, in the steps in which they are sent: few take very long."""
    seconds = 60 * project.minutes * release.slowness * pace.lognormvariate(0, 0.7)
    return round(seconds, None if seconds >= 60 else 1)


def _activity(date: dt.date, day: int, chance: random.Random) -> float:
    """How much is done on a day: more every month, little at weekends and at the turn of years."""
    holidays = 0.25 if (date.month, date.day) >= (12, 22) or (date.month, date.day) <= (1, 2) else 1
    summer = 0.82 if date.month == 8 else 1
    growth = 1 + 1.1 * day / DAYS
    return _WEEK[date.weekday()] * holidays * summer * growth * chance.uniform(0.88, 1.12)


def _shares(project: Invented, day: int) -> list[float]:
    """Which part of a day's runs each version has: the newest takes over within weeks."""
    left, shares = 1.0, []
    for release in reversed(project.releases):
        age = day - release.day
        # Whoever notices that a release is bad does not wait for weeks to leave it.
        taken = 1 - math.exp(-age / (9 if release.version in project.flagged else 21))
        share = left * max(taken, 0.0) * 0.97
        shares.append(share)
        left -= share
    return shares[::-1]


def _uuid(chance: random.Random, time: int = 0) -> str:
    """A random identifier; with a time at its beginning an index takes it three times as fast."""
    return str(uuid.UUID(int=time << 96 | chance.getrandbits(96), version=4))
