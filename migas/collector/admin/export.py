"""Breadcrumbs as CSV, for whoever wants to count otherwise or leave."""

from __future__ import annotations

import csv
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, TextIO

from sqlalchemy import select

from migas.collector.admin.stdout import unwritable
from migas.collector.database.tables import crumbs
from migas.collector.ingestion.recorder import CRUMB_FIELDS

if TYPE_CHECKING:
    from _csv import Writer
    from collections.abc import Sequence

    from migas.collector.collector import Storage

COLUMNS = ("timestamp", *CRUMB_FIELDS)

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


async def export(
    storage: Storage, out: TextIO, project: str | None = None, since: date | None = None
) -> None:
    """Write breadcrumbs as CSV with a heading, in the order of their commits.

    Times are ISO 8601 in UTC, and every field is in quotation marks. A text that a spreadsheet
    would run as a formula gets an apostrophe in front: senders are strangers.

    Args:
        storage: Where they are.
        out: Where to write.
        project: Only this project's.
        since: Only those of this day and later.

    Raises:
        CollectorError: They cannot be written, to a full disk say.
    """
    query = select(*(crumbs.c[name] for name in COLUMNS)).order_by(crumbs.c.idx)
    if project is not None:
        query = query.where(crumbs.c.project == project)
    if since is not None:
        first = datetime(since.year, since.month, since.day, tzinfo=UTC).timestamp()
        query = query.where(crumbs.c.timestamp >= int(first))
    writer = csv.writer(out, quoting=csv.QUOTE_ALL)
    _write(writer, COLUMNS)
    async with storage.reading() as connection:
        async for row in await connection.stream(query):
            moment = datetime.fromtimestamp(row.timestamp, UTC).isoformat()
            _write(writer, [moment, *(_cell(value) for value in row[1:])])


def _write(writer: Writer, row: Sequence[object]) -> None:
    try:
        writer.writerow(row)
    except OSError as error:
        raise unwritable(error) from error


def _cell(value: object) -> object:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return value
