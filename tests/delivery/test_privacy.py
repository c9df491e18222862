"""What leaves of a breadcrumb's texts, as the program, its user and its makers want it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from migas.delivery import privacy
from migas.error.nipype import node_execution_error
from migas.settings import setup, values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from migas.message import Breadcrumb

FAILED = {
    "status": "F",
    "status_desc": "Errored",
    "error_type": "ValueError",
    "error_desc": "no bold of sub-01 at /data/jane",
}


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """The settings as after `setup()`, with nothing of this machine's user in them."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", "/home/jane")
    values.publish(values.Settings(is_set_up=True))
    yield
    values.publish(values.Settings())


def said(**fields: str) -> dict[str, str]:
    crumb: Mapping[str, Any] = privacy.compose("lab/tool", "1.0", {**FAILED, **fields})
    names = ("status", "status_desc", "error_type", "error_desc")
    return {name: crumb[name] for name in names if name in crumb}


def test_texts_are_redacted(settings: None) -> None:
    assert said() == {**FAILED, "error_desc": "no bold of sub-<id> at <path>"}


def test_only_the_type_of_an_error_is_said(settings: None) -> None:
    values.change(error_text="type")
    assert said() == {"status": "F", "status_desc": "Errored", "error_type": "ValueError"}


def test_nothing_of_an_error_is_said(settings: None) -> None:
    values.change(error_text="none")
    assert said() == {"status": "F", "status_desc": "Errored"}


@pytest.mark.parametrize("wish", ["type", "none"])
def test_a_handlers_description_is_text_of_the_error_too(settings: None, wish: str) -> None:
    values.change(error_text=wish)
    assert said(status_desc="Jane's file is odd")["status_desc"] == "Errored"


@pytest.mark.parametrize(
    "description",
    ["Exited with code 3", "Terminated (SIGTERM, slurm)", "Killed (out of memory)", "Lost"],
)
def test_our_own_descriptions_say_nothing_of_anybody(settings: None, description: str) -> None:
    values.change(error_text="none")
    assert said(status_desc=description)["status_desc"] == description


OWN_DESCRIPTIONS = [
    "Completed",
    "Errored",
    "Suspended",
    "Exited with code 1234567",
    "Lost",
    "Lost (the host restarted)",
    "Terminated (SIGTERM)",
    "Terminated (SIGTERM, slurm)",
    "Terminated (SIGPIPE)",
    "Terminated (signal 64)",
    "Crashed (SIGSEGV)",
    "Killed (out of memory)",
]


def _words_of(text: str) -> set[str]:
    return {word for word in text.replace("(", " ").replace(")", " ").split() if len(word) > 1}


@pytest.mark.parametrize("description", OWN_DESCRIPTIONS)
def test_our_own_descriptions_stay_whatever_the_account_is_called(
    settings: None, description: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for word in _words_of(description):
        monkeypatch.setenv("USER", word.lower())
        monkeypatch.setenv("HOME", f"/home/{word.lower()}")
        assert said(status_desc=description)["status_desc"] == description


@pytest.mark.parametrize("name", ["SystemExit", "ExceptionGroup", "KeyError", "BrokenPipeError"])
def test_the_type_of_an_error_of_pythons_own_stays_whatever_the_account_is_called(
    settings: None, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("USER", name.lower())
    assert said(error_type=name)["error_type"] == name


def test_a_name_in_what_only_looks_like_ours_is_taken_out(
    settings: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("USER", "sigmund")
    assert said(status_desc="Terminated (SIGMUND)")["status_desc"] == "Terminated (<user>)"
    assert said(status_desc="Lost (by sigmund)")["status_desc"] == "Lost (by <user>)"
    assert said(error_type="Sigmund")["error_type"] == "<user>"


def test_of_a_failed_node_only_the_nodes_name_is_redacted(
    settings: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "Exception raised while executing Node raised_in_available."
    for account in ("raised", "available"):
        monkeypatch.setenv("USER", account)
        found = said(**node_execution_error(None, text, None))
        assert found["status_desc"].startswith("Exception raised from node ")
        assert account not in found["status_desc"].removeprefix("Exception raised from node ")
        assert found["error_desc"] == "No traceback available"


@pytest.mark.parametrize("wish", ["type", "none"])
def test_a_name_in_a_bracket_of_ours_is_text_of_the_error_too(settings: None, wish: str) -> None:
    values.change(error_text=wish)
    assert said(status_desc="Lost (jane's file)")["status_desc"] == "Errored"


def test_what_a_program_says_of_its_progress_is_no_error(settings: None) -> None:
    values.change(error_text="none")
    crumb = privacy.compose("lab/tool", "1.0", {"status": "R", "status_desc": "workflow start"})
    assert crumb["status_desc"] == "workflow start"


def test_a_program_takes_out_more(settings: None) -> None:
    values.change(redact=(lambda text: text.replace("bold", "<what>"),))
    assert said()["error_desc"] == "no <what> of sub-<id> at <path>"


def test_a_text_for_which_that_fails_does_not_leave(settings: None) -> None:
    values.change(redact=(lambda text: 1 / 0,))
    assert "error_desc" not in said()


def test_before_send_sees_the_whole_breadcrumb_and_changes_it(settings: None) -> None:
    seen = []

    def before_send(crumb: Breadcrumb) -> dict[str, object]:
        seen.append(dict(crumb))
        return {**crumb, "error_desc": "something", "user_id": "no uuid", "unknown": 1}

    values.change(before_send=(before_send,))
    assert said()["error_desc"] == "something"
    assert {"project", "language", "platform", "session_id"} <= set(seen[0])
    crumb = privacy.compose("lab/tool", "1.0", FAILED)
    assert "user_id" not in crumb
    assert "unknown" not in crumb


@pytest.mark.parametrize("before_send", [lambda crumb: None, lambda crumb: 1 / 0, lambda crumb: 7])
def test_before_send_drops_a_breadcrumb_also_by_failing(
    settings: None, before_send: Callable[[Breadcrumb], Any]
) -> None:
    values.change(before_send=(before_send,))
    with pytest.raises(privacy.DroppedError):
        privacy.compose("lab/tool", "1.0", FAILED)


def test_setup_keeps_what_it_is_told(settings: None) -> None:
    setup.setup(endpoint="http://127.0.0.1:9", error_text="type", redact=str.lower)
    assert (values.settings().error_text, values.settings().redact) == ("type", (str.lower,))


def test_an_unknown_wish_about_errors_says_nothing_of_them(settings: None) -> None:
    setup.setup(endpoint="http://127.0.0.1:9", error_text="everything")
    assert values.settings().error_text == "none"
