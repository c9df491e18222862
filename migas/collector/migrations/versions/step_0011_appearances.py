"""Users are counted by the days on which they were first and last seen, and by their types.

Counting everything anew, which follows the last step, fills these counts; those of users whom an
older collector notes afterwards, `migas db rebuild`.
"""

from __future__ import annotations

from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Drop the index in which users of special types were looked for."""
    if op.get_bind().dialect.name == "postgresql":
        # Ingestion locks it before users, and counting anew will lock it.
        op.execute("LOCK TABLE crumbs IN SHARE MODE")
    op.drop_index("ix_users_special", "users")
