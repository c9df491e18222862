"""Two indexes for errors: by user, to see who met one elsewhere, too, and of the most frequent.

Collectors of the step before go on as they do.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """Add them."""
    is_postgresql = op.get_bind().dialect.name == "postgresql"
    if is_postgresql:
        # Ingestion locks it before all that is changed here.
        op.execute("LOCK TABLE crumbs IN SHARE MODE")
    has_error = sa.text("fingerprint IS NOT NULL")
    op.create_index(
        "ix_sessions_failed_users",
        "sessions",
        ["project", "fingerprint", "user_number", "profile", "ended", "began"],
        sqlite_where=has_error,
        postgresql_where=has_error,
    )
    if is_postgresql:  # SQLite has these counts in the order of their key
        op.create_index(
            "ix_daily_errors_long",
            "daily",
            ["project", "day", "value", "sessions"],
            postgresql_where=sa.text("kind = 'fingerprints'"),
        )
