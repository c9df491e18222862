"""What people decided for all programs, in files, against what programs ask for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from migas import settings as table
from migas.settings import places, policy
from tests.support.desk import NOBODY
from tests.support.fault_server import FaultServer
from tests.support.programs import environment
from tests.support.worlds import another_user

if TYPE_CHECKING:
    from collections.abc import Sequence

RUN = """\
with migas.session("lab/tool", "1.0"):
    pass
"""


class Site:
    """A machine with a site's policy and a user's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.user_file = folder / "home/config/migas/config.toml"
        self.site_file = folder / "site/migas/config.toml"
        self.environ = {**environment(folder), "XDG_CONFIG_DIRS": str(folder / "site")}

    def user(self, text: str) -> None:
        self._write(self.user_file, text)

    def site(self, text: str) -> None:
        self._write(self.site_file, text)

    def python(self, text: str, **settings: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", "import migas\nfrom migas.settings import values\n" + text],
            cwd=self.folder,
            env={**self.environ, **settings},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        return done.stdout.strip()

    def status(self, prefix: Sequence[str] = (), **settings: str) -> dict[str, Any]:
        done = subprocess.run(
            [*prefix, sys.executable, "-m", "migas", "status", "--json"],
            env={**self.environ, "MIGAS_ENDPOINT": "http://127.0.0.1:9", **settings},
            capture_output=True,
            check=True,
        )
        told: dict[str, Any] = json.loads(done.stdout)
        return told

    def leaves_a_trace(self, **settings: str) -> bool:
        self.python(
            f"migas.setup(endpoint='http://127.0.0.1:9')\n{RUN}",
            **{"MIGAS_DELIVERY": "spool", **settings},
        )
        return (self.folder / "state").exists()

    def _write(self, path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o644)


@pytest.fixture
def here(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_without_files_runs_are_reported(here: Site) -> None:
    assert here.leaves_a_trace()
    assert here.status()["policies"] == []


@pytest.mark.parametrize("who", ["user", "site"])
def test_an_opt_out_in_a_file_is_respected_and_named(here: Site, who: str) -> None:
    getattr(here, who)("optout = true")
    assert not here.leaves_a_trace()
    path = here.user_file if who == "user" else here.site_file
    assert here.status()["reason"] == f"{path} says optout = true"


def test_an_opt_out_anywhere_wins(here: Site) -> None:
    here.site("optout = false")
    here.user("optout = true")
    assert not here.leaves_a_trace()
    here.user("optout = false")
    assert not here.leaves_a_trace(MIGAS_OPTOUT="1")
    assert here.leaves_a_trace()


def test_a_decorated_function_stays_as_it_was_where_a_file_opts_out(here: Site) -> None:
    here.user("optout = true")
    assert here.python("print(type(migas.track('a/b', '1')(lambda: 1)).__name__)") == "function"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("optout = ", "Invalid value"),
        ("opt_out = true", "there is no key 'opt_out'"),
        ("optout = 'yes'", "optout is 'yes'; it must be true or false"),
        ("endpoint = 'http://bob:pw@example.org'", "endpoint is 'http://example.org'; there must"),
        ("endpoint = 'example.org'", "must be an http:// or https:// URL"),
        ("proxy = 3", "proxy is 3"),
        ("delivery = 'post'", "delivery is 'post'; it must be one of"),
        ("timeout = -1", "timeout is -1"),
        ("timeout = true", "timeout is True"),
        ("error_text = 'all'", "error_text is 'all'"),
        ("timing = 'no'", "timing is 'no'"),
        ("#" * 70_000, "more than 65536 bytes"),
    ],
)
@pytest.mark.parametrize("who", ["user", "site"])
def test_a_file_that_is_not_understood_switches_off(
    here: Site, monkeypatch: pytest.MonkeyPatch, who: str, text: str, sentence: str
) -> None:
    getattr(here, who)(text)
    for name in ("XDG_CONFIG_HOME", "XDG_CONFIG_DIRS", "HOME"):
        monkeypatch.setenv(name, here.environ[name])
    reason = policy.refusal()
    path = here.user_file if who == "user" else here.site_file
    assert reason is not None
    assert reason.startswith(f"{path} cannot be used: ")
    assert sentence in reason


def test_a_file_that_is_not_understood_silences_a_program_and_is_named(here: Site) -> None:
    here.site("optout =")
    assert not here.leaves_a_trace()
    told = here.status()
    assert str(here.site_file) in told["reason"]
    assert told["policies"][0]["problem"]


@pytest.mark.parametrize("mode", [0o666, 0o664])
def test_a_file_that_others_can_write_to_is_not_read(here: Site, mode: int) -> None:
    here.user("endpoint = 'http://127.0.0.1:1'")
    here.user_file.chmod(mode)
    assert "other users can write to it" in here.status()["reason"]


def test_a_file_of_another_user_is_not_read(here: Site) -> None:
    here.user("endpoint = 'http://127.0.0.1:1'")
    if os.geteuid() == 0:
        os.chown(here.user_file, 12345, 12345)
        assert "it belongs to another user" in here.status()["reason"]
        return
    # Nobody else gives files away: but to another user's program the system's are a stranger's.
    here.user_file.unlink()
    here.user_file.symlink_to("/etc/passwd")
    assert "it belongs to another user" in here.status(prefix=another_user(54321))["reason"]


def test_a_folder_or_a_dangling_link_in_its_place_switches_off(here: Site) -> None:
    here.user_file.mkdir(parents=True)
    assert "no regular file" in here.status()["reason"]
    here.user_file.rmdir()
    here.user_file.symlink_to("nowhere")
    assert "No such file" in here.status()["reason"]


def test_no_variable_takes_an_administrators_word_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_DIRS", "/nowhere:relative:/else/")
    assert places.site_folders() == ["/nowhere/migas", "/else/migas", "/etc/xdg/migas"]


@pytest.mark.parametrize(
    ("site", "argument", "variable", "user", "used"),
    [
        ("site", "argument", "variable", "user", "site"),
        (None, "argument", "variable", "user", "argument"),
        (None, None, "variable", "user", "variable"),
        (None, None, None, "user", "user"),
        (None, None, None, None, "https://migas.nipreps.org"),
    ],
)
def test_the_server_is_named_in_the_order_of_precedence(  # noqa: PLR0917  one a source
    here: Site,
    site: str | None,
    argument: str | None,
    variable: str | None,
    user: str | None,
    used: str,
) -> None:
    if site:
        here.site(f"endpoint = 'http://{site}/graphql'")
    if user:
        here.user(f"endpoint = 'http://{user}'")
    argument = f"'http://{argument}'" if argument else None
    text = f"migas.setup(endpoint={argument})\nprint(values.settings().endpoint)"
    settings = {"MIGAS_ENDPOINT": f"http://{variable}"} if variable else {}
    expected = used if ":" in used else f"http://{used}"
    assert here.python(text, **settings) == expected


@pytest.mark.parametrize(
    ("site", "argument", "variable", "user", "used"),
    [
        (1, 2, 3, 4, 1.0),
        (None, 2, 3, 4, 2.0),
        (None, None, 3, 4, 3.0),
        (None, None, None, 4, 4.0),
        (None, None, None, None, 5.0),
    ],
)
def test_the_timeout_is_named_in_the_order_of_precedence(  # noqa: PLR0917  one a source
    here: Site,
    site: int | None,
    argument: int | None,
    variable: int | None,
    user: int | None,
    used: float,
) -> None:
    if site:
        here.site(f"timeout = {site}")
    if user:
        here.user(f"timeout = {user}")
    text = f"migas.setup(timeout={argument})\nprint(values.settings().timeout)"
    assert (
        float(here.python(text, **({"MIGAS_TIMEOUT": str(variable)} if variable else {}))) == used
    )


def test_the_delivery_is_named_in_the_order_of_precedence(here: Site) -> None:
    text = "print(values.delivery())"
    here.user("delivery = 'detached'")
    assert here.python(text) == "detached"
    assert here.python(text, MIGAS_DELIVERY="log") == "log"
    here.site("delivery = 'spool'")
    assert here.python(text, MIGAS_DELIVERY="log") == "spool"


@pytest.mark.parametrize(
    ("site", "argument", "user", "used"),
    [
        (None, None, None, "redacted"),
        (None, "type", None, "type"),
        ("none", "redacted", None, "none"),
        ("redacted", "none", None, "none"),
        ("type", None, "none", "none"),
        (None, "redacted", "type", "type"),
        (None, "everything", None, "none"),
    ],
)
def test_of_wishes_about_errors_the_one_for_less_wins(
    here: Site, site: str | None, argument: str | None, user: str | None, used: str
) -> None:
    if site:
        here.site(f"error_text = '{site}'")
    if user:
        here.user(f"error_text = '{user}'")
    text = f"migas.setup(error_text={argument!r})\nprint(values.settings().error_text)"
    assert here.python(text) == used


@pytest.mark.parametrize(
    ("site", "argument", "user", "used"),
    [
        (None, None, None, True),
        ("true", True, "true", True),
        (None, False, None, False),
        ("false", True, None, False),
        ("true", True, "false", False),
        (None, "perhaps", None, False),
    ],
)
def test_of_wishes_about_times_a_no_wins(
    here: Site, site: str | None, argument: bool | str | None, user: str | None, used: bool
) -> None:
    if site:
        here.site(f"timing = {site}")
    if user:
        here.user(f"timing = {user}")
    text = f"migas.setup(timing={argument!r})\nprint(values.settings().timing)"
    assert here.python(text) == str(used)


@pytest.mark.parametrize("who", ["user", "site"])
def test_breadcrumbs_go_by_the_proxy_that_a_file_names(here: Site, who: str) -> None:
    with FaultServer() as proxy:
        getattr(here, who)(f"proxy = '{proxy.url}'")
        here.python(
            f"migas.setup(endpoint='http://migas.invalid')\n{RUN}migas.flush(30)",
            MIGAS_DELIVERY="spool",
        )
    assert proxy.requests
    assert all(one.path.startswith("http://migas.invalid/") for one in proxy.requests)


def test_a_sites_proxy_beats_the_environments_and_that_a_users(here: Site) -> None:
    with FaultServer() as right, FaultServer() as wrong:
        text = f"migas.setup(endpoint='http://migas.invalid')\n{RUN}migas.flush(30)"
        here.user(f"proxy = '{wrong.url}'")
        here.python(text, MIGAS_DELIVERY="spool", http_proxy=right.url)
        by_variable = len(right.requests)
        here.site(f"proxy = '{right.url}'")
        here.python(text, MIGAS_DELIVERY="spool", http_proxy=wrong.url)
        assert 0 < by_variable < len(right.requests)
        assert not wrong.requests


def test_what_waits_is_not_sent_after_an_opt_out(here: Site) -> None:
    with FaultServer() as server:
        text = f"migas.setup(endpoint='{server.url}')\n{RUN}"
        here.python(text, MIGAS_DELIVERY="spool")
        here.user("optout = true")
        here.python(text + "migas.flush(5)", MIGAS_DELIVERY="inline")
        here.python(
            "import sys\nfrom migas.courier import main as courier\ncourier.main(['--now'])"
        )
        assert server.connections == 0


def test_every_key_is_explained() -> None:
    assert set(table.KEYS) == {
        "optout",
        "endpoint",
        "proxy",
        "delivery",
        "timeout",
        "error_text",
        "timing",
    }
    assert all(row.meaning for row in table.KEYS.values())


def is_url_to_the_standard_library(text: str) -> bool:
    try:
        parts = urlsplit(text)
        is_usable = parts.scheme in ("http", "https") and bool(parts.hostname)
        is_usable = is_usable and (parts.port is None or parts.port > 0)
    except ValueError:
        return False
    return is_usable and all(ord(char) > 32 for char in text) and not set("?#") & set(text)


PIECES = [
    *("http", "https", "ftp", "HTTP", "://", ":", "/", "//", "@", "127.0.0.1", "migas.example.org"),
    *("8080", "0", "65535", "65536", "a", "?", "#", " ", "graphql", "user", "é", "٣"),
]


@given(
    st.sampled_from(["", "http://", "HTTPS://"]),
    st.lists(st.sampled_from(PIECES), max_size=6).map("".join),
)
@example("https://", "user:secret@host:1/")
@example("http://", "host:")
@example("http://", ":80")
@example("http://", "[::1]:80/a")
def test_a_url_is_what_the_standard_library_takes_for_one(scheme: str, rest: str) -> None:
    text = scheme + rest
    assert table.is_url(text) == is_url_to_the_standard_library(text)


@pytest.mark.parametrize("host", ["[::1", "::1]", "[]", "[::1]x", "x[::1]", "[host]", "[::1]:x"])
def test_a_numeric_host_is_in_brackets_whole(host: str) -> None:
    assert not table.is_url(f"http://{host}/")


@pytest.mark.skipif(os.geteuid() == 0, reason="root sees everything; its twin is the test below")
@pytest.mark.parametrize("is_own_home", [True, False])
def test_a_no_that_nobody_can_look_for_in_ones_own_home_counts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, is_own_home: bool
) -> None:
    closed = tmp_path / ".config"
    closed.mkdir(mode=0)
    monkeypatch.setenv("HOME", str(tmp_path) if is_own_home else "/root")
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    assert ("cannot be looked for" in str(policy.refusal())) == is_own_home
    closed.chmod(0o700)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root hides something from another user")
@pytest.mark.parametrize("is_own_home", [True, False])
def test_a_no_that_cannot_be_looked_for_in_ones_own_home_counts(
    monkeypatch: pytest.MonkeyPatch, is_own_home: bool
) -> None:
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home, ".config", "migas")
        folder.mkdir(parents=True)
        folder.chmod(0o700)
        Path(home).chmod(0o755)
        if is_own_home:
            os.chown(home, NOBODY, NOBODY)
        monkeypatch.setenv("HOME", home)
        monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
        os.seteuid(NOBODY)
        try:
            reason = policy.refusal()
        finally:
            os.seteuid(0)
        assert ("cannot be looked for" in str(reason)) == is_own_home
