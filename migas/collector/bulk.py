"""Inserting many rows with one statement and one parameter, whatever their number.

The rows travel as one JSON text and are unpacked by the database. So a statement is compiled and
prepared once, where a list of values would make another statement for each number of rows.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sqlalchemy import Boolean, Text, bindparam, cast, func, select, true
from sqlalchemy.dialects import postgresql, sqlite

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import ColumnElement, Table

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
    if dialect == "postgresql":
        rows = func.jsonb_array_elements(cast(bindparam(_ROWS, type_=Text), postgresql.JSONB))
        unpacked = rows.table_valued("value", with_ordinality="number").render_derived()
        values: list[ColumnElement[Any]] = [
            cast(unpacked.c.value.op("->>")(number), table.c[name].type)
            for number, name in enumerate(columns)
        ]
        chosen = select(*values).select_from(unpacked).order_by(unpacked.c.number)
        return postgresql.insert(table).from_select(list(columns), chosen)
    each = func.json_each(bindparam(_ROWS, type_=Text)).table_valued("value")
    fields = [
        func.json_extract(each.c.value, f"$[{number}]", type_=_plain(table, name))
        for number, name in enumerate(columns)
    ]
    # The condition tells SQLite that what follows is no part of the SELECT.
    return sqlite.insert(table).from_select(list(columns), select(*fields).where(true()))


def packed(rows: Iterable[Sequence[object]]) -> dict[str, str]:
    """The parameter that carries rows."""
    return {_ROWS: json.dumps(list(rows), ensure_ascii=False, separators=(",", ":"))}


def _plain(table: Table, name: str) -> Any:
    kind = table.c[name].type
    return Boolean() if isinstance(kind, Boolean) else None
