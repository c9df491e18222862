"""Breadcrumbs are indexed by the day of their arrival: a fifth of the room on PostgreSQL."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Put one index in the place of another."""
    if op.get_bind().dialect.name == "postgresql":
        # Ingestion locks it before all that is changed here.
        op.execute("LOCK TABLE crumbs IN SHARE MODE")
    op.drop_index("ix_crumbs_project_timestamp", "crumbs")
    day = sa.column("timestamp", sa.BigInteger) // sa.literal_column("86400", sa.Integer)
    op.create_index("ix_crumbs_project_day", "crumbs", ["project", day])
