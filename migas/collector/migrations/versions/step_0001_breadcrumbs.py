"""Projects, releases, users and breadcrumbs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_UUID = sa.String(36).with_variant(sa.Uuid(as_uuid=False), "postgresql")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "projects",
        sa.Column("idx", _ROW_ID, primary_key=True),
        sa.Column("project", sa.String(140), nullable=False, unique=True),
        sa.Column("registered", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "releases",
        sa.Column("project", sa.String(140), primary_key=True),
        sa.Column("latest", sa.Text, nullable=False),
        sa.Column("recorded", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "flagged_versions",
        sa.Column("project", sa.String(140), primary_key=True),
        sa.Column("version", sa.Text, primary_key=True),
    )
    op.create_table(
        "users",
        sa.Column("user_id", _UUID, primary_key=True),
        sa.Column("user_type", sa.String(32), nullable=False),
        sa.Column("platform", sa.String(64), nullable=False),
        sa.Column("container", sa.String(32), nullable=False),
    )
    op.create_table(
        "crumbs",
        sa.Column("idx", _ROW_ID, primary_key=True),
        sa.Column("project", sa.String(140), nullable=False),
        sa.Column("version", sa.String(24), nullable=False),
        sa.Column("language", sa.String(32), nullable=False),
        sa.Column("language_version", sa.String(24), nullable=False),
        sa.Column("timestamp", sa.BigInteger, nullable=False),
        sa.Column("session_id", _UUID),
        sa.Column("user_id", _UUID),
        sa.Column("status", sa.String(1), nullable=False),
        sa.Column("status_desc", sa.Text),
        sa.Column("error_type", sa.Text),
        sa.Column("error_desc", sa.Text),
        sa.Column("is_ci", sa.Boolean, nullable=False),
    )
    op.create_index("ix_crumbs_project_timestamp", "crumbs", ["project", "timestamp"])
    op.create_index("ix_crumbs_session_id", "crumbs", ["session_id"])
