"""Counts that can be filtered, and those of durations; counting everything anew fills them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "profiles",
        sa.Column("project", sa.String(140), primary_key=True),
        sa.Column("profile", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("platform", sa.String(64), nullable=False),
        sa.Column("container", sa.String(32), nullable=False),
        sa.Column("language", sa.String(100), nullable=False),
        sa.Column("ci", sa.String(3), nullable=False),
        sa.Column("user_type", sa.String(32), nullable=False),
    )
    op.create_table(
        "slices",
        sa.Column("project", sa.String(140), primary_key=True),
        sa.Column("span", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("day", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("version", sa.String(24), primary_key=True),
        sa.Column("profile", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("shard", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("completed", sa.BigInteger, nullable=False),
        sa.Column("failed", sa.BigInteger, nullable=False),
        sa.Column("suspended", sa.BigInteger, nullable=False),
        sa.Column("running", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "durations",
        sa.Column("project", sa.String(140), primary_key=True),
        sa.Column("span", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("day", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("version", sa.String(24), primary_key=True),
        sa.Column("bucket", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("shard", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("sessions", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
