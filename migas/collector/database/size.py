"""How large a database is, found out without reading it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import func, literal_column, select, text

from migas.collector.database.tables import crumbs

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement
    from sqlalchemy.ext.asyncio import AsyncConnection


_FEW = 1_000


class Size(NamedTuple):
    """Bytes of a database, and about how many breadcrumbs are in it."""

    bytes: int
    rows: int


async def size_of(connection: AsyncConnection) -> Size:
    """Ask for a size; rows are estimated, for to count millions takes seconds."""

    async def value(query: object) -> int:
        return int((await connection.execute(query)).scalar() or 0)  # type: ignore[call-overload]

    if connection.dialect.name == "sqlite":
        pages, page = [await value(text(f"PRAGMA page_{what}")) for what in ("count", "size")]
        # Numbers are given one by one, and what is deleted is the oldest.
        first, last = select(func.min(crumbs.c.idx)), select(func.max(crumbs.c.idx))
        newest = await value(last)
        return Size(pages * page, newest and newest - await value(first) + 1)
    size = await value(select(func.pg_database_size(func.current_database())))
    estimate: ColumnElement[int] = literal_column("reltuples::bigint")
    rows = await value(select(estimate).select_from(text("pg_class WHERE oid='crumbs'::regclass")))
    if rows < _FEW:  # what PostgreSQL says of a small table is old, or nothing at all
        few = select(crumbs.c.idx).limit(_FEW).subquery()
        rows = await value(select(func.count()).select_from(few))
    return Size(size, rows)
