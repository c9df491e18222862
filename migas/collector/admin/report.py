"""`migas report`: a table of a project's runs, for a terminal, a spreadsheet or a script."""

from __future__ import annotations

from migas.collector.admin.command import add, day, one_line, opened
from migas.collector.errors import CollectorError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Sequence
    from typing import Any

    from migas.collector.admin.command import Answer, Subparsers
    from migas.collector.days import Step

_MAX_CELL = 60
_STEPS = ("day", "week", "month")
_TABLES = {
    "version": "versions",
    "error": "errors",
    "duration": "durations",
    "version-duration": "version-durations",
    "period": "periods",
    "where": "where",
    "difference": "differences",
    "users": "users",
    "environment": "environments",
    "adoption": "adoption",
    "lost": "lost",
}
"""Which table is shown; each of `_STEPS` shows sessions."""

_OVER_TIME: dict[str, Step] = {"duration": "week", "users": "month", "adoption": "month"}
"""By what the rows of those are that are over time, where nobody says so."""

FILTERS: dict[str, dict[str, Any]] = {
    "version": {"metavar": "VERSION", "help": "only sessions of this one"},
    "platform": {"metavar": "NAME", "help": "only those on this one: linux"},
    "container": {"metavar": "NAME", "help": "only those in this one: docker"},
    "language": {"metavar": "NAME", "help": "only those of this one: python, or 'python 3.12'"},
    "ci": {"choices": ("yes", "no"), "help": "only those in continuous integration, or outside"},
    "user": {"metavar": "TYPE", "help": "only those of users of a type: general, dev or ci"},
    "outcome": {
        "choices": ("completed", "failed", "suspended", "running"),
        "help": "only those that ended so",
    },
    "error": {"metavar": "FINGERPRINT", "help": "only those that failed with this one"},
}
"""Which sessions are counted: the options for the values of a `Filter`."""


def register(subparsers: Subparsers) -> None:
    """Add it."""
    summary = "count the runs that your server knows of"
    report = add(subparsers, "report", _report, summary, of_project=True)
    report.add_argument("--since", metavar="YYYY-MM-DD", help="the first day (default: 30 of them)")
    report.add_argument("--until", metavar="YYYY-MM-DD", help="the last day (default: today)")
    report.add_argument(
        "--by",
        choices=(*_TABLES, *_STEPS),
        default="version",
        help="which table; day, week and month count sessions (default: %(default)s)",
    )
    defaults = ", ".join(f"--by {table} (default: {per})" for table, per in _OVER_TIME.items())
    words = f"what is counted together by {defaults}"
    report.add_argument("--per", choices=_STEPS, help=words)
    report.add_argument("--csv", action="store_true", help="print the table as CSV")
    only = report.add_argument_group(
        "which runs", "As on the project's page; several are combined."
    )
    for name, explained in FILTERS.items():
        only.add_argument(f"--{name}", **explained)
    for which in ("first", "second"):
        words = f"the {which} of two versions, for --by difference"
        report.add_argument(f"--{which}", metavar="VERSION", default="", help=words)


async def _report(options: Namespace) -> Answer:
    from migas.collector.counts.filters import Filter, storable
    from migas.collector.counts.rows import as_csv, plain
    from migas.collector.counts.tables import Tables
    from migas.collector.days import Period

    if options.csv and options.json:
        raise CollectorError("--csv and --json are two forms of a report: say one of them.")
    if options.by == "where" and options.error is None:
        raise CollectorError("--by where is of one error: name it with --error.")
    if options.per and options.by not in _OVER_TIME:
        *most, other = (f"--by {table}" for table in _OVER_TIME)
        raise CollectorError(f"--per is of the tables over time, {', '.join(most)} and {other}.")
    two = storable(options.first), storable(options.second)
    if options.by == "difference" and not all(two):
        raise CollectorError("--by difference is of two versions: name --first and --second.")
    if options.by != "difference" and any(two):
        raise CollectorError("--first and --second are of --by difference.")
    async with opened(options.db, options.project) as collector:
        today = collector.clock.today()
        name = _TABLES.get(options.by, "sessions")
        # Of tables that are not over time no row is by a step.
        step: Step = options.per or _OVER_TIME.get(options.by, "day")
        if options.by in _STEPS:
            step = options.by
        last, first = day(options.until), day(options.since)
        try:
            period = Period.asked(first, last, today, step)
        except ValueError as error:
            raise CollectorError(str(error)) from error
        values = {name: getattr(options, name) for name in FILTERS}
        only = Filter.read({name: value for name, value in values.items() if value is not None})
        tables = Tables(collector.reports, options.project, period, only, today, two=two)
        rows = await tables.read(name)
    if options.csv:
        return plain(rows), as_csv(name, rows).rstrip("\n")
    return {name: plain(rows)}, _aligned(plain(rows))


def _aligned(rows: Sequence[dict[str, Any]]) -> str:
    """A table in columns, for a terminal: its texts are of strangers, and shown in one line."""
    if not rows:
        return "there is nothing to count in these days"
    lines = [list(rows[0]), *(list(map(_cell, row.values())) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def _cell(value: object) -> str:
    return "-" if value is None else one_line(str(value))[:_MAX_CELL]
