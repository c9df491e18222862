"""A decorated function looks, pickles and copies like the plain one; decorating does nothing."""

from __future__ import annotations

import copy
import functools
import gc
import inspect
import pickle
import pydoc
import subprocess
import sys
import threading
import typing
from typing import TYPE_CHECKING, Any

import pytest

import migas
from tests.support.programs import environment
from tests.tracking import tracked
from tests.tracking.tracked import (
    COMPLETED,
    TRACKED_UNDER_ANOTHER_NAME,
    Scale,
    count,
    count_later,
    double,
    double_later,
    plain,
    track,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Spool


KINDS: list[tuple[Callable[..., Any], Callable[..., Any]]] = [
    (double, inspect.isfunction),
    (double_later, inspect.iscoroutinefunction),
    (count, inspect.isgeneratorfunction),
    (count_later, inspect.isasyncgenfunction),
    (Scale(1).apply, inspect.ismethod),
    (Scale(1).apply_later, inspect.iscoroutinefunction),
    (Scale.of_two, inspect.ismethod),
]
CHECKS = (
    inspect.isfunction,
    inspect.ismethod,
    inspect.isroutine,
    inspect.iscoroutinefunction,
    inspect.isgeneratorfunction,
    inspect.isasyncgenfunction,
    callable,
)


@pytest.mark.parametrize(("function", "kind"), KINDS)
def test_inspect_takes_a_tracked_function_for_what_it_wraps(
    function: Any, kind: Callable[..., bool]
) -> None:
    assert kind(function)
    wrapped = function.__wrapped__
    assert [check(function) for check in CHECKS] == [check(wrapped) for check in CHECKS]


def test_a_tracked_function_keeps_its_signature() -> None:
    assert str(inspect.signature(double)) == "(value: 'int', *, times: 'int' = 2) -> 'int'"
    assert list(inspect.signature(Scale(1).apply).parameters) == ["value"]


def test_a_tracked_function_keeps_its_names_and_its_text() -> None:
    assert (double.__name__, double.__qualname__, double.__module__) == (
        "double",
        "double",
        tracked.__name__,
    )
    assert double.__doc__ == "Multiply, by two unless told otherwise."
    assert inspect.getsource(double).startswith("@track\ndef double(")
    assert repr(Scale.apply.__qualname__) == "'Scale.apply'"


def test_a_tracked_function_keeps_its_annotations_and_defaults() -> None:
    assert typing.get_type_hints(double) == {"value": int, "times": int, "return": int}
    assert double.__kwdefaults__ == {"times": 2}


def test_help_shows_the_function_itself() -> None:
    shown = pydoc.plain(pydoc.render_doc(double)).replace("'", "")  # as up to 3.14
    assert "double(value: int, *, times: int = 2)" in shown
    assert "Multiply, by two" in shown


def test_attributes_of_a_tracked_function_are_those_of_the_function() -> None:
    @track
    @functools.lru_cache
    def remember(value: int) -> int:
        return value

    assert remember.cache_info().hits == 0


@pytest.mark.parametrize("function", [double, Scale.of_two, Scale.of_four, Scale.of_five])
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_tracked_function_pickles_to_itself(function: Any, protocol: int, spool: Spool) -> None:
    loaded = pickle.loads(pickle.dumps(function, protocol))
    assert loaded(10) == function(10)
    assert len(spool.crumbs()) == 2


def test_a_module_level_function_pickles_by_reference() -> None:
    assert pickle.loads(pickle.dumps(double)) is double


def test_a_bound_method_pickles_with_its_instance(spool: Spool) -> None:
    assert pickle.loads(pickle.dumps(Scale(7).apply))(3) == 21
    assert spool.endings() == [COMPLETED]


def test_a_function_tracked_under_another_name_pickles_as_the_plain_one() -> None:
    assert pickle.loads(pickle.dumps(TRACKED_UNDER_ANOTHER_NAME)) is plain


def test_a_tracked_partial_pickles() -> None:
    assert pickle.loads(pickle.dumps(track(functools.partial(pow, 2))))(3) == 8


def test_a_copy_of_a_tracked_function_is_the_function() -> None:
    assert copy.copy(double) is double
    assert copy.deepcopy(double) is double


def test_a_deep_copy_of_a_bound_method_has_its_instance_copied() -> None:
    scale = Scale(7)
    copied = copy.deepcopy(scale.apply)
    scale.factor = 0
    assert copied(3) == 21
    assert copy.copy(scale.apply)(3) == 0


def test_decorating_writes_nothing_and_starts_nothing(spool: Spool) -> None:
    before = threading.active_count()
    track(plain)
    assert threading.active_count() == before
    assert not spool.folder.exists()


@pytest.mark.parametrize("project", [None, 7, b"lab/tool", "", "  ", ["lab/tool"]])
def test_a_project_that_is_no_text_is_a_type_error_at_decoration(project: Any) -> None:
    with pytest.raises(TypeError, match="project"):
        migas.track(project, "1.0.0")


@pytest.mark.parametrize("version", [None, 1.0, "", (1, 0)])
def test_a_version_that_is_no_text_is_a_type_error_at_decoration(version: Any) -> None:
    with pytest.raises(TypeError, match="version"):
        migas.track("lab/tool", version)


@pytest.mark.parametrize(
    "options",
    [
        {"colour": "red"},
        {"announce_after": "soon"},
        {"announce_after": -1},
        {"announce_after": True},
        {"error_handlers": {"ValueError": 3}},
        {"error_handlers": 7},
    ],
)
def test_a_wrong_argument_is_a_type_error_at_decoration(options: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        migas.track("lab/tool", "1.0.0", **options)


@pytest.mark.parametrize("signals", [["SIGNOTHING"], ["SIGKILL"], [0], [9999], [None]])
def test_a_signal_that_cannot_be_meant_is_a_value_error_at_decoration(signals: Any) -> None:
    with pytest.raises(ValueError, match="signals holds"):
        migas.track("lab/tool", "1.0.0", signals=signals)


@pytest.mark.parametrize("thing", [3, None, "main", Scale, int])
def test_only_functions_are_decorated(thing: Any) -> None:
    with pytest.raises(TypeError, match=r"migas\.track decorates functions"):
        track(thing)


def test_track_that_is_kept_and_never_used_says_so_in_the_log(tmp_path: Path) -> None:
    text = "import migas\nmigas.setup()\nkept = migas.track('lab/forgotten', '1.0.0')"
    ran = subprocess.run(
        [sys.executable, "-c", text],
        env={**environment(tmp_path), "MIGAS_DELIVERY": "log", "MIGAS_LOG_LEVEL": "WARNING"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert "'lab/forgotten', …) was made and never used" in ran.stderr
    assert "would send" not in ran.stderr


def test_track_that_is_used_says_nothing(spool: Spool, caplog: pytest.LogCaptureFixture) -> None:
    migas.track("lab/tool", "1.0.0")(plain)
    with migas.track("lab/tool", "1.0.0"):
        pass
    gc.collect()
    assert caplog.text == ""
