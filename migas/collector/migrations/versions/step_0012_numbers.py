"""Numbers stand for users, and visits say how sessions ended: a fifth of the database less.

Sessions no longer repeat what profiles and breadcrumbs have. Collectors of steps before the seventh
may go on writing it there, and so the columns stay; later ones know `visits` and `error_users` as
they were, and have to stop. Counting everything anew, which follows the last step, fills both
tables and all numbers.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Make both tables anew, and indexes with numbers; drop one that nothing asks any more."""
    if op.get_bind().dialect.name == "postgresql":
        # Ingestion locks it before all that is changed here, and counting anew will lock it.
        op.execute("LOCK TABLE crumbs IN SHARE MODE")
    op.drop_table("visits")
    op.drop_table("error_users")
    op.add_column("project_users", sa.Column("user_number", sa.BigInteger))
    op.create_index(
        "ix_project_users_number", "project_users", ["project", "user_number", "first_day"]
    )
    op.create_table(
        "error_users",
        sa.Column("project", sa.String(140), primary_key=True),
        sa.Column("fingerprint", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("user_number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("last_day", sa.Integer, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_error_users_days", "error_users", ["project", "fingerprint", "last_day"])
    op.create_table(
        "visits",
        sa.Column("project", sa.String(140), primary_key=True),
        sa.Column("version", sa.String(24), primary_key=True),
        sa.Column("profile", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("user_number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("start", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("days", sa.BigInteger, nullable=False),
        sa.Column("completed", sa.BigInteger),
        sa.Column("failed", sa.BigInteger),
        sa.Column("suspended", sa.BigInteger),
        sqlite_with_rowid=False,
    )
    op.add_column("sessions", sa.Column("user_number", sa.BigInteger))
    op.drop_index("ix_sessions_began", "sessions")
    failed, running = sa.text("fingerprint IS NOT NULL"), sa.text("status = 'R'")
    for name, which, columns in (
        ("running", running, "project seen profile version ended began status user_number"),
        (
            "failed",
            failed,
            "project fingerprint profile user_number ended began last_idx version status",
        ),
        (
            "failed_versions",
            failed,
            "project fingerprint version profile user_number ended began last_idx status",
        ),
    ):
        index = f"ix_sessions_{name}"
        op.drop_index(index, "sessions")
        op.create_index(
            index, "sessions", columns.split(), sqlite_where=which, postgresql_where=which
        )
