"""`migas db export`: breadcrumbs as CSV."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from migas.collector.ingestion.timing import Timing
from tests.collector.command_line import assert_refused, started
from tests.collector.counts.test_sessions import record
from tests.collector.test_collector import a_crumb

if TYPE_CHECKING:
    from tests.collector.command_line import Run
    from tests.collector.databases import Database


def test_breadcrumbs_are_exported(run: Run, database: Database) -> None:
    hostile = "=cmd|' /C calc'!A0"
    record(
        database,
        a_crumb(session_id=str(UUID(int=1 << 64)), error_desc=hostile, status_desc='a "b",\nc'),
        a_crumb("c/d", is_ci=True),
    )
    lines = list(csv.DictReader(io.StringIO(run("db", "export", "--db", database.url).stdout)))
    assert [line["project"] for line in lines] == ["a/b", "c/d"]
    assert lines[0]["timestamp"] == "2024-10-04T00:00:00+00:00"
    assert lines[0]["session_id"] == str(UUID(int=1 << 64))
    assert lines[0]["status_desc"] == 'a "b",\nc'
    assert lines[0]["error_desc"] == f"'{hostile}"
    assert [line["is_ci"] for line in lines] == ["false", "true"]

    def exported(*options: str) -> int:
        return run("db", "export", *options, "--db", database.url).stdout.count("2024-10-04")

    assert exported("--project", "c/d") == 1
    assert exported("--since", "2024-10-04") == 2
    assert exported("--since", "2024-10-05") == 0
    assert_refused(run("db", "export", "--since", "friday", "--db", database.url), "'friday'")


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("\n=1+1", "'\n'=1+1"),
        ("all\n  @SUM(A1)\n-2", "all\n'  @SUM(A1)\n'-2"),
        ("\uff1d1", "'\uff1d1"),
        ("\x1b[2J\x9b31m\u202e", "\\x1b[2J\\x9b31m\\u202e"),
        ("a = b - c", "a = b - c"),
    ],
)
def test_no_text_of_an_export_acts(text: str, written: str, run: Run, sqlite: Database) -> None:
    record(sqlite, a_crumb(error_desc=text))
    (line,) = csv.DictReader(io.StringIO(run("db", "export", "--db", sqlite.url).stdout))
    assert line["error_desc"] == written


def test_an_export_says_when_runs_ended_and_how_long_they_took(
    run: Run, database: Database
) -> None:
    end = a_crumb(session_id=str(UUID(int=1 << 64)), status="C").timed(Timing(86400, 12.5))
    record(database, end, a_crumb())
    lines = list(csv.DictReader(io.StringIO(run("db", "export", "--db", database.url).stdout)))
    told = [(line["ended"], line["duration"]) for line in lines]
    assert told == [("2024-10-03T00:00:00+00:00", "12.5"), ("", "")]


def test_every_field_of_an_export_is_quoted(run: Run, database: Database) -> None:
    record(database, a_crumb(error_desc="a,b"))
    heading, line = run("db", "export", "--db", database.url).stdout.splitlines()
    assert heading.startswith('"timestamp","project",')
    for fields in (heading, line):
        assert fields == ",".join(f'"{field}"' for field in next(csv.reader([fields])))


def test_an_export_of_an_unregistered_project_is_refused(run: Run, database: Database) -> None:
    done = run("db", "export", "--project", "typo/none", "--db", database.url)
    assert_refused(done, "typo/none is not registered")
    assert_refused(run("db", "export", "--project", "typo", "--db", database.url), "'typo'")


def test_an_export_is_utf_8_whatever_the_terminal_writes(sqlite: Database) -> None:
    record(sqlite, a_crumb(error_desc="Überlauf 🧠"))
    done = started("db", "export", "--db", sqlite.url, PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, b"")
    assert "Überlauf 🧠" in done.stdout.decode("utf-8")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is full")
@pytest.mark.parametrize("number", [1, 500])
def test_an_export_to_a_full_disk_is_told_in_one_line(number: int, sqlite: Database) -> None:
    record(sqlite, *(a_crumb(session_id=str(UUID(int=(n + 1) << 64))) for n in range(number)))
    with open("/dev/full", "wb") as full:
        done = started("db", "export", "--db", sqlite.url, stdout=full)
    said = done.stderr.decode()
    assert (done.returncode, said) == (
        2,
        "migas: cannot write to stdout: No space left on device\n",
    )
