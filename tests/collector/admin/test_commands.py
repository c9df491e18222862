"""`migas serve`, `project`, `token` and `db`, as an operator types them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from migas.collector.database.tables import metadata
from migas.collector.migrations.migrate import HEAD
from tests.collector.command_line import assert_refused, started
from tests.collector.counts.test_sessions import record
from tests.collector.test_collector import a_crumb
from tests.support.collector import COMMAND, plain_environment, running_collector

if TYPE_CHECKING:
    from tests.collector.command_line import Run
    from tests.collector.databases import Database
    from tests.collector.live import LiveServer

ROOT = Path(__file__).parents[3]
PROJECT = "owner/repo"


def test_projects_and_releases_are_listed(run: Run, tmp_path: Path) -> None:
    db = ["--db", f"sqlite:///{tmp_path}/db.sqlite"]
    done = run("project", "add", PROJECT, "other/one", *db)
    assert done.stdout == f"{PROJECT} is registered\nother/one is registered\n"
    assert run("project", "add", PROJECT, *db).stdout == f"{PROJECT} was registered already\n"
    done = run("project", "release", PROJECT, "v1.2.0", "--flag", "1.1", "--flag", "1.0", *db)
    said = f"{PROJECT}: 1.2.0 is the newest version; flagged from now on: 1.1, 1.0\n"
    assert (done.returncode, done.stdout, done.stderr) == (0, said, "")

    done = run("project", "list", *db)
    assert done.stdout.splitlines() == ["owner/repo  1.2.0  flagged: 1.0, 1.1", "other/one"]
    assert (done.returncode, done.stderr) == (0, "")


def test_the_database_may_come_from_the_environment(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIGAS_DB", f"sqlite:///{tmp_path}/db.sqlite")
    run("project", "add", PROJECT)
    assert run("project", "list").stdout == f"{PROJECT}\n"
    assert (tmp_path / "db.sqlite").exists()


def test_the_default_database_is_made_in_the_users_data_folder(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert run("project", "add", PROJECT).returncode == 0
    (found,) = tmp_path.rglob("collector.sqlite")
    assert found.parent.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("name", ["repo", "a/b/c", "a b/c", "a/..", "./b"])
def test_a_wrong_project_name_is_refused(run: Run, name: str, tmp_path: Path) -> None:
    done = run("project", "add", name, "--db", f"sqlite:///{tmp_path}/db.sqlite")
    assert_refused(done, repr(name), "owner/repo")
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_version_is_refused(run: Run, tmp_path: Path) -> None:
    db = ["--db", f"sqlite:///{tmp_path}/db.sqlite"]
    assert_refused(run("project", "release", PROJECT, "newest", *db), "'newest'", "1.2.0")
    flagged = run("project", "release", PROJECT, "1.0", "--flag", "1.x", *db)
    assert_refused(flagged, "'1.x'", "PEP 440")


def test_a_release_of_an_unregistered_project_is_refused(run: Run, tmp_path: Path) -> None:
    db = ["--db", f"sqlite:///{tmp_path}/db.sqlite"]
    run("project", "add", "other/one", *db)
    done = run("project", "release", PROJECT, "1.0", *db)
    assert_refused(done, PROJECT, "migas project add owner/repo")


def test_a_wrong_database_is_refused(run: Run, tmp_path: Path) -> None:
    serve = ("serve", "--port", "0", "--db")
    assert_refused(run(*serve, "mysql://host/db"), "'mysql://host/db'", "sqlite:///")
    missing = f"{tmp_path}/no/such/folder/db.sqlite"
    assert_refused(run(*serve, f"sqlite:///{missing}"), missing, "No such file")
    assert_refused(run("project", "list", "--db", f"sqlite:///{tmp_path}"), "Is a directory")
    (tmp_path / "text").write_text("no database, whatever its size may be " * 50)
    done = run("project", "list", "--db", f"sqlite:///{tmp_path}/text")
    assert_refused(done, f"{tmp_path}/text", "not a database")


def test_a_database_that_cannot_be_reached_is_named(run: Run, tmp_path: Path) -> None:
    url = f"postgresql://me:secret@/db?host={tmp_path}"
    done = run("project", "list", "--db", url)
    assert_refused(done, "cannot use the database postgresql", tmp_path.name)
    assert "secret" not in done.stderr


def test_a_token_is_issued_listed_and_revoked(run: Run, database: Database) -> None:
    db = ["--db", database.url]
    assert_refused(run("token", "issue", PROJECT, *db), "migas project add")
    run("project", "add", PROJECT, *db)
    scoped = run("token", "issue", PROJECT, "--description", "for the lab", *db).stdout.strip()
    root = run("token", "issue", "--root", *db).stdout.strip()
    listed = run("token", "list", *db).stdout
    for token in (scoped, root):
        assert token.split("_")[1] in listed
        assert token.split("_", 2)[2] not in listed
    assert f"{PROJECT}  issued" in listed
    assert "root  issued" in listed
    assert "never used  for the lab" in listed

    assert run("token", "revoke", scoped, *db).returncode == 0
    assert run("token", "revoke", root.split("_")[1], *db).returncode == 0
    assert run("token", "list", *db).stdout.count("revoked 20") == 2
    assert_refused(run("token", "revoke", scoped, *db), "no such token")


def test_a_database_is_upgraded_by_hand(run: Run, empty_database: Database) -> None:
    db = ["--db", empty_database.url]
    assert "from step none to step" in run("db", "upgrade", *db).stdout
    assert "is up to date" in run("db", "upgrade", *db).stdout
    assert "secret" not in run("db", "upgrade", *db).stdout


def test_a_rebuild_says_what_was_wrong(run: Run, database: Database) -> None:
    record(database, a_crumb(session_id=str(UUID(int=1, version=4))), a_crumb("c/d"))
    assert run("db", "rebuild", "--db", database.url).stdout.splitlines() == [
        "2 sessions counted anew: all were right",
        "0 users counted anew: all were right",
        "20 counts counted anew: all were right",
        "0 failures by their errors counted anew: all were right",
    ]
    database.execute("DELETE FROM daily WHERE kind = 'outcome'")
    said = run("db", "rebuild", "--db", database.url).stdout
    assert "20 counts counted anew: 2 were wrong and are right now" in said


def test_a_description_cannot_write_to_the_terminal_of_who_lists_it(
    run: Run, sqlite: Database
) -> None:
    described = ["--description", "a\x1b[31m\r\nlab\u202e  of\x07 Zoë", "--db", sqlite.url]
    run("token", "issue", "--root", *described)
    (line,) = run("token", "list", "--db", sqlite.url).stdout.splitlines()
    assert line.endswith("never used  a[31m lab of Zoë")


def test_a_description_is_listed_on_any_terminal(run: Run, sqlite: Database) -> None:
    run("token", "issue", "--root", "--description", "Zoë", "--db", sqlite.url)
    done = started("token", "list", "--db", sqlite.url, PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.endswith(b"Zo\\xeb\n")


def test_each_command_tells_its_result_as_json(run: Run, database: Database) -> None:
    def told(*arguments: str) -> Any:
        done = run(*arguments, "--json", "--db", database.url)
        assert (done.returncode, done.stderr) == (0, "")
        return json.loads(done.stdout)

    both = [PROJECT, "other/one"]
    assert told("project", "add", *both) == {"projects": both, "new": both}
    released = {"project": PROJECT, "latest": "1.2.0", "flagged": ["1.0"]}
    assert told("project", "release", PROJECT, "v1.2.0", "--flag", "1.0") == released
    other: dict[str, Any] = {"project": "other/one", "latest": None, "flagged": []}
    listed = told("project", "list")["projects"]
    for project, known in zip(listed, [released, other], strict=True):
        assert project | known == project
    assert told("project", "package", PROJECT, "tool") == {"project": PROJECT, "package": "tool"}

    token = told("token", "issue", PROJECT, "--description", "for the lab")["token"]
    (listed,) = told("token", "list")["tokens"]
    assert (listed["id"], listed["project"]) == (token.split("_")[1], PROJECT)
    assert (listed["description"], listed["last_used"]) == ("for the lab", None)
    assert told("token", "revoke", token) == {"revoked": True}
    (listed,) = told("token", "list")["tokens"]
    for time in ("issued", "revoked"):
        assert datetime.fromisoformat(listed[time]).tzinfo == UTC
    assert listed["issued"][19:] == told("project", "list")["projects"][0]["registered"][19:]

    assert told("db", "upgrade")["step"] == HEAD
    record(database, a_crumb(PROJECT, error_desc='=a,"b"', is_ci=True))
    assert told("db", "rebuild")["wrong_sessions"] == 0
    exported = told("db", "export")
    assert (exported["project"], exported["error_desc"]) == (PROJECT, '=a,"b"')
    assert (exported["is_ci"], exported["user_id"]) == (True, None)


def test_a_server_tells_its_address_as_json(tmp_path: Path) -> None:
    command = [*COMMAND, "serve", "--json", "--port", "0", "--db", f"sqlite:///{tmp_path}/x.sqlite"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=plain_environment()
    ) as process:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        process.terminate()
        assert process.communicate(timeout=30)[0] == ""
    assert told["url"].startswith("http://127.0.0.1:")
    assert told["database"] == f"{tmp_path}/x.sqlite"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("command", [["project", "list"], ["serve", "--port", "0"]])
def test_a_full_disk_is_told_in_one_line(
    command: list[str], unbuffered: str, sqlite: Database
) -> None:
    record(sqlite, a_crumb())
    with open("/dev/full", "wb") as full:
        done = started(*command, "--db", sqlite.url, stdout=full, PYTHONUNBUFFERED=unbuffered)
    told = b"migas: cannot write to stdout: No space left on device\n"
    assert (done.returncode, done.stderr) == (2, told)


@pytest.mark.parametrize(
    "command",
    [
        ["project", "list"],
        ["project", "release", PROJECT, "1.0"],
        ["project", "package", PROJECT, "x"],
        ["token", "issue", "--root"],
        ["token", "list"],
        ["token", "revoke", "0123456789abcdef"],
        ["db", "rebuild"],
        ["db", "export"],
    ],
)
def test_a_misspelt_database_is_not_made(run: Run, command: list[str], tmp_path: Path) -> None:
    path = f"{tmp_path}/collector.sqlte"
    assert_refused(run(*command, "--db", f"sqlite:///{path}"), "no database", path)
    assert list(tmp_path.iterdir()) == []


ONE, TWO, THREE = (str(UUID(int=number, version=4)) for number in (1, 2, 3))


def fill(run: Run, database: Database) -> list[str]:
    """Two projects with a user of their own each, and one in common; gives the option for both."""
    db = ["--db", database.url]
    run("project", "add", PROJECT, "other/one", *db)
    run("project", "release", PROJECT, "1.2.0", "--flag", "1.0", *db)
    run("project", "package", PROJECT, "tool", *db)
    run("token", "issue", PROJECT, *db)
    record(
        database,
        a_crumb(PROJECT, session_id=ONE, user_id=ONE, status="C"),
        a_crumb(PROJECT, session_id=TWO, user_id=TWO, status="F", error_type="E"),
        a_crumb(PROJECT),
        a_crumb("other/one", session_id=TWO, user_id=TWO, status="C"),
        a_crumb("other/one", session_id=THREE, user_id=THREE),
    )
    return db


def test_all_that_is_known_of_projects_is_listed_as_json(run: Run, database: Database) -> None:
    db = fill(run, database)
    run("project", "rename", "other/one", "other/two", *db)
    run("project", "notify", PROJECT, "https://example.org/hook", *db)
    first, second = json.loads(run("project", "list", "--json", *db).stdout)["projects"]
    for known in (first, second):
        assert known["registered"].endswith("+00:00")
        assert known["first"] <= known["last"]
    for name in ("registered", "first", "last"):
        del first[name]
    assert first == {
        "project": PROJECT,
        "latest": "1.2.0",
        "flagged": ["1.0"],
        "package": "tool",
        "shared": False,
        "breadcrumbs": 3,
        "users": 2,
        "tokens": 1,
        "webhooks": 1,
        "former_names": [],
    }
    assert (second["project"], second["former_names"]) == ("other/two", ["other/one"])


def everything(database: Database) -> dict[str, int]:
    """How many rows name a project, by table and name."""
    return {
        f"{table.name} {row['project']}": row["number"]
        for table in metadata.sorted_tables
        if "project" in table.c
        for row in database.rows(
            f"SELECT project, count(*) AS number FROM {table.name} GROUP BY project"
        )
    }


def test_a_project_is_removed_with_all_it_has(run: Run, database: Database) -> None:
    db = fill(run, database)
    before = everything(database)
    assert_refused(run("project", "remove", PROJECT, *db), "3 breadcrumbs", "--yes")
    assert everything(database) == before

    done = run("project", "remove", PROJECT, "--yes", *db)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{PROJECT} is removed with all it had; breadcrumbs: 3, users" in done.stdout
    others = {key: number for key, number in before.items() if key.endswith(" other/one")}
    assert everything(database) == others
    assert database.rows("SELECT user_id FROM users ORDER BY user_id") == [
        {"user_id": TWO},
        {"user_id": THREE},
    ]
    assert "wrong" not in run("db", "rebuild", *db).stdout
    assert_refused(run("project", "remove", PROJECT, "--yes", *db), "nothing under the name")


def test_a_removal_that_was_interrupted_is_taken_up_again(run: Run, database: Database) -> None:
    db = fill(run, database)
    database.execute("DELETE FROM projects WHERE project = ?", PROJECT)
    database.execute("DELETE FROM crumbs WHERE session_id = ?", ONE)
    assert_refused(run("project", "remove", PROJECT, *db), "2 breadcrumbs", "--yes")
    assert run("project", "remove", PROJECT, "--yes", *db).returncode == 0
    assert not [key for key in everything(database) if key.endswith(PROJECT)]


def test_a_project_is_renamed_with_all_it_has(run: Run, database: Database) -> None:
    db = fill(run, database)
    before = everything(database)
    done = run("project", "rename", PROJECT, "new/name", *db)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{PROJECT} is called new/name from now on, and so are its 3" in done.stdout
    after = {key.replace(PROJECT, "new/name"): number for key, number in before.items()}
    assert everything(database) == after | {"aliases new/name": 1}
    assert database.value("SELECT package FROM projects WHERE project = 'new/name'") == "tool"
    assert "wrong" not in run("db", "rebuild", *db).stdout


def test_programs_of_an_older_name_go_on_being_counted(run: Run, database: Database) -> None:
    db = fill(run, database)

    def counted() -> dict[str, int]:
        query = "SELECT project, count(*) AS number FROM crumbs GROUP BY project"
        return {row["project"]: row["number"] for row in database.rows(query)}

    run("project", "rename", PROJECT, "new/name", *db)
    run("project", "rename", "new/name", "newer/name", *db)
    for name in (PROJECT, "new/name", "newer/name"):
        record(database, a_crumb(name))
    assert counted() == {"newer/name": 6, "other/one": 2}
    assert run("project", "list", *db).stdout.startswith("other/one\nnewer/name  1.2.0")
    assert "wrong" not in run("db", "rebuild", *db).stdout

    # A name that is given back, or to another project, is that project's.
    run("project", "rename", "newer/name", PROJECT, *db)
    run("project", "add", "new/name", *db)
    for name in (PROJECT, "new/name", "newer/name"):
        record(database, a_crumb(name))
    assert counted() == {PROJECT: 8, "new/name": 1, "other/one": 2}
    run("project", "remove", "new/name", "--yes", *db)
    record(database, a_crumb("new/name"))
    assert counted() == {PROJECT: 8, "new/name": 1, "other/one": 2}


def test_clients_of_an_older_name_hear_of_newer_versions(
    run: Run, database: Database, live_server: LiveServer
) -> None:
    db = fill(run, database)
    run("project", "rename", PROJECT, "new/name", *db)
    with live_server.collector(database) as collector:
        answer = collector.add_project(project=PROJECT)["data"]["add_project"]
        assert (answer["success"], answer["latest_version"]) == (True, "1.2.0")
        query = 'query{check_project(project:"owner/repo",project_version:"1.0"){latest flagged}}'
        assert collector.graphql(query)["data"]["check_project"] == {
            "latest": "1.2.0",
            "flagged": True,
        }


def test_a_name_that_is_taken_is_not_given_again(run: Run, database: Database) -> None:
    db = fill(run, database)
    before = everything(database)
    assert_refused(run("project", "rename", PROJECT, "other/one", *db), "other/one already")
    assert_refused(run("project", "rename", "no/such", "new/name", *db), "nothing under the name")
    assert_refused(run("project", "rename", PROJECT, "new name", *db), "'new name'")
    assert everything(database) == before


def test_a_package_is_named(run: Run, database: Database) -> None:
    db = ["--db", database.url]
    run("project", "add", PROJECT, *db)
    assert run("project", "package", PROJECT, "some-package", *db).returncode == 0
    assert database.value("SELECT package FROM projects") == "some-package"
    assert_refused(run("project", "package", PROJECT, "../x", *db), "'../x'")
    assert_refused(run("project", "package", "no/such", "x", *db), "migas project add")
    run("project", "package", PROJECT, *db)
    assert database.value("SELECT package FROM projects") is None


def test_without_the_extra_one_line_says_what_to_install() -> None:
    # -S leaves out every installed package.
    done = subprocess.run(
        [sys.executable, "-S", "-m", "migas.cli.main", "serve"],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
        env=plain_environment(),
    )
    assert_refused(done, "pip install -e '.[collector]'")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_server_says_one_line_and_ends_quietly(number: signal.Signals, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*COMMAND, "serve", "--port", "0", "--db", f"sqlite:///{tmp_path}/db.sqlite"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=plain_environment(),
    )
    with process:
        assert process.stdout is not None
        line = process.stdout.readline()
        said = re.fullmatch(
            r"migas collector on (http://127\.0\.0\.1:\d+) \(database (.+)\)\n", line
        )
        assert said, line
        assert said[2] == f"{tmp_path}/db.sqlite"
        with urllib.request.urlopen(said[1] + "/openapi.json", timeout=10) as answer:
            assert answer.status == 200
        process.send_signal(number)
        assert process.communicate(timeout=30) == ("", "")
        assert process.returncode == 0


@pytest.mark.slow
def test_the_servers_process_keeps_its_port_and_its_rows_over_a_restart() -> None:
    body = b'{"project": "owner/repo", "project_version": "1.0"}'
    headers = {"Content-Type": "application/json"}
    with running_collector(projects=["a/b"], releases={"a/b": ["1.0", "0.9"]}) as collector:
        request = urllib.request.Request(f"{collector.url}/api/breadcrumb", body, headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.status == 202
            assert answer.headers["X-Backend-Server"].startswith("migas@")
        collector.kill()
        collector.restart()
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.status == 202
        rows = collector.wait_for_crumbs(2)
        assert {row["project"] for row in rows} == {"owner/repo"}
        assert collector.projects() == ["a/b", "owner/repo"]
        assert collector.users() == []
        assert collector.stop() == 0
    assert not os.path.exists(collector.database)
