"""The tables, in SQL that SQLite and PostgreSQL share.

Times are whole seconds since 1970 in UTC, as the server's clock had them: both engines compare,
index and group integers the same way. Ids are text in SQLite, where a person may look at them,
and PostgreSQL's own 16-byte type there.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    Uuid,
)

from migas.breadcrumb import MAX_LANGUAGE_CHARS, MAX_PLATFORM_CHARS, MAX_VERSION_CHARS

from .ingest import MAX_PROJECT_CHARS

metadata = MetaData()

_ROW_ID = BigInteger().with_variant(Integer(), "sqlite")
_UUID = String(36).with_variant(Uuid(as_uuid=False), "postgresql")

projects = Table(
    "projects",
    metadata,
    Column("idx", _ROW_ID, primary_key=True),
    Column("project", String(MAX_PROJECT_CHARS), nullable=False, unique=True),
    Column("registered", BigInteger, nullable=False),
)
"""The projects whose breadcrumbs are taken, in the order in which they were registered."""

releases = Table(
    "releases",
    metadata,
    Column("project", String(MAX_PROJECT_CHARS), primary_key=True),
    Column("latest", Text, nullable=False),
    Column("recorded", BigInteger, nullable=False),
)
"""The newest version of each project for which somebody named one."""

flagged_versions = Table(
    "flagged_versions",
    metadata,
    Column("project", String(MAX_PROJECT_CHARS), primary_key=True),
    Column("version", Text, primary_key=True),
)
"""Versions with known faults."""

users = Table(
    "users",
    metadata,
    Column("user_id", _UUID, primary_key=True),
    Column("user_type", String(32), nullable=False),
    Column("platform", String(MAX_PLATFORM_CHARS), nullable=False),
    Column("container", String(32), nullable=False),
)
"""Who sent breadcrumbs; a row is written once and keeps its first values."""

crumbs = Table(
    "crumbs",
    metadata,
    Column("idx", _ROW_ID, primary_key=True),
    Column("project", String(MAX_PROJECT_CHARS), nullable=False),
    Column("version", String(MAX_VERSION_CHARS), nullable=False),
    Column("language", String(MAX_LANGUAGE_CHARS), nullable=False),
    Column("language_version", String(MAX_VERSION_CHARS), nullable=False),
    Column("timestamp", BigInteger, nullable=False),
    Column("session_id", _UUID),
    Column("user_id", _UUID),
    Column("status", String(1), nullable=False),
    Column("status_desc", Text),
    Column("error_type", Text),
    Column("error_desc", Text),
    Column("is_ci", Boolean, nullable=False),
    Index("ix_crumbs_project_timestamp", "project", "timestamp"),
    Index("ix_crumbs_session_id", "session_id"),
)
"""Every breadcrumb, one row each, in the order in which they were committed."""
