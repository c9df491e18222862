"""How an exception is read: the parts of the table that need no program."""

from __future__ import annotations

import asyncio
import bdb
import concurrent.futures
from typing import TYPE_CHECKING, Any

import anyio
import click
import greenlet
import pytest
import trio
import typer

from migas import message
from migas.error import find_handler, resolve_error_handlers
from migas.message import outcome

if TYPE_CHECKING:
    from collections.abc import Callable

COMPLETED = {"status": "C", "status_desc": "Completed"}
SUSPENDED = {"status": "S", "status_desc": "Suspended"}


def raised(*functions: Callable[[], object]) -> BaseException:
    """The exception of the last function, each called while that of the one before is handled."""
    try:
        functions[-1]() if len(functions) == 1 else _during(functions)
    except BaseException as error:
        return error
    raise AssertionError


def _during(functions: tuple[Callable[[], object], ...]) -> None:
    try:
        functions[0]()
    except BaseException:
        if len(functions) == 1:
            raise
        _during(functions[1:])


def throw(error: BaseException) -> Callable[[], object]:
    def function() -> object:
        raise error

    return function


class ExitError(Exception):
    def __init__(self, code: object) -> None:
        self.exit_code = code


@pytest.mark.parametrize("code", [None, 0, False, 256, -512])
def test_exit_code_zero_is_a_success(code: object) -> None:
    assert outcome.from_exception(SystemExit(code)) == COMPLETED


@pytest.mark.parametrize(("code", "said"), [(3, 3), (True, 1), (-1, 255), (300, 44)])
def test_another_exit_code_is_a_failure(code: int, said: int) -> None:
    found = outcome.from_exception(SystemExit(code))
    assert (found["status"], found["status_desc"]) == ("F", f"Exited with code {said}")
    assert found["error_type"] == "SystemExit"


@pytest.mark.parametrize("code", ["no such file", "", 1.5, ("a", 1)])
def test_an_exit_with_a_text_is_a_failure_with_code_1(code: object) -> None:
    found = outcome.from_exception(SystemExit(code))
    assert (found["status"], found["status_desc"]) == ("F", "Exited with code 1")
    assert (found["error_type"], found["error_desc"]) == ("SystemExit", str(code))


def test_an_exit_while_an_exception_is_handled_tells_of_that_one() -> None:
    found = outcome.from_exception(raised(throw(KeyError("bold")), throw(SystemExit(2))))
    assert (found["status_desc"], found["error_type"]) == ("Exited with code 2", "KeyError")
    assert found["error_desc"] == "'bold'"


def test_an_exit_with_a_text_says_its_own_text_whatever_is_handled() -> None:
    found = outcome.from_exception(raised(throw(KeyError("bold")), throw(SystemExit("no bold"))))
    assert (found["error_type"], found["error_desc"]) == ("SystemExit", "no bold")


def test_an_exit_with_code_zero_is_a_success_whatever_is_handled() -> None:
    assert outcome.from_exception(raised(throw(KeyError()), throw(SystemExit(0)))) == COMPLETED


@pytest.mark.parametrize(
    "error",
    [
        KeyboardInterrupt(),
        bdb.BdbQuit(),
        asyncio.CancelledError(),
        click.Abort(),
        typer.Abort(),
        type("Stopped", (KeyboardInterrupt,), {})(),
        BaseExceptionGroup("all", [KeyboardInterrupt(), asyncio.CancelledError()]),
    ],
    ids=repr,
)
def test_what_somebody_stopped_is_suspended(error: BaseException) -> None:
    assert outcome.from_exception(error) == SUSPENDED


async def _cancelled(library: Any) -> BaseException:
    """What a task meets in a scope that is cancelled."""
    with library.CancelScope() as scope:
        scope.cancel()
        try:
            await library.sleep(20)
        except BaseException as error:
            return error
    raise AssertionError


@pytest.mark.parametrize(
    "cancelled",
    [
        lambda: trio.run(_cancelled, trio),
        lambda: anyio.run(_cancelled, anyio, backend="trio"),
        lambda: anyio.run(_cancelled, anyio, backend="asyncio"),
    ],
    ids=["trio", "anyio on trio", "anyio on asyncio"],
)
def test_a_cancelled_scope_is_suspended(cancelled: Callable[[], BaseException]) -> None:
    error = cancelled()
    assert outcome.from_exception(error) == SUSPENDED
    assert outcome.from_exception(BaseExceptionGroup("all", [error])) == SUSPENDED


@pytest.mark.parametrize(
    "kind",
    [
        concurrent.futures.CancelledError,
        greenlet.GreenletExit,
        type("TaskCancelled", (BaseException,), {"__module__": "curio.errors"}),
        type("CancelledError", (Exception,), {"__module__": "twisted.internet.defer"}),
    ],
)
def test_the_cancellation_of_every_known_framework_is_suspended(kind: type[BaseException]) -> None:
    assert outcome.from_exception(kind()) == SUSPENDED


def test_a_timeout_that_a_framework_counts_among_its_cancellations_is_an_error() -> None:
    names = {"__module__": "curio.errors"}
    kind = type("TaskTimeout", (type("CancelledError", (BaseException,), names),), names)
    assert outcome.from_exception(kind())["status"] == "F"


def test_an_exit_made_of_an_interruption_is_suspended() -> None:
    error = raised(throw(KeyboardInterrupt()), throw(SystemExit(130)))
    assert outcome.from_exception(error) == SUSPENDED


def test_an_exit_made_of_an_exit_made_of_an_interruption_is_suspended() -> None:
    exits = throw(KeyboardInterrupt()), throw(ExitError(130)), throw(SystemExit(130))
    assert outcome.from_exception(raised(*exits)) == SUSPENDED


def test_an_error_after_an_interruption_is_an_error() -> None:
    error = raised(throw(KeyboardInterrupt()), throw(OSError("full")))
    assert outcome.from_exception(error)["error_type"] == "OSError"


def test_a_class_that_is_only_named_like_an_interruption_is_an_error() -> None:
    assert outcome.from_exception(type("Abort", (Exception,), {})())["status"] == "F"


@pytest.mark.parametrize("code", [0, 256])
def test_an_exception_with_exit_code_zero_is_a_success(code: int) -> None:
    assert outcome.from_exception(click.exceptions.Exit(code)) == COMPLETED


def test_a_broken_pipe_is_an_error_while_standard_output_is_read() -> None:
    error = raised(throw(BrokenPipeError(32, "Broken pipe")), throw(SystemExit(1)))
    assert outcome.from_exception(error)["error_type"] == "BrokenPipeError"


@pytest.mark.parametrize("code", ["3", None, 2.0, [1]])
def test_an_exit_code_that_is_no_integer_says_nothing(code: object) -> None:
    assert outcome.from_exception(ExitError(code))["status_desc"] == "Errored"


def test_an_exception_group_is_counted_by_type() -> None:
    group = ExceptionGroup("g", [KeyError(), ExceptionGroup("h", [KeyError(), OSError()])])
    found = outcome.from_exception(group)
    assert (found["error_type"], found["error_desc"]) == ("ExceptionGroup", "2 KeyError, 1 OSError")


def test_a_group_with_one_error_among_interruptions_is_an_error() -> None:
    group = BaseExceptionGroup("g", [KeyboardInterrupt(), OSError()])
    assert outcome.from_exception(group)["status"] == "F"


def test_a_generator_closed_early_has_completed() -> None:
    assert outcome.from_exception(GeneratorExit()) == COMPLETED


WORKER = """RuntimeError in a worker.

Traceback (most recent call last):
  File "first.py", line 1, in first
    first()
KeyError: 'bold'

During handling of the above exception, another exception occurred:

    Traceback (most recent call last):
      File "second.py", line 2, in second
        second()
      LINES
    tool.errors.ShapeError: two shapes differ
    and this is said of them"""


def test_of_a_long_message_the_first_line_and_the_last_exception_in_it_are_kept() -> None:
    text = WORKER.replace("LINES", "of code\n      " * 1000) + "\n" + "output " * 1000
    said = outcome.from_exception(RuntimeError(text))["error_desc"]
    beginning = "RuntimeError in a worker.\n…\ntool.errors.ShapeError: two shapes differ\n"
    assert said.startswith(beginning)
    crumb: Any = {"project": "lab/tool", "status": "F", "error_desc": said}
    assert message.fit(crumb)["error_desc"].startswith(beginning)


@pytest.mark.parametrize(
    "text",
    [
        WORKER,
        "no exception follows " * 100 + "Traceback (most recent call last):\n  File 1",
        "no traceback, but the word Traceback" * 100,
    ],
)
def test_another_message_is_kept_whole(text: str) -> None:
    assert outcome.from_exception(RuntimeError(text))["error_desc"] == text


def test_a_message_that_begins_with_its_traceback_keeps_the_exception() -> None:
    text = "Traceback (most recent call last):\n" + "  of code\n" * 1000 + "KeyError: 'bold'\n"
    assert outcome.from_exception(RuntimeError(text))["error_desc"] == "KeyError: 'bold'"


def _asked(handlers: Any) -> outcome.FindHandler:
    resolved = resolve_error_handlers(handlers)
    return lambda kind: find_handler(resolved, kind)


def _tell(_kind: object, message: str, _traceback: object) -> dict[str, str]:
    return {"error_desc": f"told: {message}"}


def test_a_handler_finds_the_exception_s_class_by_its_ancestors() -> None:
    found = outcome.from_exception(KeyError(1), _asked({"LookupError": _tell}))
    assert (found["error_type"], found["error_desc"]) == ("KeyError", "told: 1")


def test_a_handler_for_all_errors_is_not_asked_about_what_is_none() -> None:
    handlers = _asked({Exception: _tell, BaseException: _tell})
    assert outcome.from_exception(click.exceptions.Exit(0), handlers) == COMPLETED
    assert outcome.from_exception(KeyboardInterrupt(), handlers) == SUSPENDED


def test_a_handler_for_interruptions_describes_them() -> None:
    found = outcome.from_exception(KeyboardInterrupt("key"), _asked({KeyboardInterrupt: _tell}))
    assert found == {**SUSPENDED, "error_desc": "told: key"}


def test_a_handler_describes_what_is_handled_while_the_program_exits() -> None:
    error = raised(throw(KeyError(1)), throw(SystemExit(4)))
    found = outcome.from_exception(error, _asked({KeyError: _tell}))
    assert (found["status"], found["status_desc"]) == ("F", "Exited with code 4")
    assert (found["error_type"], found["error_desc"]) == ("KeyError", "told: 1")


def test_what_a_handler_says_of_it_goes_with_its_message_where_the_exit_is_told() -> None:
    error = raised(throw(KeyError(1)), throw(SystemExit(4)))
    described = {"status_desc": "Exception raised from node bold", "error_desc": "no file"}
    found = outcome.from_exception(error, _asked({KeyError: lambda *_: described}))
    assert found["status_desc"] == "Exited with code 4"
    assert found["error_desc"] == "Exception raised from node bold: no file"


def test_a_message_that_a_handler_leaves_out_is_not_filled_in() -> None:
    handlers = _asked({ValueError: lambda *_: {"status_desc": "Bad input"}})
    found = outcome.from_exception(ValueError("secret"), handlers)
    assert found == {"status": "F", "status_desc": "Bad input", "error_type": "ValueError"}


def test_a_handler_names_the_four_fields_of_an_outcome_and_no_others() -> None:
    handlers = _asked({ValueError: lambda *_: {"session_id": "x", "project": "y", "status": "S"}})
    assert set(outcome.from_exception(ValueError(), handlers)) == {
        "status",
        "status_desc",
        "error_type",
    }


def test_a_signal_is_told_with_the_batch_system_that_probably_sent_it() -> None:
    assert outcome.terminated("SIGTERM", "slurm")["status_desc"] == "Terminated (SIGTERM, slurm)"


def test_no_batch_system_sends_sigpipe() -> None:
    assert outcome.terminated("SIGPIPE", "slurm")["status_desc"] == "Terminated (SIGPIPE)"
