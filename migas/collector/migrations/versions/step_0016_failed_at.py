"""Failed sessions are indexed by the time at which they count, and those of some days found by it.

It takes the place of the order in which they came. Collectors of the step before go on as they do.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Put one index in the place of another."""
    if op.get_bind().dialect.name == "postgresql":
        # Ingestion locks it before all that is changed here.
        op.execute("LOCK TABLE crumbs IN SHARE MODE")
    op.drop_index("ix_sessions_newest_failed", "sessions")
    counted: sa.ColumnElement[int] = sa.func.coalesce(sa.column("ended"), sa.column("began"))
    has_error = sa.text("fingerprint IS NOT NULL")
    op.create_index(
        "ix_sessions_failed_at",
        "sessions",
        [
            *("project", "fingerprint", counted, "last_idx", "profile", "user_number"),
            *("version", "ended", "began", "status"),
        ],
        sqlite_where=has_error,
        postgresql_where=has_error,
    )
