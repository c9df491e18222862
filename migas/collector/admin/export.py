"""Breadcrumbs as CSV or JSON, for whoever wants to count otherwise or leave."""

from __future__ import annotations

import csv
import json
from contextlib import aclosing
from typing import TYPE_CHECKING, TextIO

from migas.collector.admin.command import unwritable
from migas.collector.counts.rows import csv_cell
from migas.collector.days import moment
from migas.collector.ingestion.recorder import CRUMB_FIELDS, TIMES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from migas.collector.counts.reports import Reports


async def export(
    reports: Reports,
    out: TextIO,
    project: str | None = None,
    since: date | None = None,
    *,
    as_json: bool = False,
) -> None:
    """Write breadcrumbs in the order of their commits: as CSV with a heading, or as JSON lines.

    Times are ISO 8601 in UTC. In CSV every field is in quotation marks, a line that a spreadsheet
    would run as a formula gets an apostrophe in front, and a character that would steer a terminal
    is written as its code: senders are strangers.

    Args:
        reports: Reads them.
        out: Where to write.
        project: Only this project's.
        since: Only those of this day and later.
        as_json: Whether each is written as a JSON object on a line of its own.

    Raises:
        CollectorError: They cannot be written, to a full disk say.
    """
    fields = (*CRUMB_FIELDS, *TIMES)
    names = ("timestamp", *fields)
    table = csv.writer(out, quoting=csv.QUOTE_ALL)

    def write(row: Sequence[object]) -> None:
        try:
            if as_json:
                out.write(json.dumps(dict(zip(names, row, strict=True))) + "\n")
            else:
                table.writerow([csv_cell(value) for value in row])
        except OSError as error:
            raise unwritable(error) from error

    if not as_json:
        write(names)
    async with aclosing(reports.breadcrumbs(fields, project, since)) as rows:
        async for timestamp, *values, ended, duration in rows:
            end = None if ended is None else moment(ended).isoformat()
            write([moment(timestamp).isoformat(), *values, end, duration])
