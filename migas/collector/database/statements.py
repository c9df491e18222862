"""What SQLite and PostgreSQL say differently, and the ways in which rows are inserted."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from sqlalchemy.dialects import postgresql, sqlite

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import Connection, Insert, Table

_BATCH = 5000


def insert_new(table: Table, dialect: str) -> Insert:
    """An INSERT that leaves rows alone which are there already.

    Args:
        table: Where to.
        dialect: The SQL dialect, `sqlite` or `postgresql`.
    """
    statement: Insert = insert_into(table, dialect).on_conflict_do_nothing()
    return statement


def adding(insert: Any, columns: Sequence[str]) -> Any:
    """An INSERT that adds some columns to those of rows which are there already."""
    return insert.on_conflict_do_update(
        index_elements=list(insert.table.primary_key.columns),
        set_={name: insert.table.c[name] + insert.excluded[name] for name in columns},
    )


def insert_in_batches(connection: Connection, table: Table, rows: Iterable[dict[str, Any]]) -> None:
    """Insert any number of rows, of which only some thousands are in memory at a time."""
    left = iter(rows)
    while batch := list(islice(left, _BATCH)):
        connection.execute(table.insert(), batch)


def insert_into(table: Table, dialect: str) -> Any:
    """An INSERT of a dialect, which knows what to do with rows that are there already."""
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)
