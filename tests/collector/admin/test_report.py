"""`migas report`, as an operator types it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from migas.collector.admin.report import FILTERS
from migas.collector.counts.filters import NAMES
from migas.collector.counts.fingerprint import fingerprint
from migas.collector.counts.sessions import error_name
from tests.collector.command_line import assert_refused, started
from tests.collector.counts.test_sessions import record
from tests.collector.test_collector import a_crumb

if TYPE_CHECKING:
    from tests.collector.command_line import Run
    from tests.collector.databases import Database

DAYS = ("--since", "2024-09-30", "--until", "2024-10-05")


def test_a_report_tells_versions_errors_and_days(run: Run, database: Database) -> None:
    failed = {"status": "F", "error_type": "Key\x1b[2JError", "error_desc": "row 7"}
    for number, version in enumerate(("1.9", "1.10", "1.10")):
        crumb = a_crumb(
            session_id=str(UUID(int=number, version=4)), project_version=version, **failed
        )
        record(database, crumb)
    day, db = "2001-01-01", ["--db", database.url]
    report = ["report", "a/b", "--since", "2024-09-30", "--until", "2024-10-05", *db]
    told = json.loads(run(*report, "--json").stdout)["versions"]
    assert [(row["version"], row["sessions"], row["failed"]) for row in told] == [
        ("1.10", 2, 2),
        ("1.9", 1, 1),
    ]
    head, first, *_ = run(*report).stdout.splitlines()
    assert head.split()[:3] == ["version", "sessions", "completed"]
    assert first.split()[:4] == ["1.10", "2", "0", "2"]
    errors = run(*report, "--by", "error").stdout
    assert "Key[2JError" in errors
    assert "\x1b" not in errors
    table = run(*report, "--by", "week", "--csv").stdout.splitlines()
    assert [row.split(",")[:2] for row in table[1:]] == [['"2024-09-30"', '"3"']]
    took = json.loads(run(*report, "--by", "duration", "--json").stdout)["durations"]
    assert [(row["start"], row["runs"], row["median"]) for row in took] == [
        ("2024-09-30", 0, None)  # they failed, and did not say how long they took
    ]
    assert json.loads(run(*report, "--by", "version-duration", "--json").stdout) == {
        "version-durations": []
    }
    users = json.loads(run(*report, "--by", "users", "--json").stdout)["users"]
    assert [row["start"] for row in users] == ["2024-09-01", "2024-10-01"]
    where = json.loads(run(*report, "--by", "environment", "--json").stdout)["environments"]
    assert [row["sessions"] for row in where if row["kind"] == "platform"] == [3]
    took_over = json.loads(run(*report, "--by", "adoption", "--json").stdout)["adoption"]
    assert [(row["version"], row["sessions"]) for row in took_over] == [("1.10", 2), ("1.9", 1)]
    refused = run("report", "a/b", "--since", "2024-10-05", "--until", day, *db)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "end before it begins" in refused.stderr
    assert "is no day" in run("report", "a/b", "--since", "x", *db).stderr
    assert "nothing to count" in run("report", "a/b", "--until", day, *db).stdout


def test_a_report_knows_every_filter() -> None:
    assert tuple(FILTERS) == NAMES


KEY_ERROR = error_name(fingerprint("F", "KeyError", None, "row 7") or 0)


@pytest.fixture
def three_runs(database: Database) -> Database:
    """A run of 1.9 in docker that failed, and two of 1.10, of which one failed in CI."""
    runs: tuple[dict[str, Any], ...] = (
        {
            "project_version": "1.9",
            "container": "docker",
            "platform": "darwin",
            "status": "F",
            "error_type": "KeyError",
            "error_desc": "row 7",
            "language_version": "3.12.1",
            "user_type": "dev",
        },
        {"project_version": "1.10", "status": "C"},
        {"project_version": "1.10", "status": "F", "error_type": "ValueError", "is_ci": True},
    )
    for number, values in enumerate(runs):
        record(database, a_crumb(session_id=str(UUID(int=number, version=4)), **values))
    return database


@pytest.mark.parametrize(
    ("options", "sessions"),
    [
        ((), {"1.10": 2, "1.9": 1}),
        (("--version", "1.9"), {"1.9": 1}),
        (("--platform", "darwin"), {"1.9": 1}),
        (("--container", "docker"), {"1.9": 1}),
        (("--language", "python 3.12"), {"1.9": 1}),
        (("--ci", "yes"), {"1.10": 1}),
        (("--user", "dev"), {}),  # of no user is a type known
        (("--outcome", "failed"), {"1.10": 1, "1.9": 1}),
        (("--outcome", "failed", "--ci", "no"), {"1.9": 1}),
        (("--error", KEY_ERROR), {"1.9": 1}),
        (("--container", "podman"), {}),
    ],
)
def test_a_report_is_of_the_runs_that_are_asked_for(
    run: Run, three_runs: Database, options: tuple[str, ...], sessions: dict[str, int]
) -> None:
    asked = run("report", "a/b", *DAYS, *options, "--json", "--db", three_runs.url)
    told = json.loads(asked.stdout)["versions"]
    assert {row["version"]: row["sessions"] for row in told} == sessions


def test_a_report_tells_where_an_error_happens(run: Run, three_runs: Database) -> None:
    report = ["report", "a/b", *DAYS, "--by", "where", "--db", three_runs.url]
    told = json.loads(run(*report, "--error", KEY_ERROR, "--json").stdout)["where"]
    found = {(row["kind"], row["value"]): row["times"] for row in told}
    assert found["platform", "darwin"] == found["version", "1.9"] == 3
    assert_refused(run(*report), "--error")


def test_a_report_tells_what_fails_in_two_versions(run: Run, three_runs: Database) -> None:
    report = ["report", "a/b", *DAYS, "--db", three_runs.url]
    two = ["--first", "1.9", "--second", "1.10"]
    told = json.loads(run(*report, "--by", "difference", *two, "--json").stdout)["differences"]
    found = {row["error_type"]: (row["first_sessions"], row["second_sessions"]) for row in told}
    assert found == {"KeyError": (1, 0), "ValueError": (0, 1)}
    assert_refused(run(*report, "--by", "difference", "--first", "1.9"), "--second")
    assert_refused(run(*report, *two), "--by difference")


@pytest.mark.parametrize("table", ["users", "adoption", "duration"])
def test_a_table_over_time_is_by_what_is_asked_for(
    run: Run, three_runs: Database, table: str
) -> None:
    report = ["report", "a/b", *DAYS, "--by", table, "--json", "--db", three_runs.url]

    def starts(*per: str) -> set[str]:
        (rows,) = json.loads(run(*report, *per).stdout).values()
        return {row["start"] for row in rows}

    days, weeks, months = (starts("--per", step) for step in ("day", "week", "month"))
    assert "2024-10-04" in days
    assert weeks == {"2024-09-30"}
    assert {"2024-10-01"} <= months <= {"2024-09-01", "2024-10-01"}
    assert starts() == (weeks if table == "duration" else months)


@pytest.mark.parametrize("table", ["version", "lost", "week"])
def test_a_table_that_is_not_by_time_is_by_no_step(
    run: Run, three_runs: Database, table: str
) -> None:
    done = run("report", "a/b", "--by", table, "--per", "day", "--db", three_runs.url)
    assert_refused(done, "--per is of the tables over time, --by duration, --by users and")


def test_the_help_of_a_report_says_what_is_counted_together() -> None:
    told = " ".join(started("report", "--help").stdout.decode().split())
    assert "--by duration (default: week), --by users (default: month), --by adoption" in told


def test_a_report_tells_times_as_the_interface_for_programs_does(
    run: Run, database: Database
) -> None:
    record(database, a_crumb(session_id=str(UUID(int=1, version=4)), status="R"))
    report = ["report", "a/b", *DAYS, "--by", "lost", "--db", database.url]
    (lost,) = json.loads(run(*report, "--json").stdout)["lost"]
    assert lost["began"] == lost["seen"] == "2024-10-04T00:00:00Z"
    assert lost["seen"] in run(*report).stdout


def test_a_report_takes_values_of_any_bytes(run: Run, three_runs: Database) -> None:
    for value in ("\udcff", "a\x00b", "x" * 5000, "' OR 1=1 --"):
        done = run("report", "a/b", *DAYS, "--version", value, "--db", three_runs.url)
        assert (done.returncode, done.stdout, done.stderr) == (
            0,
            "there is nothing to count in these days\n",
            "",
        )


def test_a_project_that_is_nearly_right_is_named(run: Run, three_runs: Database) -> None:
    db = ("--db", three_runs.url)
    assert_refused(run("report", "a/bb", *db), "a/bb is not registered", "is a/b meant?")
    assert_refused(run("project", "remove", "a/bb", "--yes", *db), "nothing", "is a/b meant?")
    assert_refused(run("report", "other/one", *db), "migas project add other/one")
