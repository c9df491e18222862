"""Errors have fingerprints, and sessions know their users.

The columns are empty until everything is counted anew, which follows the last step.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_UUID = sa.String(36).with_variant(sa.Uuid(as_uuid=False), "postgresql")


def upgrade() -> None:
    """Add the columns and the index."""
    op.add_column("crumbs", sa.Column("fingerprint", sa.BigInteger))
    op.add_column("sessions", sa.Column("user_id", _UUID))
    op.add_column("sessions", sa.Column("fingerprint", sa.BigInteger))
    counted = sa.text("coalesce(ended, began)")
    failed = sa.text("fingerprint IS NOT NULL")
    op.create_index(
        "ix_sessions_errors",
        "sessions",
        ["project", counted, "fingerprint", "user_id", "last_idx"],
        sqlite_where=failed,
        postgresql_where=failed,
    )
