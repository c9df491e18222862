"""Which failures are taken for the same one."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migas.collector.counts.fingerprint import MAX_FOLDED_CHARS, fingerprint, folded, node_of
from migas.collector.counts.history import Seen, history

TRACEBACK = (
    "Traceback (most recent call last): File <path>, line {line}, in run_node result = node.run() "
    "File <path>, line 9, in run raise ValueError: shapes ({rows},3) do not match"
)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("No such file or directory: <path>", "No such file or directory: <name>"),
        ("exit status 1 after 3.5 s", "exit status 127 after 12.25 s"),
        ("<Node object at 0x7f3a>", "<Node object at 0x55DE01>"),
        ("key 'SliceTiming' is missing", 'key "SliceTiming" is missing'),
        ("no column 'age in years'", 'no column "it\'s"'),
        ("cannot read 'bold.nii.gz'", "cannot read 'T1w/a b.json'"),
        ("echo 'run1' is missing", "echo 'run2' is missing"),
        ("commit 9fceb02d0ae5 is gone", "commit e83c5163316f is gone"),
        ("run 35ecdd23-f0b6-593a-8d5b-108982c1126d", "run 0c9f5a5e-5a68-4b53-9d3c-3f6dfd8a3f10"),
        ("shape (256, 320, 36)", "shape (64,)"),
        ("two  blanks\n", "two blanks"),
        (TRACEBACK.format(line=7, rows=3), TRACEBACK.format(line=940, rows=12)),
        ("… cut here " + TRACEBACK.format(line=7, rows=3), TRACEBACK.format(line=7, rows=3)),
    ],
)
def test_what_differs_from_run_to_run_makes_no_other_error(one: str, other: str) -> None:
    assert folded(one) == folded(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("No space left on device", "Read-only file system"),
        ("can't open it, don't ask", "can't close it, don't ask"),
        ("'SliceTiming'", "'EchoTime'"),
        ("No module named 'nipype.interfaces'", "No module named 'nipype.pipeline'"),
        ("'NoneType' object has no attribute 'shape'", "'Image' object has no attribute 'shape'"),
        ("got an unexpected keyword argument 'strict'", "got an unexpected keyword argument 'n'"),
        ("facade", "defaced"),  # words, though of hexadecimal letters
        (TRACEBACK.format(line=7, rows=3), TRACEBACK.replace("shapes", "axes")),
    ],
)
def test_what_says_something_else_is_another_error(one: str, other: str) -> None:
    assert folded(one) != folded(other)


def test_of_a_pipeline_the_node_tells_errors_apart() -> None:
    told = [
        fingerprint("F", "NodeExecutionError", f"Exception raised from node {node}", "x")
        for node in ("bold_reg", "bold_reg", "anat_reg")
    ]
    assert told[0] == told[1] != told[2]
    assert node_of(None, "Exception raised while executing Node bold_reg. Cmdline: x") == "bold_reg"
    assert node_of("Errored", None) == ""


def test_only_what_failed_with_an_error_has_a_fingerprint() -> None:
    assert fingerprint("C", "KeyError", None, "x") is None
    assert fingerprint("F", None, "Exited with code 1", "x") is None
    assert fingerprint("F", "", None, "x") is None
    assert fingerprint("F", "KeyError", None, None) == fingerprint("F", "KeyError", "x", "")


@given(st.text(max_size=5000))
def test_any_text_has_one(text: str) -> None:
    assert len(folded(text)) <= MAX_FOLDED_CHARS
    found = fingerprint("F", text or "x", text, text)
    assert found is not None
    assert 0 <= found < 2**63


@pytest.mark.parametrize(
    "text", ["'" * 4000, "<" * 4000, "a1-" * 1500, "(0," * 1500, "Error: " * 600]
)
def test_no_text_takes_long_to_fold(text: str) -> None:
    """A regular expression that tries again from everywhere would not come to an end here."""
    assert len(folded(text * 20 + "File ")) <= MAX_FOLDED_CHARS


def test_of_what_was_never_seen_there_is_no_history() -> None:
    assert history([], {}, {"1.0": 5}) == (None, None, "", "")


def test_one_failure_of_few_sessions_may_be_chance_and_some_are_not() -> None:
    """It is a tenth of all sessions that could have had the error since."""
    exposed = {"1.0": 450, "1.1": 50}
    seen = [Seen(dt.date(2026, 11, 1), "1.1")]
    assert history(seen, {"1.1": 1}, exposed).mark == ""
    assert history(seen, {"1.1": 2}, exposed)[2:] == ("new", "1.1")
    assert history(seen, {"0.9": 3, "1.1": 1}, exposed).mark == ""
    assert history(seen, {"0.9": 3, "1.1": 2}, exposed)[2:] == ("back", "1.1")
    # What has no place in the order of versions did not have it before.
    assert history(seen, {"main": 3, "1.1": 2}, exposed | {"main": 9})[2:] == ("new", "1.1")
