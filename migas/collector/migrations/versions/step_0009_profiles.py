"""Sessions say which profile they have, so that errors can be looked for in one alone.

The column is empty until everything is counted anew, which follows the last step; that of what an
older collector writes afterwards, until `migas db rebuild`.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Add the column, and have it in the place of what it stands for in the indexes."""
    op.add_column("sessions", sa.Column("profile", sa.BigInteger))
    failed = sa.text("fingerprint IS NOT NULL")
    counted = sa.text("coalesce(ended, began)")
    for name, columns in (
        ("ix_sessions_failed", ("profile", "user_id", counted, "last_idx", "version")),
        ("ix_sessions_failed_versions", ("version", "profile", "user_id", counted, "last_idx")),
    ):
        op.drop_index(name, "sessions")
        indexed: list[str | sa.TextClause] = ["project", "fingerprint", *columns]
        op.create_index(name, "sessions", indexed, sqlite_where=failed, postgresql_where=failed)
