"""Inserting or naming many rows with one statement and one parameter, whatever their number.

The rows travel as one JSON text and are unpacked by the database. So a statement is compiled and
prepared once, where a list of values would make another statement for each number of rows.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sqlalchemy import Boolean, Text, bindparam, cast, func, select, true, tuple_
from sqlalchemy.dialects import postgresql, sqlite

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import BindParameter, ColumnElement, Table
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
        func.json_extract(plain.c.value, f"$[{number}]", type_=_plain(kind))
        for number, kind in enumerate(types)
    ]


def _plain(kind: TypeEngine[Any]) -> Any:
    return Boolean() if isinstance(kind, Boolean) else None
