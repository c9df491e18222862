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
    running = sa.text("status = 'R'")
    for name, which, columns in (
        ("running", running, "project seen profile version ended began status"),
        (
            "newest_failed",
            failed,
            "project fingerprint last_idx profile version ended began status",
        ),
        (
            "failed",
            failed,
            "project fingerprint profile user_id ended began last_idx version status",
        ),
        (
            "failed_versions",
            failed,
            "project fingerprint version profile user_id ended began last_idx status",
        ),
    ):
        index = f"ix_sessions_{name}"
        op.drop_index(index, "sessions")
        op.create_index(
            index, "sessions", columns.split(), sqlite_where=which, postgresql_where=which
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
