"""The tables, in SQL that SQLite and PostgreSQL share.

Times are whole seconds since 1970 in UTC, as the server's clock had them: both engines compare,
index and group integers the same way. Ids are text in SQLite, where a person may look at them,
and PostgreSQL's own 16-byte type there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    Uuid,
    func,
    literal_column,
)

from migas.message import MAX_LANGUAGE_CHARS, MAX_PLATFORM_CHARS, MAX_VERSION_CHARS

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement

MAX_PROJECT_CHARS = 140
MAX_PACKAGE_CHARS = 100
MAX_VALUE_CHARS = 100
"""What a count may be about; longer texts are cut, for an index holds only so much."""

MAX_KEY_CHARS = 100

metadata = MetaData()

_ROW_ID = BigInteger().with_variant(Integer(), "sqlite")
_UUID = String(36).with_variant(Uuid(as_uuid=False), "postgresql")


def _index_where(which: ColumnElement[bool], name: str, *columns: ColumnElement[Any]) -> Index:
    """An index of some rows of a table, for questions in the very words of the condition."""
    return Index(name, *columns, sqlite_where=which, postgresql_where=which)


projects = Table(
    "projects",
    metadata,
    Column("idx", _ROW_ID, primary_key=True),
    Column("project", String(MAX_PROJECT_CHARS), nullable=False, unique=True),
    Column("registered", BigInteger, nullable=False),
    Column("package", String(MAX_PACKAGE_CHARS)),
    Column("asked", BigInteger),
    Column("looked", BigInteger),
    Column("shared", BigInteger),
)
"""The projects whose breadcrumbs are taken, in the order in which they were registered.

`package` is the name under which a package index knows the project, `asked` when that index was
last asked for its newest version, `looked` when news were last looked for, and `shared` since when
its totals are public, if they are.
"""

aliases = Table(
    "aliases",
    metadata,
    Column("alias", String(MAX_PROJECT_CHARS), primary_key=True),
    Column("project", String(MAX_PROJECT_CHARS), nullable=False),
)
"""Names that projects had: released programs go on sending under them."""

releases = Table(
    "releases",
    metadata,
    Column("project", String(MAX_PROJECT_CHARS), primary_key=True),
    Column("latest", Text, nullable=False),
    Column("recorded", BigInteger, nullable=False),
)
"""The newest version of each project for which somebody named one."""

flagged_versions = Table(
    "flagged_versions",
    metadata,
    Column("project", String(MAX_PROJECT_CHARS), primary_key=True),
    Column("version", Text, primary_key=True),
)
"""Versions with known faults."""

users = Table(
    "users",
    metadata,
    Column("user_id", _UUID, primary_key=True),
    Column("user_type", String(32), nullable=False),
    Column("platform", String(MAX_PLATFORM_CHARS), nullable=False),
    Column("container", String(32), nullable=False),
)
"""Who sent breadcrumbs; a row is written once and keeps its first values."""

crumbs = Table(
    "crumbs",
    metadata,
    Column("idx", _ROW_ID, primary_key=True),
    Column("project", String(MAX_PROJECT_CHARS), nullable=False),
    Column("version", String(MAX_VERSION_CHARS), nullable=False),
    Column("language", String(MAX_LANGUAGE_CHARS), nullable=False),
    Column("language_version", String(MAX_VERSION_CHARS), nullable=False),
    Column("timestamp", BigInteger, nullable=False),
    Column("session_id", _UUID),
    Column("user_id", _UUID),
    Column("status", String(1), nullable=False),
    Column("status_desc", Text),
    Column("error_type", Text),
    Column("error_desc", Text),
    Column("is_ci", Boolean, nullable=False),
    Column("platform", String(MAX_PLATFORM_CHARS), nullable=False, server_default="unknown"),
    Column("container", String(32), nullable=False, server_default="unknown"),
    Column("digest", BigInteger),
    Column("fingerprint", BigInteger),
    Column("ended", BigInteger),
    Column("duration", Double),
    Index("ix_crumbs_session_digest", "session_id", "digest", unique=True),
)
"""Every breadcrumb, one row each, in the order in which they were committed.

`digest` tells a repeated breadcrumb of a session from a new one; without a session it is NULL, and
two NULLs never equal each other in a unique index. `fingerprint` says which error it failed
with. `timestamp` is when it arrived, `ended` when its run ended, and `duration` how many seconds
that took, where its sender said so.
"""

ARRIVAL_DAY = crumbs.c.timestamp // literal_column("86400", Integer)
"""The day on which a breadcrumb arrived, since 1970. A question in these words uses an index, in
which PostgreSQL keeps each day once."""

Index("ix_crumbs_project_day", crumbs.c.project, ARRIVAL_DAY)
_index_where(crumbs.c.user_id.isnot(None), "ix_crumbs_user_id", crumbs.c.user_id)

sessions = Table(
    "sessions",
    metadata,
    Column("session_id", _UUID, primary_key=True),
    Column("project", String(MAX_PROJECT_CHARS), primary_key=True),
    Column("began", BigInteger, nullable=False),
    Column("seen", BigInteger, nullable=False),
    Column("last_idx", BigInteger, nullable=False),
    Column("version", String(MAX_VERSION_CHARS), nullable=False),
    Column("status", String(1), nullable=False),
    Column("language", String(MAX_LANGUAGE_CHARS), nullable=False),
    Column("language_version", String(MAX_VERSION_CHARS), nullable=False),
    Column("platform", String(MAX_PLATFORM_CHARS), nullable=False),
    Column("container", String(32), nullable=False),
    Column("is_ci", Boolean, nullable=False),
    Column("error_type", String(MAX_VALUE_CHARS)),
    Column("user_id", _UUID),
    Column("fingerprint", BigInteger),
    Column("ended", BigInteger),
    Column("duration", Double),
    Column("profile", BigInteger),
    Column("user_number", BigInteger),
)
"""Each session as the breadcrumb `last_idx` has it: its last end, or its last one while it has no
end. `began` is when the first of its breadcrumbs came, `seen` when the last did.

`profile` is the number of what it ran on, and for which type of user, in `profiles`; `user_number`
that of its user: see `counts.visits.number_of_user`. In the place of both, collectors of the first
six steps fill other columns, which go on being there for them: see `UNTOLD`.
"""

UNTOLD = {
    **dict.fromkeys(("language", "language_version", "platform", "container"), ""),
    "is_ci": False,
    "user_id": None,
}
"""What stands in the columns of a session that its numbers tell in much less room."""

COUNTED_AT = func.coalesce(sessions.c.ended, sessions.c.began)
"""The second at which a session counts: that of its end, where its sender said so."""

RUNNING = sessions.c.status == literal_column("'R'", String)
"""A session has not ended. A question in these words, without a parameter, uses the index below."""

FAILED = sessions.c.fingerprint.isnot(None)
"""A session failed with an error. A question in these words uses the indexes of such."""


def _index_sessions(which: ColumnElement[bool], name: str, columns: str) -> None:
    """An index that answers by itself: no row of the table need be looked up for the columns.

    `counted` is `COUNTED_AT`; beside it stands what that is made of, for from an index without
    these PostgreSQL answers nothing by itself.
    """
    known = {"counted": COUNTED_AT, **sessions.c}
    _index_where(which, f"ix_sessions_{name}", *(known[of] for of in columns.split()))


_index_sessions(RUNNING, "running", "project seen profile version ended began status user_number")
_index_sessions(
    FAILED,
    "failed_at",
    "project fingerprint counted last_idx profile user_number version ended began status",
)
_index_sessions(
    FAILED,
    "failed",
    "project fingerprint profile user_number ended began last_idx version status",
)
_index_sessions(
    FAILED,
    "failed_versions",
    "project fingerprint version profile user_number ended began last_idx status",
)
_index_sessions(FAILED, "failed_users", "project fingerprint user_number profile ended began")

daily = Table(
    "daily",
    metadata,
    Column("project", String(MAX_PROJECT_CHARS), primary_key=True),
    Column("kind", String(16), primary_key=True),
    Column("day", Integer, primary_key=True, autoincrement=False),
    Column("value", String(MAX_VALUE_CHARS), primary_key=True),
    Column("detail", String(MAX_VERSION_CHARS), primary_key=True),
    Column("shard", SmallInteger, primary_key=True, autoincrement=False),
    Column("sessions", BigInteger, nullable=False),
    Column("example", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""How many sessions of a day (days since 1970) have a value, and how many users were first or last
seen on it; see `counted` and `counted_users`.

A count is the sum over its shards: processes that commit at the same time add to different rows,
so that hardly one waits for another. `example` is the newest breadcrumb that was counted here.
"""

OF_VERSIONS_WEEKLY = daily.c.kind == literal_column("'weekly versions'", String)
"""A count is one of an error in a week and a version. A question in these words uses the index."""

OF_ERRORS_LONG = daily.c.kind == literal_column("'fingerprints'", String)
"""A count is one of an error in `counts.sessions.LONG_DAYS`. The same is so of this question."""


def _index_counts(
    which: ColumnElement[bool], name: str, columns: str, dialect: str | None = None
) -> None:
    """An index that answers by itself, as those of sessions do, perhaps for one dialect alone."""
    index = _index_where(which, f"ix_daily_{name}", *(daily.c[of] for of in columns.split()))
    if dialect is not None:
        index.ddl_if(dialect=dialect)


# Counts of one kind are all over the table: thousands of its pages would be read for them.
_index_counts(OF_VERSIONS_WEEKLY, "errors", "project detail value day sessions")
# SQLite has them in the order of their key.
_index_counts(OF_ERRORS_LONG, "errors_long", "project day value sessions", "postgresql")

profiles = Table(
    "profiles",
    metadata,
    Column("project", String(MAX_PROJECT_CHARS), primary_key=True),
    Column("profile", BigInteger, primary_key=True, autoincrement=False),
    Column("platform", String(MAX_PLATFORM_CHARS), nullable=False),
    Column("container", String(32), nullable=False),
    Column("language", String(MAX_VALUE_CHARS), nullable=False),
    Column("ci", String(3), nullable=False),
    Column("user_type", String(32), nullable=False),
)
"""What sessions of a project ran on, and for which types of users; see `Profile`."""

slices = Table(
    "slices",
    metadata,
    Column("project", String(MAX_PROJECT_CHARS), primary_key=True),
    Column("span", SmallInteger, primary_key=True, autoincrement=False),
    Column("day", Integer, primary_key=True, autoincrement=False),
    Column("profile", BigInteger, primary_key=True, autoincrement=False),
    Column("version", String(MAX_VERSION_CHARS), primary_key=True),
    Column("shard", SmallInteger, primary_key=True, autoincrement=False),
    Column("completed", BigInteger, nullable=False),
    Column("failed", BigInteger, nullable=False),
    Column("suspended", BigInteger, nullable=False),
    Column("running", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""How the sessions of a version and a profile ended, on the `span` days from `day` on.

What stands for all versions, or for all profiles, says `slices.Key`. A count is the sum over its
shards, as in `daily`.
"""

durations = Table(
    "durations",
    metadata,
    Column("project", String(MAX_PROJECT_CHARS), primary_key=True),
    Column("version", String(MAX_VERSION_CHARS), primary_key=True),
    Column("day", Integer, primary_key=True, autoincrement=False),
    Column("profile", BigInteger, primary_key=True, autoincrement=False),
    Column("bucket", SmallInteger, primary_key=True, autoincrement=False),
    Column("shard", SmallInteger, primary_key=True, autoincrement=False),
    Column("sessions", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""How many sessions of a version, or of any version: '', and a profile completed on a day, by their
duration.

A count is the sum over its shards, as in `daily`, and of what `packed_durations` has of it; so it
may be less than nothing here.
"""

packed_durations = Table(
    "packed_durations",
    metadata,
    Column("project", String(MAX_PROJECT_CHARS), primary_key=True),
    Column("version", String(MAX_VERSION_CHARS), primary_key=True),
    Column("span", SmallInteger, primary_key=True, autoincrement=False),
    Column("start", Integer, primary_key=True, autoincrement=False),
    Column("by_profile", LargeBinary, nullable=False),
    Column("of_all", LargeBinary, nullable=False),
)
"""Many rows of `durations` in one: those of a block of days that begins with `start`, added up over
slices of `span` days; see `counts.packed_durations`. `of_all` has their sums over all profiles.
"""

project_users = Table(
    "project_users",
    metadata,
    Column("user_id", _UUID, primary_key=True),
    Column("project", String(MAX_PROJECT_CHARS), primary_key=True),
    Column("first_day", Integer, nullable=False),
    Column("last_day", Integer, nullable=False),
    Column("user_number", BigInteger),
    Index("ix_project_users_days", "project", "last_day", "first_day"),
    Index("ix_project_users_number", "project", "user_number", "first_day"),
)
"""On which day each user was first and last seen in a project.

Where users are counted a number stands for them; it is NULL where a collector of an earlier step
has noted one.
"""

error_users = Table(
    "error_users",
    metadata,
    Column("project", String(MAX_PROJECT_CHARS), primary_key=True),
    Column("fingerprint", BigInteger, primary_key=True, autoincrement=False),
    Column("user_number", BigInteger, primary_key=True, autoincrement=False),
    Column("last_day", Integer, nullable=False),
    Index("ix_error_users_days", "project", "fingerprint", "last_day"),
    sqlite_with_rowid=False,
)
"""On which day a user's last session counts that failed with an error."""

visits = Table(
    "visits",
    metadata,
    Column("project", String(MAX_PROJECT_CHARS), primary_key=True),
    Column("version", String(MAX_VERSION_CHARS), primary_key=True),
    Column("profile", BigInteger, primary_key=True, autoincrement=False),
    Column("user_number", BigInteger, primary_key=True, autoincrement=False),
    Column("start", Integer, primary_key=True, autoincrement=False),
    Column("days", BigInteger, nullable=False),
    Column("completed", BigInteger),
    Column("failed", BigInteger),
    Column("suspended", BigInteger),
    sqlite_with_rowid=False,
)
"""On which days sessions of a user count that have a profile and a version, or any version: ''.

Bit `n` of `days` stands for the day `start + n`; so it does in the columns for sessions that ended
in one way, which are NULL where none did.
"""

packed_visits = Table(
    "packed_visits",
    metadata,
    Column("project", String(MAX_PROJECT_CHARS), primary_key=True),
    Column("version", String(MAX_VERSION_CHARS), primary_key=True),
    Column("start", Integer, primary_key=True, autoincrement=False),
    Column("part", SmallInteger, primary_key=True, autoincrement=False),
    Column("keys", LargeBinary, nullable=False),
    Column("days", LargeBinary, nullable=False),
    Column("completed", LargeBinary, nullable=False),
    Column("failed", LargeBinary, nullable=False),
    Column("suspended", LargeBinary, nullable=False),
)
"""Many rows of `visits` in one, to a version in a block of days, of a part of all users.

A visit may be in both tables, and then has the days of both; see `counts.packed_visits`.
"""

tokens = Table(
    "tokens",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("project", String(MAX_PROJECT_CHARS)),
    Column("hash", LargeBinary, nullable=False),
    Column("description", Text),
    Column("issued", BigInteger, nullable=False),
    Column("last_used", BigInteger),
    Column("revoked", BigInteger),
    Column("scope", String(16)),
)
"""Who may read: for one project, or for all without one. The secret itself is nowhere.

A token with a scope opens what is named so, and nothing else.
"""

news = Table(
    "news",
    metadata,
    Column("idx", _ROW_ID, primary_key=True),
    Column("id", String(36), nullable=False),
    Column("project", String(MAX_PROJECT_CHARS), nullable=False),
    Column("key", String(MAX_KEY_CHARS), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("text", Text, nullable=False),
    Column("page", Text, nullable=False),
    Column("found", BigInteger, nullable=False),
    Index("ix_news_project_key", "project", "key", unique=True),
)
"""What was told of projects, in the order in which it was found; `key` says what must not be told
again, `page` which page below the project's own shows it."""

webhooks = Table(
    "webhooks",
    metadata,
    Column("project", String(MAX_PROJECT_CHARS), primary_key=True),
    Column("url", Text, primary_key=True),
    Column("told", BigInteger, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("due", BigInteger, nullable=False),
)
"""Who is told of a project's news: all after the one with the number `told`, from `due` on.

Whoever sends moves `due` beyond the time that this may take, and so is the only one who does.
"""

salts = Table(
    "salts",
    metadata,
    Column("day", Integer, primary_key=True, autoincrement=False),
    Column("salt", LargeBinary, nullable=False),
)
"""The key under which a day's addresses are hashed; older ones are deleted."""

request_counts = Table(
    "request_counts",
    metadata,
    Column("address", LargeBinary, primary_key=True),
    Column("window", Integer, primary_key=True, autoincrement=False),
    Column("used", Integer, nullable=False),
)
"""How many requests a hashed address has made, or reserved, in a window of the rate limit."""
