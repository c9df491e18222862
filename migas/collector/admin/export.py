"""Breadcrumbs as CSV, for whoever wants to count otherwise or leave."""

from __future__ import annotations

import csv
from contextlib import aclosing
from typing import TYPE_CHECKING, TextIO

from migas.collector.admin.stdout import unwritable
from migas.collector.days import moment
from migas.collector.ingestion.recorder import CRUMB_FIELDS

if TYPE_CHECKING:
    from _csv import Writer
    from collections.abc import Sequence
    from datetime import date

    from migas.collector.counts.reports import Reports

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


async def export(
    reports: Reports, out: TextIO, project: str | None = None, since: date | None = None
) -> None:
    """Write breadcrumbs as CSV with a heading, in the order of their commits.

    Times are ISO 8601 in UTC, and every field is in quotation marks. A text that a spreadsheet
    would run as a formula gets an apostrophe in front: senders are strangers.

    Args:
        reports: Reads them.
        out: Where to write.
        project: Only this project's.
        since: Only those of this day and later.

    Raises:
        CollectorError: They cannot be written, to a full disk say.
    """
    writer = csv.writer(out, quoting=csv.QUOTE_ALL)
    _write(writer, ("timestamp", *CRUMB_FIELDS))
    async with aclosing(reports.breadcrumbs(CRUMB_FIELDS, project, since)) as rows:
        async for timestamp, *values in rows:
            _write(writer, [moment(timestamp).isoformat(), *(_cell(value) for value in values)])


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
