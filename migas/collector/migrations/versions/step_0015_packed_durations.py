"""Durations are kept for every filter, and packed: in an eighth of the room.

Collectors of the steps from the sixth on know the table as it was, and have to stop. Counting
everything anew, which follows the last step, fills both tables.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Make both tables anew."""
    if op.get_bind().dialect.name == "postgresql":
        # Ingestion locks it before all that is changed here, and counting anew will lock it.
        op.execute("LOCK TABLE crumbs IN SHARE MODE")
    op.drop_table("durations")
    op.create_table(
        "durations",
        sa.Column("project", sa.String(140), primary_key=True),
        sa.Column("version", sa.String(24), primary_key=True),
        sa.Column("day", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("profile", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("bucket", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("shard", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("sessions", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "packed_durations",
        sa.Column("project", sa.String(140), primary_key=True),
        sa.Column("version", sa.String(24), primary_key=True),
        sa.Column("span", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("start", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("by_profile", sa.LargeBinary, nullable=False),
        sa.Column("of_all", sa.LargeBinary, nullable=False),
    )
