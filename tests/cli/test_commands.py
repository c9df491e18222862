"""The commands for the people on whose machines migas runs, each as a real process."""

from __future__ import annotations

import datetime
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import migas.settings
from migas import settings as table
from migas.transport.answers import Answer, NoAnswerError, forgotten
from tests.support import answers as faulty
from tests.support.collector import run_command, running_collector
from tests.support.fault_server import FaultServer
from tests.support.programs import environment

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.support.collector import CollectorProcess

USER = "7b3c9b52-3c0e-4f6f-8a53-1d2f9c0f6a11"
FAILING = """\
import os, migas
migas.setup()
@migas.track("lab/tool", "1.0")
def main():
    raise ValueError(f"sub-01 of {os.path.expanduser('~')}/study is odd: ü")
try:
    main()
except ValueError:
    pass
"""


class Person:
    """Somebody with a home of their own, who types commands and runs programs."""

    def __init__(self, folder: Path, endpoint: str = "http://127.0.0.1:9") -> None:
        self.folder = folder
        self.home = folder / "home"
        self.state = folder / "state"
        self.config = self.home / "config" / "migas"
        self.environ = {**environment(folder), "MIGAS_ENDPOINT": endpoint}
        del self.environ["MIGAS_STATE_DIR"]
        self.environ["XDG_STATE_HOME"] = str(folder)
        self.state = folder / "migas"

    def python(self, text: str, **settings: str) -> None:
        self._run([sys.executable, "-c", text], 0, settings)

    def types(
        self, *arguments: str, status: int = 0, **settings: str
    ) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "migas", *arguments]
        return self._run(command, status, settings)

    def asks(self, *arguments: str, status: int = 0, **settings: str) -> Any:
        """What a command says in JSON."""
        return json.loads(self.types(*arguments, "--json", status=status, **settings).stdout)

    def keeps_an_id(self) -> None:
        self.config.mkdir(parents=True)
        self.config.joinpath("user_id").write_text(USER)

    def _run(
        self, command: list[str], status: int, settings: Mapping[str, str]
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command,
            cwd=self.folder,
            env={**self.environ, **settings},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done


@pytest.fixture
def person(tmp_path: Path) -> Person:
    return Person(tmp_path)


def test_the_status_says_whether_runs_are_reported_and_to_whom(person: Person) -> None:
    told = person.asks("status")
    assert (told["enabled"], told["reason"]) == (True, None)
    assert told["endpoint"] == "http://127.0.0.1:9"
    assert told["config_folder"] == str(person.config)
    assert told["spool"]["folder"] == str(person.state)
    assert (told["last_success"], told["last_failure"]) == (None, None)


@pytest.mark.parametrize(
    ("name", "value"), [("MIGAS_OPTOUT", "0"), ("DO_NOT_TRACK", "1"), ("DO_NOT_TRACK", "please")]
)
def test_the_status_names_the_variable_that_switches_off(
    person: Person, name: str, value: str
) -> None:
    told = person.asks("status", status=0, **{name: value})
    assert (told["enabled"], told["reason"]) == (False, f"{name} is set")
    assert told["variables"][name] == value


def test_the_status_of_a_wrong_endpoint_is_off(person: Person) -> None:
    told = person.asks("status", MIGAS_ENDPOINT="ftp://example.org")
    assert (told["enabled"], told["endpoint"]) == (False, None)
    assert "ftp://example.org" in told["reason"]


def test_the_status_reads_the_user_id_and_makes_none(person: Person) -> None:
    assert person.asks("status")["user_id"] is None
    assert not person.home.exists()
    person.keeps_an_id()
    assert person.asks("status")["user_id"] == USER
    assert person.asks("status", MIGAS_OPTOUT="1")["user_id"] is None


def test_the_status_counts_what_waits_and_knows_the_last_failure_and_success(
    person: Person,
) -> None:
    person.python(FAILING, MIGAS_DELIVERY="spool")
    assert person.asks("status")["spool"]["ready"] == 1
    person.types("flush", status=1)
    told = person.asks("status")
    assert told["last_failure"] > 1.7e9
    assert told["last_failure_reason"]
    assert told["last_success"] is None
    with FaultServer() as server:
        person.python(FAILING, MIGAS_DELIVERY="spool", MIGAS_ENDPOINT=server.url)
        person.types("flush", status=1)
    assert person.asks("status")["last_success"] > 1.7e9
    assert "last success  2" in person.types("status").stdout


def test_what_is_shown_is_what_arrives_byte_for_byte(tmp_path: Path) -> None:
    with FaultServer() as server:
        person = Person(tmp_path, server.url)
        person.keeps_an_id()
        person.python(FAILING, MIGAS_DELIVERY="spool")
        shown = person.asks("show")["requests"]
        printed = person.types("show").stdout.splitlines()
        person.types("flush")
    (request,) = server.requests
    assert [one["body"].encode() for one in shown] == [request.body]
    assert printed == [f"POST {shown[0]['url']}", request.body.decode()]
    assert shown[0]["url"] == f"{server.url}{request.path}"
    crumb = request.json()["variables"]["p"]
    assert crumb["user_id"] == USER
    assert crumb["error_desc"] == "sub-<id> of <path> is odd: ü"


TERMINATED = """
import migas, os, signal, sys
migas.setup()
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
try:
    with migas.session("lab/tool", "1.0", signals=["SIGTERM"]):
        while True:
            os.kill(os.getpid(), signal.SIGTERM)
except SystemExit:
    pass
"""


def test_an_account_called_like_a_word_of_ours_changes_no_byte(tmp_path: Path) -> None:
    with FaultServer() as server:
        person = Person(tmp_path, server.url)
        person.python(TERMINATED, USER="sigterm", LOGNAME="terminated", MIGAS_DELIVERY="spool")
        (shown,) = person.asks("show")["requests"]
        person.types("flush")
    assert [request.body for request in server.requests] == [shown["body"].encode()]
    assert server.breadcrumbs[0]["status_desc"] == "Terminated (SIGTERM)"


def test_what_a_run_would_send_is_shown_before_any_ran(tmp_path: Path) -> None:
    with FaultServer() as server:
        person = Person(tmp_path, server.url)
        (shown,) = person.asks("show", "--project", "lab/tool", "--version", "1.0")["requests"]
        person.python(
            "import migas; migas.setup()\nwith migas.session('lab/tool', '1.0', session_id="
            f"{json.loads(shown['body'])['variables']['p']['session_id']!r}): pass",
            MIGAS_DELIVERY="spool",
        )
        person.types("flush")
    assert [request.body for request in server.requests] == [shown["body"].encode()]


def test_what_a_server_asks_for_beside_a_breadcrumb_is_shown_as_it_arrives(tmp_path: Path) -> None:
    with FaultServer("asks") as server:
        person = Person(tmp_path, server.url)
        person.python(FAILING, MIGAS_DELIVERY="spool")
        (before,) = person.asks("show")["requests"]
        person.types("flush")
        person.python(FAILING, MIGAS_DELIVERY="spool")
        (shown,) = person.asks("show")["requests"]
        _post, *printed, _body = person.types("show").stdout.splitlines()
        (example,) = person.asks("show", "--project", "lab/tool")["requests"]
        person.types("flush")
    assert before["headers"] == {}
    assert list(shown["headers"]) == list(example["headers"])
    assert [line.partition(": ")[0] for line in printed] == list(shown["headers"])
    sent = server.requests[1].headers
    assert sent["x-migas-duration"] == shown["headers"]["X-Migas-Duration"]
    assert int(sent["x-migas-ended-ago"]) >= int(shown["headers"]["X-Migas-Ended-Ago"])


def test_where_nothing_would_be_sent_nothing_is_shown(person: Person) -> None:
    told = person.asks("show", "--project", "lab/tool", MIGAS_ENDPOINT="htp://lab.example")
    assert told["requests"] == []
    assert "'htp://lab.example' cannot be used" in told["reason"]


def test_a_bad_server_is_not_asked_to_forget(person: Person) -> None:
    person.keeps_an_id()
    said = person.types("forget", "--remote", status=2, MIGAS_ENDPOINT="htp://lab.example").stderr
    assert "'htp://lab.example' cannot be used" in said
    assert person.config.joinpath("user_id").exists()


def test_the_status_names_the_server_for_who_is_opted_out_too_and_no_credentials(
    person: Person,
) -> None:
    endpoint = "http://bob:hunter2@127.0.0.1:9/base"
    for optout in ("", "1"):
        told = person.asks("status", MIGAS_ENDPOINT=endpoint, MIGAS_OPTOUT=optout)
        assert told["endpoint"] == "http://127.0.0.1:9/base"
        assert "hunter2" not in json.dumps(told)


def test_opted_out_nothing_is_shown(person: Person) -> None:
    told = person.asks("show", "--project", "lab/tool", MIGAS_OPTOUT="1")
    assert told == {"reason": "MIGAS_OPTOUT is set", "requests": []}


def test_an_opt_out_is_kept_and_respected(person: Person) -> None:
    told = person.asks("optout")
    assert told["marker"] == str(person.config / "optout")
    assert "migas optout" in person.asks("status")["reason"]
    person.python(FAILING, MIGAS_DELIVERY="spool")
    assert not person.state.exists()
    person.types("flush", status=2)
    assert person.asks("optin") == {"enabled": True, "reason": None}
    person.python(FAILING, MIGAS_DELIVERY="spool")
    assert person.asks("status")["spool"]["ready"] == 1


def test_an_opt_out_loads_no_parser(person: Person) -> None:
    person.types("optout")
    person.python(
        "import sys, migas\n"
        "@migas.track('lab/tool', '1.0')\n"
        "def main(): pass\n"
        "main()\n"
        "assert type(main).__name__ == 'function'\n"
        "assert 'tomllib' not in sys.modules\n"
    )


def test_an_opt_out_reaches_a_run_that_is_under_way(person: Person) -> None:
    person.python(
        "import subprocess, sys, migas\n"
        "migas.setup()\n"
        "with migas.session('lab/tool', '1.0'):\n"
        "    subprocess.run([sys.executable, '-m', 'migas', 'optout'], check=True)\n",
        MIGAS_DELIVERY="spool",
    )
    counts = person.asks("status")["spool"]
    assert (counts["open"], counts["ready"]) == (0, 0)


def test_an_opt_in_says_what_still_switches_off(person: Person) -> None:
    done = person.types("optin", "--json", status=2, MIGAS_OPTOUT="1")
    assert json.loads(done.stdout) == {"enabled": False, "reason": "MIGAS_OPTOUT is set"}


def test_what_is_kept_is_forgotten(person: Person) -> None:
    person.keeps_an_id()
    person.python(FAILING, MIGAS_DELIVERY="spool")
    person.types("flush", status=1)
    foreign = person.state / "notes.txt"
    foreign.write_text("mine")
    assert person.asks("forget") == {"user_id": True, "breadcrumbs": 1}
    left = [path for path in person.state.rglob("*") if path.is_file() and path.name != "lease"]
    assert left == [foreign]
    assert not person.config.joinpath("user_id").exists()
    assert "no user id" in person.types("forget", MIGAS_OPTOUT="1").stdout


def test_what_was_put_aside_is_forgotten_too(person: Person) -> None:
    person.python(FAILING, MIGAS_DELIVERY="spool")
    waiting = person.state / "ready"
    waiting.chmod(0o777)
    waiting.joinpath("planted").mkdir()
    person.python(FAILING, MIGAS_DELIVERY="spool")
    assert len(list(person.state.rglob("*.json"))) == 2, (
        "one of them in a folder that was put aside"
    )

    assert person.asks("forget")["breadcrumbs"] == 3

    assert [path for path in person.state.rglob("*") if path.is_file()] == []
    assert not list(person.state.glob("*.aside-*"))


def test_what_killed_writers_left_is_forgotten_too(person: Person) -> None:
    person.keeps_an_id()
    person.python(FAILING, MIGAS_DELIVERY="spool")
    draft = "0123456789abcdef"
    for name in ("servers.json", "releases.json", "lease"):
        person.state.joinpath(f"{name}.{draft}").write_text("{}")
    person.state.joinpath("ready", f".{draft}").write_text("{}")
    person.config.joinpath(f"user_id.{draft}").write_text(USER)

    person.types("forget")

    assert [path for path in person.state.rglob("*") if path.is_file()] == []
    assert list(person.config.iterdir()) == []


def test_a_server_deletes_what_it_holds_of_a_user_before_the_id_is_erased(
    tmp_path: Path, shared_collector: CollectorProcess
) -> None:
    person = Person(tmp_path, shared_collector.url)
    person.keeps_an_id()
    for _run in range(2):
        person.python(FAILING, MIGAS_DELIVERY="spool")
    person.types("flush")
    assert [crumb for crumb in shared_collector.crumbs() if crumb["user_id"] == USER]
    person.python(FAILING, MIGAS_DELIVERY="spool")

    told = person.asks("forget", "--remote")

    assert told == {"deleted_by_server": 2, "user_id": True, "breadcrumbs": 1}
    assert not [crumb for crumb in shared_collector.crumbs() if crumb["user_id"] == USER]
    assert "no user id" in person.types("forget", "--remote").stdout


def test_a_user_whom_the_server_does_not_know_is_forgotten_all_the_same(
    tmp_path: Path, shared_collector: CollectorProcess
) -> None:
    person = Person(tmp_path, shared_collector.url)
    person.keeps_an_id()
    told = person.asks("forget", "--remote")
    assert told == {"deleted_by_server": 0, "user_id": True, "breadcrumbs": 0}


def test_while_the_server_does_not_forget_nothing_is_erased(person: Person) -> None:
    person.keeps_an_id()
    person.python(FAILING, MIGAS_DELIVERY="spool")
    said = person.types("forget", "--remote", status=1).stdout
    assert "Nothing is erased" in said
    assert person.config.joinpath("user_id").exists()
    assert person.asks("status")["spool"]["ready"] == 1


def test_opted_out_not_even_a_request_to_forget_is_sent(person: Person) -> None:
    person.keeps_an_id()
    said = person.types("forget", "--remote", status=2, MIGAS_OPTOUT="1").stderr
    assert "MIGAS_OPTOUT is set" in said
    assert person.config.joinpath("user_id").exists()


def test_a_server_without_a_call_to_forget_is_told_apart_from_one_that_knows_nobody() -> None:
    ours = {"X-Backend-Server": "migas@ny1"}
    assert forgotten(Answer(404, ours, b'{"detail":"Nothing is known of this user."}')) == 0
    for headers in (ours, {}):
        with pytest.raises(NoAnswerError, match="no call to forget"):
            forgotten(Answer(404, headers, b'{"detail":"Not Found"}'))
    with pytest.raises(NoAnswerError, match="does not say"):
        forgotten(Answer(200, {}, b'{"success":true,"breadcrumbs":3}'))


def test_a_flush_sends_what_waits(tmp_path: Path) -> None:
    with FaultServer() as server:
        person = Person(tmp_path, server.url)
        person.python(FAILING, MIGAS_DELIVERY="spool")
        assert person.asks("flush") == {"delivered": 1, "refused": 0, "too_old": 0, "waiting": 0}
    assert [crumb["status"] for crumb in server.breadcrumbs] == ["F"]


def test_a_flush_says_what_it_gave_up_as_too_old(person: Person) -> None:
    person.python(FAILING, MIGAS_DELIVERY="spool")
    (path,) = person.state.joinpath("ready").iterdir()
    path.rename(path.with_name("1".zfill(16) + path.name[16:]))
    person.state.joinpath("old").write_text("1")
    person.state.joinpath("old").chmod(0o600)
    assert person.types("flush").stdout == (
        "0 delivered, 0 refused by the server, 0 still waiting, 1 given up as too old\n"
    )


def test_a_version_is_checked(shared_collector: CollectorProcess, tmp_path: Path) -> None:
    person = Person(tmp_path, shared_collector.url)
    person.python("import migas; migas.setup(); migas.add_project('lab/checked', '1.1.0')")
    database = f"sqlite:///{shared_collector.database}"
    release = ("release", "lab/checked", "1.2.0", "--flag", "1.1.0", "--db", database)
    run_command("project", *release)
    answer = person.asks("check", "lab/checked", "1.1.0")
    assert (answer["success"], answer["flagged"], answer["latest"]) == (True, True, "1.2.0")
    assert person.types("check", "lab/checked", "1.1.0").stdout == (
        "1.1.0 has been flagged by its makers.\nThe newest version is 1.2.0.\n"
    )


def test_a_project_that_the_server_does_not_know_is_named(
    shared_collector: CollectorProcess, tmp_path: Path
) -> None:
    person = Person(tmp_path, shared_collector.url)
    answer = person.asks("check", "lab/unheard-of", "1.0", status=1)
    assert answer["message"] == "The server does not know the project 'lab/unheard-of'."
    assert "does not know" in person.types("check", "lab/unheard-of", "1.0", status=1).stdout


def test_a_project_without_an_owner_is_no_project(person: Person) -> None:
    for command in (["check", "tool", "1.0"], ["usage", "tool"], ["show", "--project", "tool"]):
        assert "'tool' is no project" in person.types(*command, status=2).stderr


def test_a_version_without_a_number_is_none(person: Person) -> None:
    assert "'new' is no version" in person.types("check", "lab/tool", "new", status=2).stderr


def test_what_a_server_refused_is_told_with_its_reason(tmp_path: Path) -> None:
    with running_collector(open_registration=False) as collector:
        person = Person(tmp_path, collector.url)
        person.python(FAILING, MIGAS_DELIVERY="spool")
        assert person.asks("flush", status=1) == {
            "delivered": 0,
            "refused": 1,
            "too_old": 0,
            "waiting": 0,
        }
    told = person.asks("status")
    assert told["last_failure"] is not None
    assert told["last_failure_reason"] == "The server does not know the project 'lab/tool'"


def test_no_server_steers_a_terminal(tmp_path: Path) -> None:
    evil = "\x1b[2J\x9b31m\u202e now"
    with FaultServer() as server:
        refusal = {"data": None, "errors": [{"message": evil}]}
        server.behave(lambda _request: faulty.Answer(400, refusal))
        person = Person(tmp_path, server.url)
        person.python(FAILING, MIGAS_DELIVERY="spool")
        # Where nothing persists nobody has an id, and so nothing to ask a server.
        has_id = person.config.joinpath("user_id").exists()
        said = [
            person.types("flush", status=1, MIGAS_LOG_LEVEL="DEBUG"),
            person.types("status"),
            person.types("check", "lab/tool", "1.0", status=1),
            person.types("usage", "lab/tool", status=1),
            person.types("forget", "--remote", status=int(has_id)),
        ]
    texts = [done.stdout + done.stderr for done in said]
    assert all("now" in text for text in texts[:4])
    assert not [text for text in texts if set("\x1b\x9b\u202e") & set(text)]


def test_what_a_server_stores_without_knowing_a_release_is_delivered(
    tmp_path: Path, shared_collector: CollectorProcess
) -> None:
    person = Person(tmp_path, shared_collector.url)
    person.python(FAILING.replace("lab/tool", "lab/unreleased"), MIGAS_DELIVERY="spool")
    assert person.asks("flush") == {"delivered": 1, "refused": 0, "too_old": 0, "waiting": 0}
    assert person.asks("status")["last_failure"] is None
    told = person.asks("check", "lab/unreleased", "1.0", status=1)
    assert told["message"] == 'No version of "lab/unreleased" is known'


def test_usage_is_counted(shared_collector: CollectorProcess, tmp_path: Path) -> None:
    person = Person(tmp_path, shared_collector.url)
    person.python(
        "import migas; migas.setup()\n"
        "for number in (1, 2):\n"
        f"    print(migas.add_project('lab/used', '1.0', user_id='{USER}',\n"
        f"                            session_id='{USER[:-1]}' + str(number)))\n"
    )
    tomorrow = (
        "--until",
        str(datetime.datetime.now(datetime.UTC).date() + datetime.timedelta(days=2)),
    )
    assert person.asks("usage", "lab/used", *tomorrow)["hits"] == 2
    assert person.asks("usage", "lab/used", "--unique", *tomorrow)["hits"] == 1
    long = ("--since", "2020-01-01", *tomorrow)
    assert person.types("usage", "lab/used", *long).stdout == "2 breadcrumbs\n"
    old = person.asks("usage", "lab/used", "--since", "2020-01-01", "--until", "2020-02-01")
    assert old["hits"] == 0


def test_a_wrong_date_is_a_wrong_command_line(person: Person) -> None:
    done = person.types("usage", "lab/used", "--since", "yesterday", status=2)
    assert "2026-11-22" in done.stderr


def test_a_server_that_cannot_be_reached_is_said_so(person: Person) -> None:
    assert person.asks("check", "lab/tool", "1.0", status=1)["message"]
    assert person.asks("usage", "lab/tool", status=1)["message"]


def test_opted_out_no_server_is_asked(tmp_path: Path) -> None:
    with FaultServer() as server:
        person = Person(tmp_path, server.url)
        done = person.types("check", "lab/tool", "1.0", status=2, DO_NOT_TRACK="1")
        assert "DO_NOT_TRACK is set" in done.stderr
        assert server.connections == 0


def test_without_a_home_the_status_is_told_all_the_same(person: Person) -> None:
    del person.environ["XDG_STATE_HOME"], person.environ["XDG_CONFIG_HOME"]
    person.environ["HOME"] = "relative"
    assert person.asks("status")["config_folder"] is None
    assert "home" in person.types("optout", status=2).stderr


def test_every_setting_and_every_command_is_in_the_help(person: Person) -> None:
    text = person.types("--help").stdout
    commands = [
        "status",
        "show",
        "optout",
        "optin",
        "forget",
        "flush",
        "check",
        "usage",
        "run",
        "demo",
        "serve",
        "project",
    ]
    for name in (*table.VARIABLES, *table.KEYS, *commands):
        assert f"  {name} " in text


def test_every_variable_that_is_read_is_explained() -> None:
    source = "".join(path.read_text() for path in Path(migas.settings.__file__).parent.glob("*.py"))
    read = set(re.findall(r'"(MIGAS_\w+|DO_NOT_TRACK)"', source))
    assert read == set(table.VARIABLES)


@pytest.mark.parametrize("command", ["status", "show", "optin", "forget", "flush"])
def test_a_command_explains_itself(person: Person, command: str) -> None:
    assert "--json" in person.types(command, "--help").stdout


@pytest.mark.parametrize(
    ("typed", "meant"),
    [(["statsu"], "status"), (["projekt", "add"], "project"), (["token", "isue"], "token issue")],
)
def test_a_misspelt_command_is_named_as_it_was_meant(
    person: Person, typed: list[str], meant: str
) -> None:
    said = person.types(*typed, status=2).stderr
    assert said.startswith(f"usage: migas {meant} ")
    assert said.endswith(f"{meant.rsplit(maxsplit=1)[-1]!r} is\n")


def test_a_command_that_is_like_no_other_is_refused(person: Person) -> None:
    assert "invalid choice: 'xyzzy'" in person.types("xyzzy", status=2).stderr


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (["serve", "--prot", "8080"], "--port"),
        (["serve", "--root-paht=/migas"], "--root-path"),
        (["report", "a/b", "--bye", "version"], "--by"),
        (["project", "list", "-json"], "--json"),
        (["project", "release", "a/b", "1.0", "--flga", "0.9"], "--flag"),
        (["demo", "--sevre"], "--serve"),
    ],
)
def test_a_misspelt_option_is_named_as_it_was_meant(
    person: Person, typed: list[str], meant: str
) -> None:
    done = person.types(*typed, status=2)
    command = " ".join(typed[: 2 if typed[0] == "project" else 1])
    assert done.stderr.startswith(f"usage: migas {command} ")
    wrong = next(text for text in typed if text.startswith("-")).partition("=")[0]
    assert done.stderr.endswith(f"migas {command}: no option is named {wrong!r}; {meant!r} is\n")
    assert done.stdout == ""


@pytest.mark.parametrize("typed", [["demo", "--port", "1"], ["status", "more"]])
def test_what_is_like_no_option_of_a_command_is_refused_with_its_usage(
    person: Person, typed: list[str]
) -> None:
    said = person.types(*typed, status=2).stderr
    assert said.startswith(f"usage: migas {typed[0]} ")
    assert said.endswith(f"unrecognized arguments: {' '.join(typed[1:])}\n")


def test_options_of_a_program_that_is_run_are_its_own(person: Person) -> None:
    program = [sys.executable, "-c", "import sys; print(sys.argv[1:])", "--prot", "--verison=1"]
    done = person.types("run", "--project", "lab/tool", "--version", "1.0", "--", *program)
    assert (done.stdout, done.stderr) == ("['--prot', '--verison=1']\n", "")
