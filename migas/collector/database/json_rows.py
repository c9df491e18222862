"""Inserting or naming many rows with one statement and one parameter, whatever their number.

The rows travel as one JSON text and are unpacked by the database. So a statement is compiled and
prepared once, where a list of values would make another statement for each number of rows.
"""

from __future__ import annotations

import json
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from sqlalchemy import Boolean, Text, bindparam, cast, func, select, true, tuple_
from sqlalchemy.dialects import postgresql, sqlite

from migas.collector.database.prompt import prompt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from sqlalchemy import BindParameter, ColumnElement, Select, Table
    from sqlalchemy.ext.asyncio import AsyncConnection
    from sqlalchemy.types import TypeEngine

_ROWS = "rows"


def insert_rows(table: Table, columns: Sequence[str], dialect: str) -> Any:
    """An INSERT of rows from one parameter, which `packed` makes.

    Args:
        table: Where to.
        columns: The columns that each row has, in its order.
        dialect: `sqlite` or `postgresql`.

    Returns:
        An `Insert` of that dialect, so that `on_conflict_…` and `returning` can be added.
    """
    types = [table.c[name].type for name in columns]
    each, values = _unpacked(bindparam(_ROWS, type_=Text), types, dialect)
    if dialect == "postgresql":
        chosen = select(*values).select_from(each).order_by(each.c.number)
        return postgresql.insert(table).from_select(list(columns), chosen)
    # The condition tells SQLite that what follows is no part of the SELECT.
    return sqlite.insert(table).from_select(list(columns), select(*values).where(true()))


class Writing:
    """An INSERT of rows whose answer nobody reads.

    SQLite takes them one after the other: that costs it half as much as to unpack a text.

    Args:
        table: Where to.
        dialect: `sqlite` or `postgresql`.
        conflict: Adds to the INSERT what happens to a row that is there already.
    """

    def __init__(self, table: Table, dialect: str, conflict: Callable[[Any], Any]) -> None:
        self._one_by_one: RowByRow | None = None
        if dialect == "sqlite":
            self._one_by_one = RowByRow(table, conflict)
        else:
            self._at_once = conflict(insert_rows(table, table.columns.keys(), dialect))

    async def write(self, connection: AsyncConnection, rows: Sequence[tuple[Any, ...]]) -> None:
        """Insert rows, at least one; on PostgreSQL others wait least where keys are in order.

        Args:
            connection: In a transaction that writes.
            rows: Each with all columns of the table, in its order.
        """
        if self._one_by_one is not None:
            self._one_by_one.write(connection, rows)
        else:
            await connection.execute(self._at_once, packed(rows))


class RowByRow:
    """An INSERT into SQLite, done once for each row.

    Args:
        table: Where to.
        conflict: Adds to the INSERT what happens to a row that is there already.
        columns: The columns that each row has, in its order; all of them without any.
    """

    def __init__(
        self, table: Table, conflict: Callable[[Any], Any], columns: Sequence[str] = ()
    ) -> None:
        names = columns or table.columns.keys()
        one = conflict(sqlite.insert(table))
        compiled = one.compile(dialect=sqlite.dialect(), column_keys=names)
        self._statement = str(compiled)
        # A statement has its columns in the order of the table's.
        self._ordered = itemgetter(*map(list(names).index, compiled.positiontup))

    def write(self, connection: AsyncConnection, rows: Iterable[tuple[Any, ...]]) -> None:
        """Insert rows."""
        prompt(connection).write(self._statement, map(self._ordered, rows))

    def write_each(
        self, connection: AsyncConnection, rows: Iterable[tuple[Any, ...]]
    ) -> list[int | None]:
        """Insert rows.

        Returns:
            The number that SQLite gave to each, and None for one that was there already.
        """
        return prompt(connection).insert(self._statement, map(self._ordered, rows))


def among(
    columns: Sequence[ColumnElement[Any]], rows: Iterable[Sequence[object]] | None, dialect: str
) -> ColumnElement[bool]:
    """The condition that some columns have the values of one of many rows.

    PostgreSQL uses an index for it only where it is not one part of an OR.

    Args:
        columns: What to compare, in the order of each row.
        rows: The values; None for those that `packed` makes when the statement is executed.
        dialect: `sqlite` or `postgresql`.
    """
    text: BindParameter[str] = bindparam(_ROWS, type_=Text)
    if rows is not None:
        text = bindparam(_ROWS, packed(rows)[_ROWS], type_=Text, unique=True)
    each, values = _unpacked(text, [column.type for column in columns], dialect)
    return tuple_(*columns).in_(select(*values).select_from(each))


def given(columns: Sequence[ColumnElement[Any]], dialect: str) -> Select[Any]:
    """A SELECT of the rows that `packed` makes when the statement is executed, as they are.

    Args:
        columns: What the values of each row are called, and of which types they are.
        dialect: `sqlite` or `postgresql`.
    """
    text: BindParameter[str] = bindparam(_ROWS, type_=Text)
    each, values = _unpacked(text, [column.type for column in columns], dialect)
    named = zip(columns, values, strict=True)
    return select(*(value.label(column.key) for column, value in named)).select_from(each)


def packed(rows: Iterable[Sequence[object]]) -> dict[str, str]:
    """The parameter that carries rows."""
    return {_ROWS: json.dumps(list(rows), ensure_ascii=False, separators=(",", ":"))}


def _unpacked(
    text: BindParameter[str], types: Sequence[TypeEngine[Any]], dialect: str
) -> tuple[Any, list[ColumnElement[Any]]]:
    """Rows as the database unpacks them from a text: what to select from, and which values."""
    if dialect == "postgresql":
        rows = func.jsonb_array_elements(cast(text, postgresql.JSONB))
        each = rows.table_valued("value", with_ordinality="number").render_derived()
        return each, [
            cast(each.c.value.op("->>")(number), kind) for number, kind in enumerate(types)
        ]
    plain = func.json_each(text).table_valued("value")
    return plain, [
        func.json_extract(
            plain.c.value, f"$[{number}]", type_=Boolean() if isinstance(kind, Boolean) else None
        )
        for number, kind in enumerate(types)
    ]
