"""Breadcrumbs as CSV, for whoever wants to count otherwise or leave."""

from __future__ import annotations

import csv
import re
from contextlib import aclosing
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, TextIO

from migas.collector.admin.stdout import unwritable
from migas.collector.ingestion.recorder import CRUMB_FIELDS

if TYPE_CHECKING:
    from _csv import Writer
    from collections.abc import Sequence

    from migas.collector.counts.reports import Reports

# At the beginning of any line: some programs take a field's lines apart.
_FORMULA = re.compile(r"^(?=\s*[=+\-@\t\r\uff0b\uff0d\uff1d\uff20])", re.MULTILINE)
_STEERING = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


async def export(
    reports: Reports, out: TextIO, project: str | None = None, since: date | None = None
) -> None:
    """Write breadcrumbs as CSV with a heading, in the order of their commits.

    Times are ISO 8601 in UTC, and every field is in quotation marks. A line that a spreadsheet
    would run as a formula gets an apostrophe in front, and a character that would steer a terminal
    is written as its code: senders are strangers.

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
            moment = datetime.fromtimestamp(timestamp, UTC).isoformat()
            _write(writer, [moment, *(_cell(value) for value in values)])


def _write(writer: Writer, row: Sequence[object]) -> None:
    try:
        writer.writerow(row)
    except OSError as error:
        raise unwritable(error) from error


def _cell(value: object) -> object:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        text = _STEERING.sub(lambda found: ascii(found[0])[1:-1], value)
        return _FORMULA.sub("'", text)
    return value
