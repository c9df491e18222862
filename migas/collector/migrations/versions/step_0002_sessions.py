"""Sessions, daily counts, tokens and request counts; repeated breadcrumbs are known as such.

Breadcrumbs that are there already keep an empty digest: only what arrives from now on is compared.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_UUID = sa.String(36).with_variant(sa.Uuid(as_uuid=False), "postgresql")


def upgrade() -> None:
    """Add the columns, indices and tables."""
    _extend_crumbs()
    op.add_column("projects", sa.Column("package", sa.String(100)))
    op.add_column("projects", sa.Column("asked", sa.BigInteger))
    op.create_table(
        "sessions",
        sa.Column("session_id", _UUID, primary_key=True),
        sa.Column("project", sa.String(140), primary_key=True),
        sa.Column("began", sa.BigInteger, nullable=False),
        sa.Column("seen", sa.BigInteger, nullable=False),
        sa.Column("last_idx", sa.BigInteger, nullable=False),
        sa.Column("version", sa.String(24), nullable=False),
        sa.Column("status", sa.String(1), nullable=False),
        sa.Column("language", sa.String(32), nullable=False),
        sa.Column("language_version", sa.String(24), nullable=False),
        sa.Column("platform", sa.String(64), nullable=False),
        sa.Column("container", sa.String(32), nullable=False),
        sa.Column("is_ci", sa.Boolean, nullable=False),
        sa.Column("error_type", sa.String(100)),
    )
    op.create_index("ix_sessions_began", "sessions", ["began"])
    running = sa.text("status = 'R'")
    op.create_index(
        "ix_sessions_running",
        "sessions",
        ["project", "seen"],
        sqlite_where=running,
        postgresql_where=running,
    )
    op.create_table(
        "daily",
        sa.Column("project", sa.String(140), primary_key=True),
        sa.Column("kind", sa.String(16), primary_key=True),
        sa.Column("day", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("value", sa.String(100), primary_key=True),
        sa.Column("detail", sa.String(24), primary_key=True),
        sa.Column("shard", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("sessions", sa.BigInteger, nullable=False),
        sa.Column("example", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "project_users",
        sa.Column("user_id", _UUID, primary_key=True),
        sa.Column("project", sa.String(140), primary_key=True),
        sa.Column("first_day", sa.Integer, nullable=False),
        sa.Column("last_day", sa.Integer, nullable=False),
    )
    op.create_index("ix_project_users_days", "project_users", ["project", "last_day", "first_day"])
    op.create_table(
        "tokens",
        sa.Column("id", sa.String(16), primary_key=True),
        sa.Column("project", sa.String(140)),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.Column("description", sa.Text),
        sa.Column("issued", sa.BigInteger, nullable=False),
        sa.Column("last_used", sa.BigInteger),
        sa.Column("revoked", sa.BigInteger),
    )
    op.create_table(
        "salts",
        sa.Column("day", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("salt", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "request_counts",
        sa.Column("address", sa.LargeBinary, primary_key=True),
        sa.Column("window", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("used", sa.Integer, nullable=False),
    )


def _extend_crumbs() -> None:
    for column in (
        sa.Column("platform", sa.String(64), nullable=False, server_default="unknown"),
        sa.Column("container", sa.String(32), nullable=False, server_default="unknown"),
        sa.Column("digest", sa.BigInteger),
    ):
        op.add_column("crumbs", column)
    # Until now only the users' rows said so.
    op.execute(
        "UPDATE crumbs SET"
        " platform = (SELECT u.platform FROM users u WHERE u.user_id = crumbs.user_id),"
        " container = (SELECT u.container FROM users u WHERE u.user_id = crumbs.user_id)"
        " WHERE user_id IN (SELECT user_id FROM users)"
    )
    op.drop_index("ix_crumbs_session_id", "crumbs")
    op.create_index("ix_crumbs_session_digest", "crumbs", ["session_id", "digest"], unique=True)
    has_user = sa.text("user_id IS NOT NULL")
    op.create_index(
        "ix_crumbs_user_id",
        "crumbs",
        ["user_id"],
        sqlite_where=has_user,
        postgresql_where=has_user,
    )
