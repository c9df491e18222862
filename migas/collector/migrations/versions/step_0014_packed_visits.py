"""A table of packed visits: of what PostgreSQL keeps of ten million sessions, a fifth less.

Packing is upkeep, not part of this step: a collector that serves does it bit by bit. One of the
twelfth step would not see what is packed, and has to stop; earlier ones that may go on writing know
no visits at all.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "packed_visits",
        sa.Column("project", sa.String(140), primary_key=True),
        sa.Column("version", sa.String(24), primary_key=True),
        sa.Column("start", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("part", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("keys", sa.LargeBinary, nullable=False),
        sa.Column("days", sa.LargeBinary, nullable=False),
        sa.Column("completed", sa.LargeBinary, nullable=False),
        sa.Column("failed", sa.LargeBinary, nullable=False),
        sa.Column("suspended", sa.LargeBinary, nullable=False),
    )
