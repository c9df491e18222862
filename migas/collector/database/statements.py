"""What SQLite and PostgreSQL say differently, and the ways in which rows are inserted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import func
from sqlalchemy.dialects import postgresql, sqlite

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import ColumnElement, Connection, Insert, Table

_BATCH = 5000


def insert_new(table: Table, dialect: str) -> Insert:
    """An INSERT that leaves rows alone which are there already.

    Args:
        table: Where to.
        dialect: The SQL dialect, `sqlite` or `postgresql`.
    """
    statement: Insert = _insert(table, dialect).on_conflict_do_nothing()
    return statement


def insert_adding(table: Table, row: dict[str, Any], column: str, dialect: str) -> Any:
    """An INSERT that adds to a row's column where the row is there; it returns the sum."""
    inserted = _insert(table, dialect).values(row)
    return inserted.on_conflict_do_update(
        index_elements=list(table.primary_key.columns),
        set_={column: table.c[column] + inserted.excluded[column]},
    ).returning(table.c[column])


def insert_in_batches(connection: Connection, table: Table, rows: Iterable[dict[str, Any]]) -> None:
    """Insert any number of rows, of which only some thousands are in memory at a time."""
    batch = []
    for row in rows:
        batch.append(row)
        if len(batch) == _BATCH:
            connection.execute(table.insert(), batch)
            batch.clear()
    if batch:
        connection.execute(table.insert(), batch)


def least(dialect: str, *values: ColumnElement[Any]) -> ColumnElement[Any]:
    """The smallest of some values."""
    return func.least(*values) if dialect == "postgresql" else func.min(*values)


def greatest(dialect: str, *values: ColumnElement[Any]) -> ColumnElement[Any]:
    """The greatest of some values."""
    return func.greatest(*values) if dialect == "postgresql" else func.max(*values)


def _insert(table: Table, dialect: str) -> Any:
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)
