"""How a run ended, as the four fields of a breadcrumb: a pure reading of what ended it.

Foreign classes (click's and typer's exits, the debugger's quit, trio's cancellation) are known by
name and never imported.
"""

from __future__ import annotations

import os
import sys

from migas import log
from migas.message import PROCESS_FIELDS, STATUSES, plain_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

    Outcome = dict[str, Any]
    ErrorHandler = Callable[[Any, Any, Any], Mapping[str, Any]]
    FindHandler = Callable[[type[BaseException]], ErrorHandler | None]

_CANCELLATIONS = {
    ("asyncio", "CancelledError"),
    ("concurrent", "CancelledError"),
    ("trio", "Cancelled"),
    ("curio", "TaskCancelled"),
    ("curio", "TimeoutCancellationError"),
    ("greenlet", "GreenletExit"),
    ("twisted", "CancelledError"),
}
"""What stops a task from outside, by its package and name; anyio raises what it runs on has."""

_SUSPENSIONS = _CANCELLATIONS | {
    ("builtins", "KeyboardInterrupt"),
    ("bdb", "BdbQuit"),
    ("click", "Abort"),
    ("typer", "Abort"),
}
_BROKEN_PIPE = {("builtins", "BrokenPipeError")}
_STATUS_WORDS = {word.lower() for word in STATUSES}
_MAX_BEHIND = 8
"""Of exceptions that were each raised while another was handled, how many are looked through."""


class Verdict:
    """What decides how a run ended: its program's word, a signal, what left the block."""

    __slots__ = ("_arrived", "_said")

    def __init__(self) -> None:
        self._said: Outcome | None = None
        self._arrived: tuple[str, tuple[int, str, str]] | None = None

    @property
    def is_said(self) -> bool:
        """Whether the program itself has said how the run ends."""
        return self._said is not None

    def say(self, said: Outcome) -> None:
        """Take the program's own word, the last one if there are several."""
        self._said = said

    def signal_arrived(self, name: str, error: BaseException) -> None:
        """Note what a signal's handler raised: if that ends the run, the signal ended it."""
        self._arrived = (name, fingerprint(error))

    def reached(
        self, error: BaseException | None, description: str, find_handler: FindHandler | None
    ) -> Outcome:
        """How the run ended.

        Args:
            error: What left it, if anything did.
            description: What is said of a run that completed.
            find_handler: Finds the function that describes an exception's type.

        Returns:
            The exception's outcome, unless the program's word is of a failure or the exception is
            no failure itself.
        """
        said = self._said
        if error is None:
            return said or completed(description)
        try:
            found = self._found_in(error, find_handler)
        except Exception as failure:  # noqa: BLE001  a hostile class must not cost us the end
            log.debug("an exception could not be read: %r", failure)
            found = failed("Errored")
        if said is None:
            return found
        if found["status"] == "C" or said["status"] == "F":
            return {**found, **said} if found["status"] == "F" else said
        return found

    def _found_in(self, error: BaseException, find_handler: FindHandler | None) -> Outcome:
        if self._arrived is not None:
            name, mark = self._arrived
            if is_made_of(error, mark):
                from migas.host import environment

                return terminated(name, environment.scheduler())
        return from_exception(error, find_handler)


def completed(description: str = "Completed") -> Outcome:
    """The run did what it was meant to do."""
    return {"status": "C", "status_desc": description}


def suspended() -> Outcome:
    """Somebody stopped the run: it neither failed nor completed."""
    return {"status": "S", "status_desc": "Suspended"}


def failed(description: str) -> Outcome:
    """The run's own author says that it failed."""
    return {"status": "F", "status_desc": description}


def terminated(signal_name: str, scheduler: str = "") -> Outcome:
    """A signal ended the run.

    Args:
        signal_name: Such as `SIGTERM`.
        scheduler: The batch system that probably sent it, or an empty text. It never counts for
            SIGPIPE, which comes of what the process itself writes.
    """
    by = signal_name if not scheduler or signal_name == "SIGPIPE" else f"{signal_name}, {scheduler}"
    return {"status": "S", "status_desc": f"Terminated ({by})"}


def exited(code: object) -> Outcome:
    """The run asked for an exit, as by `sys.exit(code)` or by returning its exit code."""
    status = exit_status(code) if isinstance(code, int) else 1
    if code is None or status == 0:
        return completed()
    outcome: Outcome = {
        "status": "F",
        "status_desc": f"Exited with code {status}",
        "error_type": "SystemExit",
    }
    if not isinstance(code, int):
        # The interpreter prints any other object and exits with status 1.
        outcome["error_desc"] = plain_text(code)
    return outcome


def exit_status(code: int) -> int:
    """The exit status that the system sees when a program exits with a code.

    On POSIX that is the lowest byte of it, as of -1 for what is no C long (exit(3)).
    """
    code = int(code)
    if os.name != "posix":
        return code
    return (code if -(2**63) <= code < 2**63 else -1) & 0xFF


def from_exception(error: BaseException, find_handler: FindHandler | None = None) -> Outcome:
    """What an exception that left the program says about how the run ended.

    Args:
        error: The exception; neither it nor its traceback is kept.
        find_handler: Finds the function that describes exceptions of a class, as the program's
            `error_handlers` say, or None. A handler that fails or answers with anything but a
            mapping is passed over.

    Returns:
        `status` and `status_desc`, and for failures `error_type` and `error_desc`.
    """
    if isinstance(error, GeneratorExit) or _closes_a_generator(error):
        return completed()
    if isinstance(error, SystemExit):
        return _from_system_exit(error, find_handler)
    code = _exit_code(error)
    if code == 0:
        outcome = completed()
    elif stopped := _stopped(error) or (code is not None and _stopped_before(error)):
        outcome = stopped
    else:
        outcome = {
            "status": "F",
            "status_desc": "Errored" if code is None else f"Exited with code {code}",
            "error_type": type(error).__name__,
            "error_desc": _message(error),
        }
    return _as_handler_says(error, find_handler, outcome)


def _from_system_exit(error: SystemExit, find_handler: FindHandler | None) -> Outcome:
    outcome = exited(error.code)
    if outcome["status"] == "C":
        return outcome
    if stopped := _stopped_before(error) or _stopped_under_click(error):
        return stopped
    handled = _handled_by(error)
    if handled is None or isinstance(handled, SystemExit | GeneratorExit):
        return outcome
    if isinstance(error.code, int):
        outcome |= {"error_type": type(handled).__name__, "error_desc": _message(handled)}
    described = _as_handler_says(handled, find_handler, outcome)
    said, kept = described["status_desc"], outcome["status_desc"]
    if said != kept:
        # Its place is taken: what it names, as a node of a workflow, goes with the message.
        more = described.get("error_desc")
        described["error_desc"] = f"{said}: {more}" if more else said
    return {**described, "status": "F", "status_desc": kept}


def _as_handler_says(
    error: BaseException, find_handler: FindHandler | None, outcome: Outcome
) -> Outcome:
    """The outcome as the program's own handler describes it, if one is meant for this error."""
    if find_handler is None:
        return outcome
    kind = type(error)
    handler = find_handler(kind)
    if handler is None:
        return outcome
    if outcome["status"] != "F" and handler is find_handler(kind.__mro__[1]):
        return outcome  # it describes errors in general: a click Exit(0) is none
    try:
        told = dict(handler(kind, plain_text(error), error.__traceback__))
        described = {name: told[name] for name in PROCESS_FIELDS if told.get(name) is not None}
        if str(described.get("status", "F")).lower() not in _STATUS_WORDS:
            del described["status"]
    except KeyboardInterrupt:
        raise
    except BaseException as failure:  # noqa: BLE001  a handler may even call sys.exit()
        log.debug("the error handler for %s failed: %r", kind.__name__, failure)
        return outcome
    # A message that the handler leaves out may be left out for a reason.
    return {**{name: outcome[name] for name in outcome if name != "error_desc"}, **described}


def _handled_by(error: BaseException) -> BaseException | None:
    """The exception during whose handling this one was raised."""
    return error.__context__ if error.__cause__ is None else error.__cause__


def _behind(error: BaseException) -> Iterator[BaseException]:
    """What was being handled when an exception was raised, what was when that was, and so on."""
    behind = _handled_by(error)
    for _step in range(_MAX_BEHIND):
        if behind is None:
            return
        yield behind
        behind = _handled_by(behind)


def _stopped(error: BaseException) -> Outcome | None:
    """The outcome that an exception means if it says that the run was stopped, else None."""
    if _is_one_of(_SUSPENSIONS, error):
        return suspended()
    return _left_by_reader() if _is_one_of(_SUSPENSIONS | _BROKEN_PIPE, error) else None


def _stopped_before(error: BaseException) -> Outcome | None:
    """The same of what was turned into exits, as typer makes an `Exit(130)` of a Ctrl-C."""
    for behind in _behind(error):
        if stopped := _stopped(behind):
            return stopped
        if not isinstance(behind, SystemExit) and _exit_code(behind) is None:
            return None
    return None


def _stopped_under_click(error: SystemExit) -> Outcome | None:
    """The same where click made this exit.

    Since its version 8.5 it exits when the exception is handled already and has left no trace but
    this: which function was to report it, and a standard output that hides its being broken.
    """
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    if traceback is None or traceback.tb_frame.f_globals.get("__name__") != "click.core":
        return None
    report = traceback.tb_frame.f_locals.get("report")
    if getattr(report, "__name__", None) == "_echo_aborted":
        return suspended()
    return _left_by_reader() if type(sys.stdout).__name__ == "_PacifyFlushWrapper" else None


def _left_by_reader() -> Outcome | None:
    """The outcome of a run whose standard output nobody reads any more, as in `tool | head`.

    Python ignores SIGPIPE and raises an exception in its place, which any other pipe or connection
    may raise as well.
    """
    from migas.host import files

    return terminated("SIGPIPE") if files.standard_output_is_broken() else None


def _is_one_of(names: set[tuple[str, str]], error: BaseException) -> bool:
    """Whether an exception, or each of a group, is of a class of that package and name."""
    if isinstance(error, BaseExceptionGroup):
        return all(_is_one_of(names, member) for member in error.exceptions)
    return any(
        (str(ancestor.__module__).partition(".")[0], ancestor.__name__) in names
        for ancestor in type(error).__mro__
    )


def _closes_a_generator(error: BaseException) -> bool:
    """Whether a cancellation is how an asynchronous generator learns that it was left early.

    Who leaves one drops it, and its event loop closes it in a task. A loop that ends by then
    cancels that task, before it begins or while the generator cleans up.
    """
    if not _is_one_of(_CANCELLATIONS, error):
        return False
    if any(isinstance(behind, GeneratorExit) for behind in _behind(error)):
        return True
    try:
        task = sys.modules["asyncio"].current_task()
        return type(task.get_coro()).__name__ == "async_generator_athrow"
    except (AttributeError, KeyError, RuntimeError):
        return False  # there is no such task, or no loop at all


def _exit_code(error: BaseException) -> int | None:
    try:
        code = error.exit_code  # type: ignore[attr-defined]
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001  a property of a foreign class may raise anything
        return None
    return exit_status(code) if isinstance(code, int) else None


def fingerprint(error: BaseException) -> tuple[int, str, str]:
    """What recognises an exception later without keeping a reference to it."""
    return id(error), type(error).__name__, plain_text(error)


def is_made_of(error: BaseException, mark: tuple[int, str, str]) -> bool:
    """Whether an exception is a certain one, or was raised while that one was handled."""
    return any(fingerprint(made_of) == mark for made_of in (error, *_behind(error)))


def _message(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        return _count_by_type(error)
    text = plain_text(error)
    if "Traceback" not in text:
        return text
    from migas.message.excerpt import excerpt

    return excerpt(text)


def _count_by_type(group: BaseExceptionGroup[BaseException]) -> str:
    counts: dict[str, int] = {}
    waiting: list[BaseException] = [group]
    while waiting:
        member = waiting.pop(0)
        if isinstance(member, BaseExceptionGroup):
            waiting.extend(member.exceptions)
        else:
            name = type(member).__name__
            counts[name] = counts.get(name, 0) + 1
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def last_unhandled() -> BaseException | None:
    """The exception that the interpreter has just reported as unhandled, at exit.

    Returns:
        None when the program ended without one; a `SystemExit` is never recorded there.
    """
    error = getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)
    return error if isinstance(error, BaseException) else None
