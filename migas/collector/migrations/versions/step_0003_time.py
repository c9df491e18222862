"""When runs ended and how long they took; of what is there already nobody said so."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the columns, in the order in which ingestion locks their tables."""
    for table in ("crumbs", "sessions"):
        op.add_column(table, sa.Column("ended", sa.BigInteger))
        op.add_column(table, sa.Column("duration", sa.Double))
