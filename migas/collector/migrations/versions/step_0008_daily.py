"""Daily counts in SQLite in the order of their key, as the other counts have been.

A question for the errors of a year looked each count up in one tree and then in another one.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Copy the counts; PostgreSQL keeps them as they are."""
    if op.get_bind().dialect.name == "postgresql":
        return
    op.create_table(
        "daily_by_key",
        sa.Column("project", sa.String(140), primary_key=True),
        sa.Column("kind", sa.String(16), primary_key=True),
        sa.Column("day", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("value", sa.String(100), primary_key=True),
        sa.Column("detail", sa.String(24), primary_key=True),
        sa.Column("shard", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("sessions", sa.BigInteger, nullable=False),
        sa.Column("example", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.execute(
        "INSERT INTO daily_by_key SELECT project, kind, day, value, detail, shard, sessions,"
        " example FROM daily ORDER BY project, kind, day, value, detail, shard"
    )
    op.drop_table("daily")
    op.rename_table("daily_by_key", "daily")
    errors = sa.text("kind = 'fingerprint'")
    op.create_index(
        "ix_daily_errors",
        "daily",
        ["project", "value", "detail", "day", "sessions"],
        sqlite_where=errors,
    )
