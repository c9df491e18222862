"""Framework-specific failures: which function describes an exception that a framework raised.

A handler is a function of an exception's type, message and traceback that returns the fields of
a breadcrumb. Frameworks are known by the names of their exceptions and never imported.
"""

from __future__ import annotations

from migas.tracking.nipype import node_execution_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any, TypeAlias

    ErrorHandler: TypeAlias = Callable[[Any, Any, Any], Mapping[str, Any]]
    HandlerKey: TypeAlias = type[BaseException] | str
    Handlers: TypeAlias = dict[HandlerKey, ErrorHandler]
    HandlerSpec: TypeAlias = str | Mapping[Any, ErrorHandler]

ERROR_PRESETS: dict[str, Handlers] = {"nipype": {"NodeExecutionError": node_execution_error}}
"""Handlers by the name of their framework, as `error_handlers="nipype"` asks for them."""

# What `strip_filenames` has put in a path's place ever since it was released.
_REDACTED = "<redacted>"


def resolve_error_handlers(handlers: HandlerSpec | Sequence[HandlerSpec] | None) -> Handlers:
    """Merge what a program gave as its error handlers; called when a function is decorated.

    Args:
        handlers: None, a preset's name, a dict of exception class or class name to handler, or a
            list of names and dicts, in which a later one overrules an earlier one.

    Returns:
        A new dict of exception class, name or `module.Name` to handler.

    Raises:
        TypeError: If a handler is not callable, a key is no exception class and no text, or
            `handlers` is of another type.
        ValueError: If there is no preset of that name.
    """
    if handlers is None:
        return {}
    if isinstance(handlers, list | tuple):
        resolved: Handlers = {}
        for member in handlers:
            resolved.update(_resolve_one(member))
        return resolved
    return _resolve_one(handlers)


def find_handler(
    handlers: Mapping[Any, ErrorHandler], exception_type: type[BaseException]
) -> ErrorHandler | None:
    """The handler of an exception's class or of its nearest ancestor that has one.

    Args:
        handlers: What `resolve_error_handlers` returned.
        exception_type: The class of the exception.

    Returns:
        The handler, or None. Of one class's handlers the one kept under the class itself wins
        over the one under `module.Name`, and that over the one under its bare name.
    """
    if not handlers:
        return None
    for ancestor in exception_type.__mro__:
        full_name = f"{ancestor.__module__}.{ancestor.__qualname__}"
        for key in (ancestor, full_name, ancestor.__name__):
            handler = handlers.get(key)
            if handler is not None:
                return handler
    return None


def status_from_signal(signum: int) -> dict[str, str]:
    """The fields that say that a signal ended the run.

    Args:
        signum: A signal's number.

    Returns:
        `status` and `status_desc`, such as `Terminated (SIGTERM)`.
    """
    import signal

    try:
        name = signal.Signals(signum).name
    except ValueError:
        name = f"signal {signum}"
    return {"status": "S", "status_desc": f"Terminated ({name})"}


def inspect_error(
    error_funcs: HandlerSpec | Sequence[HandlerSpec] | None = None,
) -> dict[str, Any]:
    """The fields that say how the program stands: by the exception at hand, if there is one.

    That is the exception being handled, else the one that the interpreter reported last.

    Args:
        error_funcs: As for `resolve_error_handlers`.

    Returns:
        `status` and `status_desc`, and for failures `error_type` and `error_desc`.
    """
    import sys

    from migas.message.outcome import last_unhandled

    return status_from_exception(sys.exception() or last_unhandled(), error_funcs)


def status_from_exception(
    exc: BaseException | None,
    error_funcs: HandlerSpec | Sequence[HandlerSpec] | None = None,
) -> dict[str, Any]:
    """The fields that say that an exception ended the run, or that none did.

    Args:
        exc: The exception, or None.
        error_funcs: As for `resolve_error_handlers`.

    Returns:
        `status` and `status_desc`, and for failures `error_type` and `error_desc`.
    """
    from migas.message import outcome

    if exc is None:
        return outcome.completed()
    handlers = resolve_error_handlers(error_funcs)
    return outcome.from_exception(
        exc, lambda exception_type: find_handler(handlers, exception_type)
    )


def strip_filenames(text: str) -> str:
    """Take the paths out of a text, as handlers written for released clients ask for it.

    Returns:
        The text with `<redacted>` in every path's place; all else is redacted when it is sent.
    """
    from migas.message.redact.paths import redact_paths

    return redact_paths(text).replace("<path>", _REDACTED)


def _resolve_one(handlers: object) -> Handlers:
    if isinstance(handlers, str):
        if handlers not in ERROR_PRESETS:
            known = ", ".join(map(repr, ERROR_PRESETS))
            raise ValueError(f"error_handlers has no preset {handlers!r}; there is {known}")
        return dict(ERROR_PRESETS[handlers])
    from collections.abc import Mapping

    if not isinstance(handlers, Mapping):
        raise TypeError(
            "error_handlers must be a dict, a preset's name or a list of them,"
            f" not {type(handlers).__name__}"
        )
    for key, handler in handlers.items():
        is_class = isinstance(key, type) and issubclass(key, BaseException)
        if not is_class and not isinstance(key, str):
            raise TypeError(f"error_handlers takes exception classes and their names, not {key!r}")
        if not callable(handler):
            raise TypeError(f"error_handlers has {handler!r} for {key!r}, which is not callable")
    return dict(handlers)
