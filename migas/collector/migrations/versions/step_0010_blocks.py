"""Sessions and durations are counted by blocks of eight weeks, too, errors of a week by version.

So a sum over a year has fewer rows, and what fails in a version is found without reading what fails
in others. Counting everything anew, which follows the last step, fills all of it; of what an older
collector writes afterwards, `migas db rebuild`.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Index errors of a week where their names stand from now on, and users of running sessions."""
    if op.get_bind().dialect.name == "postgresql":
        # Ingestion locks it before all that is changed here, and counting anew will lock it.
        op.execute("LOCK TABLE crumbs IN SHARE MODE")
    running = sa.text("status = 'R'")
    columns = ["project", "seen", "profile", "version", "ended", "began", "status", "user_id"]
    op.drop_index("ix_sessions_running", "sessions")
    op.create_index(
        "ix_sessions_running",
        "sessions",
        columns,
        sqlite_where=running,
        postgresql_where=running,
    )
    weekly = sa.text("kind = 'weekly versions'")
    op.drop_index("ix_daily_errors", "daily")
    op.execute("DELETE FROM daily WHERE kind = 'weekly versions'")
    op.create_index(
        "ix_daily_errors",
        "daily",
        ["project", "detail", "value", "day", "sessions"],
        sqlite_where=weekly,
        postgresql_where=weekly,
    )
