"""The condition that a column has one of many values.

An IN of SQLAlchemy has a parameter for each value, and writes them into the statement anew each
time that it is executed. A page has a thousand of them; with arrays in their place the server does
a sixth less for it. SQLite knows no arrays, and would unpack a text of all values more slowly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Boolean, String, any_, bindparam
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlalchemy import BindParameter, ColumnElement


class _IsOneOf(FunctionElement[bool]):
    """One condition in two forms: for PostgreSQL, and for others."""

    type = Boolean()
    inherit_cache = True

    def self_group(self, against: Any = None) -> _IsOneOf:  # noqa: ARG002
        """Itself, for it is a condition; SQLite would use no index for one that it has to be 1."""
        return self


def is_one_of(column: ColumnElement[Any], values: str | Collection[Any]) -> ColumnElement[bool]:
    """The condition that a column has one of some values.

    Args:
        column: The column.
        values: They, or the name of the parameter that has a list of them when the statement is
            executed.
    """
    # A type with a length would have values cut to it.
    array = ARRAY(String() if isinstance(column.type, String) else column.type)
    if isinstance(values, str):
        named: BindParameter[Any] = bindparam(values, type_=array)
        plain: BindParameter[Any] = bindparam(values, expanding=True)
        return _IsOneOf(column == any_(named), column.in_(plain))
    listed = list(values)
    return _IsOneOf(column == any_(bindparam(None, listed, type_=array)), column.in_(listed))


@compiles(_IsOneOf)
def _in(element: _IsOneOf, compiler: Any, **options: Any) -> str:
    _, plain = element.clauses
    return str(compiler.process(plain, **options))


@compiles(_IsOneOf, "postgresql")
def _in_array(element: _IsOneOf, compiler: Any, **options: Any) -> str:
    array, _ = element.clauses
    return str(compiler.process(array, **options))
