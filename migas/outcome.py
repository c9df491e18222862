"""How a run ended, as the four fields of a breadcrumb: a pure reading of what ended it.

Foreign classes (click's and typer's exits, the debugger's quit) are known by name and never
imported.
"""

from __future__ import annotations

import sys

from migas.breadcrumb import plain_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    Outcome = dict[str, Any]
    ErrorHandler = Callable[[Any, Any, Any], Mapping[str, Any]]
    FindHandler = Callable[[type[BaseException]], ErrorHandler | None]

_SUSPENSIONS = {
    ("builtins", "KeyboardInterrupt"),
    ("bdb", "BdbQuit"),
    ("click", "Abort"),
    ("typer", "Abort"),
    ("asyncio", "CancelledError"),
}


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
        scheduler: The batch system that probably sent it, or an empty text.
    """
    by = f"{signal_name}, {scheduler}" if scheduler else signal_name
    return {"status": "S", "status_desc": f"Terminated ({by})"}


def exited(code: object) -> Outcome:
    """The run asked for an exit, as by `sys.exit(code)` or by returning its exit code."""
    if code is None or (isinstance(code, int) and code == 0):
        return completed()
    outcome: Outcome = {"status": "F", "error_type": "SystemExit"}
    if isinstance(code, int):
        outcome["status_desc"] = f"Exited with code {int(code)}"
    else:
        # The interpreter prints any other object and exits with status 1.
        outcome["status_desc"] = "Exited with code 1"
        outcome["error_desc"] = plain_text(code)
    return outcome


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
    if isinstance(error, GeneratorExit):
        return completed()
    if isinstance(error, SystemExit):
        return _from_system_exit(error, find_handler)
    described = _ask_handler(error, find_handler)
    if described is not None:
        return described
    if _is_suspension(error):
        return suspended()
    code = _exit_code(error)
    if code == 0:
        return completed()
    return {
        "status": "F",
        "status_desc": "Errored" if code is None else f"Exited with code {code}",
        "error_type": type(error).__name__,
        "error_desc": _message(error),
    }


def _from_system_exit(error: SystemExit, find_handler: FindHandler | None) -> Outcome:
    outcome = exited(error.code)
    if outcome["status"] == "C":
        return outcome
    handled = error.__cause__ or error.__context__
    if handled is None or isinstance(handled, SystemExit | GeneratorExit):
        return outcome
    if _is_suspension(handled):
        return suspended()
    described = _ask_handler(handled, find_handler)
    if described is not None:
        return {**described, "status": "F", "status_desc": outcome["status_desc"]}
    return {**outcome, "error_type": type(handled).__name__, "error_desc": _message(handled)}


def _ask_handler(error: BaseException, find_handler: FindHandler | None) -> Outcome | None:
    if find_handler is None:
        return None
    handler = find_handler(type(error))
    if handler is None:
        return None
    try:
        described = dict(handler(type(error), plain_text(error), error.__traceback__))
    except Exception:  # noqa: BLE001  the program's own handler may raise anything
        return None
    outcome: Outcome = {
        "status": "F",
        "status_desc": "Errored",
        "error_type": type(error).__name__,
    }
    return {**outcome, **described}


def _is_suspension(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return all(_is_suspension(member) for member in error.exceptions)
    return any(
        (ancestor.__module__.partition(".")[0], ancestor.__name__) in _SUSPENSIONS
        for ancestor in type(error).__mro__
    )


def _exit_code(error: BaseException) -> int | None:
    try:
        code = error.exit_code  # type: ignore[attr-defined]
    except Exception:  # noqa: BLE001  a property of a foreign class may raise anything
        return None
    return int(code) if isinstance(code, int) else None


def _message(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        return _count_by_type(error)
    return plain_text(error)


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
