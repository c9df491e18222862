"""Sessions say which profile they have, and errors are counted by the week, too.

So errors can be looked for in one profile alone, and those of a year are added up from weeks.
Counting everything anew, which follows the last step, fills both; of what an older collector writes
afterwards, `migas db rebuild`.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Add the column, have it in the place of what it stands for, and index the new counts."""
    op.add_column("sessions", sa.Column("profile", sa.BigInteger))
    failed = sa.text("fingerprint IS NOT NULL")
    counted = sa.text("coalesce(ended, began)")
    for name, columns in (
        ("ix_sessions_newest_failed", ("last_idx", "profile", "version", counted)),
        ("ix_sessions_failed", ("profile", "user_id", counted, "last_idx", "version")),
        ("ix_sessions_failed_versions", ("version", "profile", "user_id", counted, "last_idx")),
    ):
        op.drop_index(name, "sessions")
        indexed: list[str | sa.TextClause] = ["project", "fingerprint", *columns]
        op.create_index(name, "sessions", indexed, sqlite_where=failed, postgresql_where=failed)
    op.drop_index("ix_sessions_running", "sessions")
    running = sa.text("status = 'R'")
    op.create_index(
        "ix_sessions_running",
        "sessions",
        ["project", "seen", "profile", "version", counted],
        sqlite_where=running,
        postgresql_where=running,
    )
    op.drop_index("ix_daily_errors", "daily")
    weekly = sa.text("kind = 'weekly versions'")
    op.create_index(
        "ix_daily_errors",
        "daily",
        ["project", "value", "detail", "day", "sessions"],
        sqlite_where=weekly,
        postgresql_where=weekly,
    )
