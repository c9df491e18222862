"""Slices in another order, and on which days users were seen with what.

Counting everything anew fills both. Collectors of the step before go on adding to slices.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

_UUID = sa.String(36).with_variant(sa.Uuid(as_uuid=False), "postgresql")
_SLICE_KEY = ["project", "span", "day", "profile", "version", "shard"]


def upgrade() -> None:
    """Make the tables and the indexes, in the order in which ingestion locks tables."""
    _index_sessions_and_users()
    _order_slices()
    op.create_table(
        "error_users",
        sa.Column("project", sa.String(140), primary_key=True),
        sa.Column("fingerprint", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("user_id", _UUID, primary_key=True),
        sa.Column("last_day", sa.Integer, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_error_users_days", "error_users", ["project", "fingerprint", "last_day"])
    op.create_table(
        "visits",
        sa.Column("project", sa.String(140), primary_key=True),
        sa.Column("version", sa.String(24), primary_key=True),
        sa.Column("profile", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("sample", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("user_id", _UUID, primary_key=True),
        sa.Column("start", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("days", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )


def _index_sessions_and_users() -> None:
    special = sa.text("user_type != 'general'")
    op.create_index(
        "ix_users_special",
        "users",
        ["user_type", "user_id"],
        sqlite_where=special,
        postgresql_where=special,
    )
    op.drop_index("ix_sessions_errors", "sessions")
    failed = sa.text("fingerprint IS NOT NULL")
    op.create_index(
        "ix_sessions_newest_failed",
        "sessions",
        ["project", "fingerprint", "last_idx"],
        sqlite_where=failed,
        postgresql_where=failed,
    )
    counted = sa.text("coalesce(ended, began)")
    ran_on = ("platform", "container", "language", "language_version", "is_ci")
    for name, columns in (
        ("ix_sessions_failed", ("user_id", counted, "last_idx", "version")),
        ("ix_sessions_failed_versions", ("version", "user_id", counted, "last_idx")),
    ):
        indexed: list[str | sa.TextClause] = ["project", "fingerprint", *columns, *ran_on]
        op.create_index(name, "sessions", indexed, sqlite_where=failed, postgresql_where=failed)


def _order_slices() -> None:
    if op.get_bind().dialect.name == "postgresql":
        # Whoever waits to add to the table finds it again.
        op.drop_constraint("slices_pkey", "slices")
        op.create_primary_key("slices_pkey", "slices", _SLICE_KEY)
    else:
        op.drop_table("slices")
        op.create_table(
            "slices",
            sa.Column("project", sa.String(140), primary_key=True),
            sa.Column("span", sa.SmallInteger, primary_key=True, autoincrement=False),
            sa.Column("day", sa.Integer, primary_key=True, autoincrement=False),
            sa.Column("profile", sa.BigInteger, primary_key=True, autoincrement=False),
            sa.Column("version", sa.String(24), primary_key=True),
            sa.Column("shard", sa.SmallInteger, primary_key=True, autoincrement=False),
            sa.Column("completed", sa.BigInteger, nullable=False),
            sa.Column("failed", sa.BigInteger, nullable=False),
            sa.Column("suspended", sa.BigInteger, nullable=False),
            sa.Column("running", sa.BigInteger, nullable=False),
            sqlite_with_rowid=False,
        )
    errors = sa.text("kind = 'fingerprint'")
    op.create_index(
        "ix_daily_errors",
        "daily",
        ["project", "value", "detail", "day", "sessions"],
        sqlite_where=errors,
        postgresql_where=errors,
    )
