"""`setup()`: what it takes, what it refuses, and what a child process takes over."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
import uuid
from typing import TYPE_CHECKING, Any

import pytest

import migas
from migas.delivery import privacy
from migas.request import request
from migas.settings import permission, values
from tests.support.programs import Program, environment

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Spool
    from tests.support.fault_server import FaultServer

LOCAL = "http://127.0.0.1:9"
SESSION = "00000000-0000-4000-8000-000000000001"
USER = "00000000-0000-4000-8000-000000000002"


@pytest.fixture(autouse=True)
def _fresh(fresh: Path) -> None:
    """Every test begins before the first `setup()`."""


# The endpoint


@pytest.mark.parametrize("ending", ["", "/", "/graphql", "/graphql/"])
def test_an_endpoint_with_or_without_graphql_means_the_same_server(
    ending: str, server: FaultServer
) -> None:
    migas.setup(endpoint=server.url + ending)
    assert migas.add_project("lab/tool", "1.0.0")["success"] is True
    assert [request.path for request in server.requests] == ["/graphql"]


def test_an_endpoint_may_have_a_path_of_its_own(server: FaultServer) -> None:
    migas.setup(endpoint=f"{server.url}/behind/graphql")
    migas.add_project("lab/tool", "1.0.0")
    assert server.requests[0].path == "/behind/graphql"


def test_without_an_endpoint_the_official_server_is_meant() -> None:
    migas.setup()
    assert values.settings().endpoint == "https://migas.nipreps.org"


def test_a_test_never_reaches_the_official_server() -> None:
    migas.setup()
    assert "official server" in migas.get_projects()["errors"][0]["message"]


@pytest.mark.parametrize(
    "endpoint",
    [
        "nowhere",
        "ftp://example.org",
        "http://",
        "https://:80",
        "http://a b",
        "http://host:port",
        "http://host:99999",
        "file:///etc/passwd",
        "http://example.org/?a=b",
        "http://example.org/#x",
        7,
    ],
)
def test_a_bad_endpoint_switches_off_and_falls_back_to_no_other(
    endpoint: Any, caplog: pytest.LogCaptureFixture
) -> None:
    migas.setup(endpoint=endpoint)
    answer = migas.get_projects()
    assert answer["success"] is False
    assert str(endpoint) in answer["errors"][0]["message"]
    assert str(endpoint) in caplog.text


def test_a_bad_endpoint_in_the_environment_switches_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIGAS_ENDPOINT", "nowhere")
    migas.setup()
    assert "nowhere" in migas.get_projects()["errors"][0]["message"]


def test_a_good_endpoint_after_a_bad_one_switches_on_again(server: FaultServer) -> None:
    migas.setup(endpoint="nowhere")
    migas.setup(endpoint=server.url)
    assert migas.add_project("lab/tool", "1.0.0")["success"] is True


def test_the_environment_names_the_server(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIGAS_ENDPOINT", server.url)
    migas.setup()
    assert migas.add_project("lab/tool", "1.0.0")["success"] is True


def test_the_argument_counts_for_more_than_the_environment(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIGAS_ENDPOINT", LOCAL)
    migas.setup(endpoint=server.url)
    assert migas.add_project("lab/tool", "1.0.0")["success"] is True


def test_a_later_setup_without_an_endpoint_keeps_the_one_before(server: FaultServer) -> None:
    migas.setup(endpoint=server.url)
    migas.setup()
    assert values.settings().endpoint == server.url


# Other values


@pytest.mark.parametrize(
    "options",
    [
        {"user_id": "me"},
        {"session_id": 7},
        {"timeout": "soon"},
        {"timeout": -1},
        {"timeout": float("nan")},
        {"exit_timeout": "late"},
        {"exit_timeout": float("inf")},
    ],
)
def test_a_bad_value_is_a_warning_and_sends_all_the_same(
    options: dict[str, Any], server: FaultServer, caplog: pytest.LogCaptureFixture
) -> None:
    migas.setup(endpoint=server.url, **options)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert next(iter(options)) in caplog.text
    assert migas.add_project("lab/tool", "1.0.0")["success"] is True


def test_a_bad_timeout_in_the_environment_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MIGAS_TIMEOUT", "soon")
    migas.setup(endpoint=LOCAL)
    assert "MIGAS_TIMEOUT" in caplog.text
    assert values.settings().timeout == 5.0


def test_the_environment_says_how_long_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIGAS_TIMEOUT", "0.5")
    migas.setup(endpoint=LOCAL)
    assert values.settings().timeout == 0.5


def test_the_ids_given_are_sent(server: FaultServer) -> None:
    migas.setup(endpoint=server.url, user_id=USER, session_id=SESSION)
    migas.add_project("lab/tool", "1.0.0")
    assert server.breadcrumbs[0]["user_id"] == USER
    assert server.breadcrumbs[0]["session_id"] == SESSION


def test_switching_off_holds_whatever_comes_later(server: FaultServer) -> None:
    migas.setup(endpoint=server.url, enabled=False)
    migas.setup(endpoint=server.url)
    assert migas.add_project("lab/tool", "1.0.0")["success"] is False
    assert server.connections == 0


# A file of the caller's own


def test_a_file_is_written_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    migas.setup(endpoint=LOCAL, user_id=USER, session_id=SESSION, filename=path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_text()) == {"endpoint": LOCAL, "user_id": USER}


def test_a_file_keeps_no_session_and_no_server_that_others_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "mine.json"
    monkeypatch.setenv("MIGAS_ENDPOINT", LOCAL)
    migas.setup(user_id=USER, session_id=SESSION, filename=path)
    assert json.loads(path.read_text()) == {"user_id": USER}


def test_a_bad_endpoint_is_replaced_by_no_other_in_a_file_or_for_children(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({"endpoint": "htp://lab.example"}))
    for _ in range(2):
        migas.setup(filename=path)
        assert permission.refusal() is not None
        values.publish(values.Settings())
    assert json.loads(path.read_text()) == {"endpoint": "htp://lab.example"}
    migas.setup(endpoint="htp://lab.example")
    child = subprocess.run(
        [
            sys.executable,
            "-c",
            (
                "import migas; from migas.settings import permission\n"
                "migas.setup(); print(permission.refusal())"
            ),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "'invalid' cannot be used" in child.stdout


@pytest.mark.parametrize("url", ["http://bob:hunter2@127.0.0.1:9", "http://bob@127.0.0.1:9"])
def test_an_endpoint_with_a_password_is_refused_and_told_nobody(url: str, tmp_path: Path) -> None:
    text = (
        "import os, migas\nmigas.setup(endpoint=os.environ.pop('GIVEN'))\n"
        "print(migas.add_breadcrumb('a/b', '1'), os.environ['_MIGAS_PARENT'])"
    )
    ended = Program(text, tmp_path, {"GIVEN": url, "MIGAS_LOG_LEVEL": "DEBUG"}).run()
    assert "without a name or a password" in ended.stdout
    assert "bob" not in ended.stdout + ended.stderr
    assert not (tmp_path / "state").exists()


def test_an_empty_endpoint_is_a_bad_one() -> None:
    migas.setup(endpoint="")
    assert "cannot be used" in str(permission.refusal())


def test_a_no_reaches_the_programs_that_this_one_starts() -> None:
    migas.setup(enabled=False)
    text = (
        f"import migas; from migas.settings import permission; migas.setup(endpoint={LOCAL!r})\n"
        "print(permission.refusal())"
    )
    command = [sys.executable, "-c", text]
    child = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "has switched reporting off" in child.stdout


def test_a_later_function_is_added_to_an_earlier_one() -> None:
    migas.setup(redact=lambda text: text.replace("Alice", "A"))
    migas.setup(redact=lambda text: text.replace("Bob", "B"))
    found = privacy.redacted({"error_desc": "Alice met Bob"})
    assert found == {"error_desc": "A met B"}


def test_what_an_earlier_call_said_stays(server: FaultServer) -> None:
    migas.setup(endpoint=server.url, user_id=USER, timeout=1.5)
    migas.setup()
    assert (values.settings().given_user_id, values.settings().timeout) == (USER, 1.5)
    assert values.settings().endpoint == server.url


@pytest.mark.parametrize("host", ["migas.nipreps.org", "MIGAS.nipreps.org", "migas.nipreps.org."])
def test_however_it_is_written_the_official_server_is_out_of_a_test_s_reach(host: str) -> None:
    migas.setup(endpoint=f"https://{host}:443")
    assert permission.refusal() == "a test must not reach the official server"
    assert request(f"https://{host}", query="{get_projects}")[0] == 503


def test_another_server_with_that_name_in_its_path_is_another() -> None:
    migas.setup(endpoint="http://127.0.0.1:9/migas.nipreps.org")
    assert permission.refusal() is None


def test_a_raw_request_is_switched_off_too(server: FaultServer) -> None:
    migas.setup(endpoint=server.url, enabled=False)
    assert request(server.url, query="{get_projects}")[0] == 503
    assert server.connections == 0


def test_a_file_says_what_the_arguments_do_not(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({"endpoint": LOCAL, "session_id": SESSION, "user_id": USER}))
    other = str(uuid.uuid4())
    migas.setup(filename=str(path), user_id=other)
    assert values.settings().endpoint == LOCAL
    assert values.settings().session_id == SESSION
    assert values.settings().given_user_id == other


def test_a_file_is_left_alone_when_it_is_not_to_be_saved(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    migas.setup(endpoint=LOCAL, filename=path, save_config=False)
    assert not path.exists()


def test_without_a_file_nothing_is_saved(tmp_path: Path) -> None:
    migas.setup(endpoint=LOCAL)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("text", ["{", "[]", "7", '{"endpoint": 7}', "\udcff", ""])
def test_a_file_that_cannot_be_understood_costs_nothing(text: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_bytes(text.encode(errors="surrogateescape"))
    migas.setup(endpoint=LOCAL, filename=path, save_config=False)
    assert values.settings().endpoint == LOCAL


def test_a_file_with_a_bad_endpoint_switches_off(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text('{"endpoint": "nowhere"}')
    migas.setup(filename=path)
    assert "nowhere" in migas.get_projects()["errors"][0]["message"]


def test_a_file_that_cannot_be_written_is_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    migas.setup(endpoint=LOCAL, filename=tmp_path / "file" / "mine.json")
    assert "mine.json" in caplog.text
    assert values.settings().is_set_up


# Before


def test_before_setup_a_run_leaves_nothing(fresh: Path) -> None:
    with migas.session("lab/tool", "1.0.0"):
        pass
    assert not fresh.exists()


# Child processes

SHOW = """\
import migas
from migas.settings import values
migas.setup()
print(values.settings().endpoint, values.settings().session_id, values.settings().given_user_id)
"""

# Its own children, and one that outlives it and is adopted by another process.
PARENT = """\
import os, subprocess, sys
import migas
migas.setup(endpoint=sys.argv[1], session_id=sys.argv[2], user_id=sys.argv[3])
os.environ.pop("MIGAS_ENDPOINT", None)
child = [sys.executable, "-c", sys.argv[4]]
if sys.argv[5] == "child":
    subprocess.run(child, check=True)
elif sys.argv[5] == "grandchild":
    subprocess.run(["/bin/sh", "-c", '"$@"; true', "sh", *child], check=True)
else:
    print(os.environ["_MIGAS_PARENT"])
"""


def _parent(folder: Path, kind: str) -> str:
    arguments = (LOCAL, SESSION, USER, SHOW, kind)
    ended = Program(PARENT, folder, {"MIGAS_DELIVERY": "spool"}, arguments).run()
    assert ended.stderr == ""
    return ended.stdout


@pytest.mark.parametrize("kind", ["child", "grandchild"])
def test_a_child_takes_over_the_server_and_the_session_but_not_the_user(
    kind: str, tmp_path: Path
) -> None:
    assert _parent(tmp_path, kind) == f"{LOCAL} {SESSION} None\n"


def test_the_user_s_id_is_not_in_the_environment(tmp_path: Path) -> None:
    assert USER not in _parent(tmp_path, "variable")


def test_the_variable_means_nothing_to_a_process_that_is_no_descendant(tmp_path: Path) -> None:
    copied = _parent(tmp_path, "variable").strip()
    ended = Program(SHOW, tmp_path, {"_MIGAS_PARENT": copied}).run()
    assert ended.stdout == "https://migas.nipreps.org None None\n"


def test_the_variable_means_nothing_when_a_pid_has_been_used_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    migas.setup(endpoint=LOCAL, session_id=SESSION)
    import os

    pid, started, rest = os.environ["_MIGAS_PARENT"].split(" ", 2)
    forged = f"{pid} {int(started) + 1} {rest}"
    ended = Program(SHOW, tmp_path, {"_MIGAS_PARENT": forged}).run()
    assert ended.stdout == "https://migas.nipreps.org None None\n"


@pytest.mark.parametrize(
    "text", ["", "x", "1 2 3 4 5 6", "1 " * 6, "-1 0 b n s e", "a b c d e f g"]
)
def test_a_variable_that_makes_no_sense_costs_nothing(text: str, tmp_path: Path) -> None:
    ended = Program(SHOW, tmp_path, {"_MIGAS_PARENT": text}).run()
    assert (ended.status, ended.stderr) == (0, "")
    assert ended.stdout == "https://migas.nipreps.org None None\n"


CHILD_RUN = """\
import subprocess, sys
import migas
migas.setup(endpoint="http://127.0.0.1:9")
CHILD = '''
import migas
migas.setup()
with migas.session("lab/PROJECT", "1.0.0"):
    pass
'''
with migas.session("lab/tool", "1.0.0"):
    subprocess.run([sys.executable, "-c", CHILD.replace("PROJECT", sys.argv[1])], check=True)
"""


@pytest.mark.parametrize(("project", "count"), [("tool", 1), ("other", 2)])
def test_a_child_program_is_silent_about_the_project_its_parent_runs(
    project: str, count: int, tmp_path: Path, spool: Spool
) -> None:
    Program(CHILD_RUN, tmp_path, {"MIGAS_DELIVERY": "spool"}, (project,)).run()
    assert len(spool.crumbs()) == count


# Threads

SLOW = """\
import os, sys, threading
import migas

path = sys.argv[1]
os.mkfifo(path)
slow = threading.Thread(target=lambda: migas.setup(filename=path, {arguments}))
slow.start()
with open(path, "w") as file:  # opens as soon as `setup()` reads
    with migas.session("lab/tool", "1.0"):
        pass
    file.write("{}")
slow.join()
with migas.session("lab/tool", "1.0"):
    pass
"""


@pytest.mark.parametrize(
    ("arguments", "reported"), [("", 1), (", before_send=lambda crumb: None", 0)]
)
def test_no_run_of_another_thread_sees_half_of_a_setup(
    tmp_path: Path, arguments: str, reported: int
) -> None:
    said = f"endpoint={LOCAL!r}, save_config=False{arguments}"
    # Nothing is sent, and a program that is no test may write for the official server.
    environ = {**environment(tmp_path), "MIGAS_DELIVERY": "spool"}
    environ = {name: value for name, value in environ.items() if not name.startswith("PYTEST")}
    command = [sys.executable, "-c", SLOW.replace("{arguments}", said), str(tmp_path / "own")]

    subprocess.run(command, env=environ, check=True, timeout=60)

    written = [json.loads(path.read_text()) for path in tmp_path.rglob("ready/*.json")]
    assert [record["endpoint"] for record in written] == [LOCAL] * reported


def test_settings_know_no_other_names() -> None:
    with pytest.raises(TypeError, match="endpont: there is no such setting"):
        values.Settings().replace(endpont="https://x.org")
    with pytest.raises(AttributeError, match=r"make another one with replace\(endpoint=…\)"):
        values.Settings().endpoint = "https://x.org"
