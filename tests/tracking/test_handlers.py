"""Which function describes a framework's exception, and what nipype's says."""

from __future__ import annotations

import asyncio
import re
import signal
from typing import TYPE_CHECKING, Any

import pytest

from migas.error import (
    ERROR_PRESETS,
    find_handler,
    resolve_error_handlers,
    status_from_signal,
    strip_filenames,
)
from migas.tracking.nipype import MAX_TRACEBACK_SIZE, node_execution_error

if TYPE_CHECKING:
    from migas.tracking.handlers import ErrorHandler

NODE_FAILURE = """Exception raised while executing Node bold_to_std.

Cmdline:
\tantsApplyTransforms -i /work dir/sub-01/bold.nii.gz -o out.nii.gz
Stdout:
\treading /work dir/sub-01/bold.nii.gz
Stderr:

Traceback:
\tTraceback (most recent call last):
\t  File "/opt/conda/lib/python3.11/site-packages/nipype/interfaces/base/core.py", line 454, in aggregate_outputs
\t    setattr(outputs, key, val)
\ttraits.trait_errors.TraitError: The trait 'out_file' must be a pathlike object

\tDuring handling of the above exception, another exception occurred:

\tTraceback (most recent call last):
\t  File "/opt/conda/lib/python3.11/site-packages/nipype/interfaces/base/core.py", line 401, in run
\t    outputs = self.aggregate_outputs(runtime)
\t  File "/opt/conda/lib/python3.11/site-packages/nipype/interfaces/base/core.py", line 461, in aggregate_outputs
\t    raise FileNotFoundError(msg)
\tFileNotFoundError: No such file or directory '/work dir/sub-01/out.nii.gz' for output 'out_file' of a ApplyTransforms interface
"""  # noqa: E501  as nipype writes it


class NodeExecutionError(RuntimeError):
    """Named as nipype's."""


class SpecialError(NodeExecutionError):
    """A subclass of a framework's exception."""


def describe(etype: type[BaseException], evalue: object, etraceback: object) -> dict[str, str]:
    return {"status_desc": "first"}


def describe_otherwise(
    etype: type[BaseException], evalue: object, etraceback: object
) -> dict[str, str]:
    return {"status_desc": "second"}


def test_no_handlers_are_none() -> None:
    assert resolve_error_handlers(None) == {}


def test_a_preset_is_known_by_its_name() -> None:
    assert resolve_error_handlers("nipype") == {"NodeExecutionError": node_execution_error}


def test_a_list_is_merged_and_its_later_members_win() -> None:
    assert resolve_error_handlers(
        ["nipype", {ValueError: describe}, {"NodeExecutionError": describe}]
    ) == {
        "NodeExecutionError": describe,
        ValueError: describe,
    }


def test_what_is_resolved_is_a_copy() -> None:
    given = {"ValueError": describe}
    resolve_error_handlers(given)["KeyError"] = describe
    resolve_error_handlers("nipype")["KeyError"] = describe
    assert given == {"ValueError": describe}
    assert "KeyError" not in ERROR_PRESETS["nipype"]


def test_an_unknown_preset_is_refused() -> None:
    with pytest.raises(ValueError, match="no preset 'airflow'; there is 'nipype'"):
        resolve_error_handlers("airflow")


@pytest.mark.parametrize(
    ("handlers", "sentence"),
    [
        (3, "must be a dict, a preset's name or a list of them, not int"),
        (describe, "must be a dict, a preset's name or a list of them, not function"),
        ([None], "must be a dict, a preset's name or a list of them, not NoneType"),
        ({3: describe}, "takes exception classes and their names, not 3"),
        ({int: describe}, "takes exception classes and their names, not <class 'int'>"),
        ({"ValueError": "text"}, "has 'text' for 'ValueError', which is not callable"),
    ],
)
def test_wrong_handlers_are_refused_with_a_sentence(handlers: Any, sentence: str) -> None:
    with pytest.raises(TypeError, match=re.escape(sentence)):
        resolve_error_handlers(handlers)


@pytest.mark.parametrize(
    "key", [NodeExecutionError, "NodeExecutionError", f"{__name__}.NodeExecutionError"]
)
@pytest.mark.parametrize("exception_type", [NodeExecutionError, SpecialError])
def test_a_handler_is_found_by_class_and_by_name(
    key: type[BaseException] | str, exception_type: type[BaseException]
) -> None:
    assert find_handler({key: describe}, exception_type) is describe


def test_the_nearest_ancestors_handler_wins() -> None:
    handlers = {Exception: describe, "RuntimeError": describe_otherwise}
    assert find_handler(handlers, SpecialError) is describe_otherwise
    assert find_handler(handlers, KeyError) is describe


def test_a_class_wins_over_its_name() -> None:
    handlers = {"ValueError": describe_otherwise, ValueError: describe}
    assert find_handler(handlers, ValueError) is describe


@pytest.mark.parametrize("handlers", [{}, {"ValueError": describe}, {"other.KeyError": describe}])
def test_no_handler_is_none(handlers: dict[str, ErrorHandler]) -> None:
    assert find_handler(handlers, KeyError) is None


def test_a_builtin_can_be_named_with_its_module() -> None:
    assert find_handler({"builtins.KeyError": describe}, KeyError) is describe
    assert find_handler({"CancelledError": describe}, asyncio.CancelledError) is describe


def test_a_node_is_named_and_its_traceback_told_without_paths() -> None:
    described = node_execution_error(NodeExecutionError, NODE_FAILURE, None)
    assert described == {
        "status": "F",
        "status_desc": "Exception raised from node bold_to_std",
        "error_type": "NodeExecutionError",
        "error_desc": "Traceback (most recent call last):"
        ' File "<path>", line 454, in aggregate_outputs setattr(outputs, key, val)'
        " traits.trait_errors.TraitError: The trait 'out_file' must be a pathlike object"
        " During handling of the above exception, another exception occurred:"
        " Traceback (most recent call last):"
        ' File "<path>", line 401, in run outputs = self.aggregate_outputs(runtime)'
        ' File "<path>", line 461, in aggregate_outputs raise FileNotFoundError(msg)'
        " FileNotFoundError: No such file or directory '<path>'"
        " for output 'out_file' of a ApplyTransforms interface",
    }


def test_the_exception_itself_is_taken_for_its_message() -> None:
    error = NodeExecutionError(NODE_FAILURE)
    assert node_execution_error(type(error), error, None) == node_execution_error(
        type(error), NODE_FAILURE, None
    )


def test_a_traceback_without_frames_is_told_whole() -> None:
    text = "Exception raised while executing Node n4.\n\nTraceback:\n\tRuntimeError: exit code 1."
    described = node_execution_error(NodeExecutionError, text, None)
    assert described["status_desc"] == "Exception raised from node n4"
    assert described["error_desc"] == "RuntimeError: exit code 1."


def test_a_message_of_several_lines_is_kept_in_one() -> None:
    text = "Traceback:\n\tValueError: one\n\ttwo"
    assert node_execution_error(None, text, None)["error_desc"] == "ValueError: one two"


def test_a_subjects_label_in_a_nodes_name_is_cut() -> None:
    text = "Exception raised while executing Node _sub_jane_wf.bold_reg.\n"
    described = node_execution_error(NodeExecutionError, text, None)
    assert described["status_desc"] == "Exception raised from node _sub_<id>_wf.bold_reg"
    assert described["error_desc"] == "No traceback available"


@pytest.mark.parametrize("text", ["", "something else", None, "Traceback (most recent call last):"])
def test_a_message_in_another_form_says_that_there_is_no_traceback(text: str | None) -> None:
    described = node_execution_error(NodeExecutionError, text, None)
    assert described["status_desc"] == "Exception raised from node <?>"
    assert described["error_desc"] == "No traceback available"


def test_of_a_long_traceback_the_end_is_kept() -> None:
    text = NODE_FAILURE.rstrip() + " word" * 100_000 + " end"
    description = node_execution_error(NodeExecutionError, text, None)["error_desc"]
    assert MAX_TRACEBACK_SIZE - 10 < len(description) <= MAX_TRACEBACK_SIZE
    assert description.endswith(" end")


def test_of_a_long_message_in_a_traceback_the_exception_and_its_first_line_are_kept() -> None:
    text = NODE_FAILURE.rstrip() + "\n\tanother line of the message" * 200 + " end"
    description = node_execution_error(NodeExecutionError, text, None)["error_desc"]
    assert description.startswith(
        "FileNotFoundError: No such file or directory '<path>' for output"
    )
    assert description.endswith(" end")
    assert len(description) <= MAX_TRACEBACK_SIZE


def test_filenames_are_stripped() -> None:
    assert strip_filenames("open '/a b/c' and/or /d/e.nii, float32/float64") == (
        "open '<redacted>' and/or <redacted>, float32/float64"
    )


@pytest.mark.parametrize(("number", "name"), [(signal.SIGTERM, "SIGTERM"), (250, "signal 250")])
def test_a_signal_is_told_by_its_name(number: int, name: str) -> None:
    assert status_from_signal(number) == {"status": "S", "status_desc": f"Terminated ({name})"}
