"""The message: repaired so that no server loses it, within the wire's size whatever is in it."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from migas import message

# Surrogates included: what a broken file name holds is text in Python.
ANY_TEXT = st.text(st.characters(codec=None), max_size=40).flatmap(
    lambda text: st.sampled_from([1, 1, 7, 400]).map(lambda times: text * times)
)
ANY_VALUE = st.one_of(ANY_TEXT, st.none(), st.booleans(), st.integers(), st.binary(max_size=9))
ANY_FIELDS = st.dictionaries(st.sampled_from(message.FIELDS), ANY_VALUE)


def fitted(fields: dict[str, Any]) -> message.Breadcrumb:
    return message.fit(message.compose(fields))


@given(ANY_FIELDS)
@settings(max_examples=150, deadline=None)
def test_any_text_in_any_field_fits_the_wire(fields: dict[str, Any]) -> None:
    crumb = fitted(fields)
    assert len(message.graphql_body(crumb)) <= 2500
    assert len(message.rest_body(crumb)) <= 2500


@pytest.mark.parametrize("name", ["status_desc", "error_type"])
def test_no_other_text_costs_the_message_of_an_error(name: str) -> None:
    fields = {"status": "F", "error_type": "ValueError", name: "much " * 1000}
    crumb = fitted({"project": "lab/tool", **fields, "error_desc": "7 is no even number"})
    assert crumb["error_desc"] == "7 is no even number"


@given(ANY_FIELDS)
@settings(max_examples=80, deadline=None)
def test_both_bodies_say_the_breadcrumb_and_nothing_else(fields: dict[str, Any]) -> None:
    crumb = fitted(fields)
    assert json.loads(message.graphql_body(crumb))["variables"]["p"] == crumb
    nested = json.loads(message.rest_body(crumb))
    flat = {**nested.pop("ctx"), **nested.pop("proc"), **nested}
    assert {name: value for name, value in flat.items() if value != ""} == {
        name: value for name, value in crumb.items() if value != ""
    }


@given(ANY_FIELDS)
@settings(max_examples=80, deadline=None)
def test_nothing_that_a_server_loses_is_left(fields: dict[str, Any]) -> None:
    crumb = fitted(fields)
    for value in crumb.values():
        text = str(value)
        assert "\0" not in text
        assert text.encode().decode() == text
    for name in ("session_id", "user_id"):
        if name in crumb:
            assert str(uuid.UUID(crumb[name])) == crumb[name]
    assert len(crumb.get("language", "")) <= 32
    assert len(crumb.get("platform", "")) <= 64
    assert crumb.get("status", "R") in "RCFS"
    assert crumb.get("container", "unknown") in message.CONTAINERS
    assert crumb.get("user_type", "ci") in message.USER_TYPES


@given(st.text(st.characters(codec="utf-8")), st.integers(0, 200))
@settings(max_examples=150, deadline=None)
def test_cutting_keeps_a_beginning_and_an_end_and_breaks_no_character(
    text: str, budget: int
) -> None:
    cut = message.cut_middle(text, budget)
    assert len(json.dumps(cut, ensure_ascii=False).encode()) - 2 <= budget
    if cut != text:
        head, _, tail = cut.partition(" … ")
        assert text.startswith(head)
        assert text.endswith(tail)


def test_a_text_that_fits_is_not_cut() -> None:
    assert message.cut_middle("äöü", 6) == "äöü"


def test_a_cut_description_keeps_where_it_began_and_what_it_came_to() -> None:
    crumb = fitted({"project": "a/b", "error_desc": "first" + "é" * 9000 + "last"})
    assert crumb["error_desc"].startswith("first")
    assert crumb["error_desc"].endswith("last")
    assert len(message.graphql_body(crumb)) > 2490


def test_the_longest_text_is_cut_before_the_project() -> None:
    crumb = fitted({"project": "lab/" + "x" * 100, "error_desc": "é" * 9000, "status_desc": "why"})
    assert crumb["project"] == "lab/" + "x" * 100
    assert crumb["status_desc"] == "why"


@pytest.mark.parametrize(
    "given_id",
    [
        "C0FFEE00-0000-4000-8000-000000000001",
        "{c0ffee00-0000-4000-8000-000000000001}",
        "urn:uuid:c0ffee00-0000-4000-8000-000000000001",
        "c0ffee00000040008000000000000001",
        uuid.UUID("c0ffee00-0000-4000-8000-000000000001"),
    ],
)
def test_an_id_is_sent_in_its_canonical_form(given_id: object) -> None:
    crumb = message.compose({"session_id": given_id})
    assert crumb == {"session_id": "c0ffee00-0000-4000-8000-000000000001"}


@pytest.mark.parametrize("given_id", ["", "me", 7, "g" * 32, "c0ffee", "c0 " * 10 + "ff"])
def test_an_id_that_is_no_uuid_is_left_out(given_id: object) -> None:
    assert message.compose({"user_id": given_id}) == {}


@pytest.mark.parametrize(
    ("said", "letter"), [("R", "R"), ("completed", "C"), ("ERROR", "F"), ("suspended", "S")]
)
def test_every_spelling_of_a_status_becomes_its_letter(said: str, letter: str) -> None:
    assert message.compose({"status": said}) == {"status": letter}


@pytest.mark.parametrize(
    ("name", "value"),
    [("status", "mad"), ("container", "lxc"), ("user_type", "boss"), ("colour", "red")],
)
def test_what_a_server_would_refuse_is_left_out(name: str, value: str) -> None:
    assert message.compose({name: value}) == {}


def test_a_class_of_str_is_taken_by_its_characters() -> None:
    class Loud(str):
        __slots__ = ()

        def __str__(self) -> str:
            return self.upper()

        def replace(self, *_: object) -> str:
            return "replaced"

    assert message.compose({"status_desc": Loud("quiet")}) == {"status_desc": "quiet"}


def test_an_exception_given_as_error_type_means_its_class() -> None:
    assert message.compose({"error_type": KeyError("secret")}) == {"error_type": "KeyError"}


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=9,
)


@given(VALUES, st.booleans(), st.sampled_from([None, 2]))
@settings(max_examples=150, deadline=None)
def test_a_text_says_what_json_reads_in_it(value: Any, is_ascii: bool, indent: int | None) -> None:
    text = f" {json.dumps(value, ensure_ascii=is_ascii, indent=indent)}\n"
    assert message.decode(text.encode()) == value


@given(VALUES)
@settings(max_examples=150, deadline=None)
def test_a_text_is_written_as_json_writes_it_without_padding(value: Any) -> None:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    assert message.encode(value) == text.encode()


def test_what_json_has_nothing_for_is_not_written() -> None:
    with pytest.raises(TypeError):
        message.encode({"project": object()})


@pytest.mark.parametrize(
    "text",
    [b"", b" ", b"{", b"[1,]", b"1 2", b"nul", b'{"a":1}x', b'"\n"', b"'a'", b'"\xff"', b"{1:2}"],
)
def test_what_is_no_json_is_not_read(text: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  of whatever kind
        message.decode(text)
