"""The door that released clients' programs use: what describes an exception."""

from migas.tracking.handlers import (
    ERROR_PRESETS,
    find_handler,
    inspect_error,
    resolve_error_handlers,
    status_from_exception,
    status_from_signal,
    strip_filenames,
)

__all__ = [
    "ERROR_PRESETS",
    "find_handler",
    "inspect_error",
    "resolve_error_handlers",
    "status_from_exception",
    "status_from_signal",
    "strip_filenames",
]
