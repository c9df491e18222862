"""News, who is told of them, public totals, and the names that projects had."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add the columns and the tables."""
    op.add_column("projects", sa.Column("looked", sa.BigInteger))
    op.add_column("projects", sa.Column("shared", sa.BigInteger))
    op.add_column("tokens", sa.Column("scope", sa.String(16)))
    op.create_table(
        "aliases",
        sa.Column("alias", sa.String(140), primary_key=True),
        sa.Column("project", sa.String(140), nullable=False),
    )
    op.create_table(
        "news",
        sa.Column("idx", _ROW_ID, primary_key=True),
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("project", sa.String(140), nullable=False),
        sa.Column("key", sa.String(100), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("page", sa.Text, nullable=False),
        sa.Column("found", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_news_project_key", "news", ["project", "key"], unique=True)
    op.create_table(
        "webhooks",
        sa.Column("project", sa.String(140), primary_key=True),
        sa.Column("url", sa.Text, primary_key=True),
        sa.Column("told", sa.BigInteger, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("due", sa.BigInteger, nullable=False),
    )
