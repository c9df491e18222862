"""The `migas` logger, which costs a program nothing unless somebody listens.

`logging` takes 17 ms to import. A program that has not imported it has configured no handler, so
a message could reach nobody: it is dropped without the import, unless `MIGAS_LOG_LEVEL` asks.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import logging

_LOCK_SECONDS = 0.1
_LEVELS = {"DEBUG": 10, "INFO": 20, "WARNING": 30, "ERROR": 40, "CRITICAL": 50}


def debug(message: str, *values: object) -> None:
    """Say what went wrong on our side or on the network; nothing a user must act on."""
    _emit(_LEVELS["DEBUG"], message, values)


def warning(message: str, *values: object) -> None:
    """Say what the program's author got wrong, in a sentence that names the value."""
    _emit(_LEVELS["WARNING"], message, values)


def logger() -> logging.Logger:
    """The `migas` logger itself, for those who configure logging."""
    import logging

    return _configured(logging.getLogger("migas"))


def _emit(level: int, message: str, values: tuple[object, ...]) -> None:
    try:
        listening = _listening(level)
        if listening is not None:
            listening.log(level, message, *values)
    except Exception:  # noqa: BLE001  a log that cannot be written must not end a run
        return


def _listening(level: int) -> logging.Logger | None:
    """The logger, if it is to hear of a level.

    A fork takes the lock of `logging`, and then waits for threads of ours, or for what they hold,
    before it gives that back. A thread that had to say something first would wait for the fork, and
    both for ever. So it waits for a moment, and then says nothing.
    """
    if not os.environ.get("MIGAS_LOG_LEVEL") and "logging" not in sys.modules:
        return None
    import logging

    known = logging.root.manager.loggerDict.get("migas")
    # Mostly it has been asked for this level before, and then neither question takes the lock.
    if (
        isinstance(known, logging.Logger)
        and known.handlers
        and level in getattr(known, "_cache", ())
    ):
        return known if known.isEnabledFor(level) else None
    lock = getattr(logging, "_lock", None)
    if lock is not None and not lock.acquire(timeout=_LOCK_SECONDS):
        return None
    try:
        found = logger()
        return found if found.isEnabledFor(level) else None
    finally:
        if lock is not None:
            lock.release()


def _configured(found: logging.Logger) -> logging.Logger:
    import logging

    if not found.handlers:
        found.addHandler(logging.NullHandler())
        asked = os.environ.get("MIGAS_LOG_LEVEL")
        if asked:
            name = asked.strip().upper()
            level = int(name) if name.isdigit() else _LEVELS.get(name, logging.WARNING)
            handler = logging.StreamHandler()
            handler.setFormatter(logging.Formatter("migas %(levelname)s: %(message)s"))
            handler.setLevel(level)
            found.addHandler(handler)
            found.setLevel(level)
    return found
