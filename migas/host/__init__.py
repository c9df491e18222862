"""The ground: this process and its machine, and what of ours nobody else replaces.

gevent and eventlet replace threads, locks and all that waits, so that other code of the program's
runs meanwhile, or waits for a signal that we keep from it; and there are tools that watch calls.
They do so inside the modules that a program sees. A second copy of such a module, made from its C
code, is nobody's but ours; eventlet even counts the locks of the first, and complains of ours.
"""

from __future__ import annotations

import os
import sys
from _frozen_importlib import module_from_spec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _thread import RLock as RLock
    from collections.abc import Callable
    from importlib.machinery import ModuleSpec
    from typing import Any


def copy_of(name: str) -> Any:
    """A module of the interpreter's written in C, as it was before anybody changed it.

    Args:
        name: The module's; one that does not care how often it is made.

    Returns:
        A copy, or the module itself on an interpreter that makes no second one.
    """
    module: Any = __import__(name)
    try:
        copy = module_from_spec(module.__spec__)
        module.__spec__.loader.exec_module(copy)
    except Exception:  # noqa: BLE001  interpreters differ in what they raise
        return module
    return copy


def spec_of(name: str) -> ModuleSpec:
    """Where a module is, found as an import finds it; nothing of it runs.

    Raises:
        ImportError: No finder knows.
    """
    for finder in sys.meta_path:
        spec = finder.find_spec(name, None, None)
        if spec is not None:
            return spec
    raise ImportError(f"No module named {name!r}")


own = copy_of("_thread")
"""`_thread`, as it was."""

if not TYPE_CHECKING:
    RLock = own.RLock


_ENVIRON = type(os.environ) if os.supports_bytes_environ else None


def variable(name: str) -> str | None:
    """What an environment variable holds by now, or None.

    A run asks for thirty that are hardly ever there, which costs `os.environ.get` five calls and an
    exception each, 60 µs in all: so they are looked for in the dict that it looks into.
    """
    environ = os.environ
    if type(environ) is not _ENVIRON:
        return environ.get(name)  # Windows, or what a test has put there
    value = environ._data.get(name.encode())  # type: ignore[attr-defined]  # noqa: SLF001
    return None if value is None else environ.decodevalue(value)


def variables(*names: str) -> tuple[object, ...]:
    """What some environment variables hold by now, only to be compared with what they held."""
    environ = os.environ
    if type(environ) is not _ENVIRON:
        return tuple(map(environ.get, names))
    return tuple(map(environ._data.get, map(str.encode, names)))  # type: ignore[attr-defined]  # noqa: SLF001


def has_variable(*names: str) -> bool:
    """Whether there is any of some environment variables, empty ones too."""
    environ = os.environ
    if type(environ) is not _ENVIRON:
        return any(name in environ for name in names)
    return not environ._data.keys().isdisjoint(map(str.encode, names))  # type: ignore[attr-defined]  # noqa: SLF001


def sleep(seconds: float) -> None:
    """Wait, and let nothing of the program's run in this thread meanwhile, but signal handlers."""
    lock = own.allocate_lock()
    lock.acquire()
    lock.acquire(timeout=max(seconds, 0.0))


def drop_own_frame(error: BaseException) -> None:
    """Take the frame that has just caught an exception, one of ours, out of its traceback."""
    if error.__traceback__ is not None:
        error.__traceback__ = error.__traceback__.tb_next


_gate = RLock()
_ATTEMPTS = 1000
_is_before_logging: bool | None = None


def forks_held_off() -> RLock:
    """What to hold, as a context manager, while no fork may happen in another thread.

    A child that is forked while another thread imports a module waits for that module for ever, as
    soon as it imports it, too.
    """
    if _is_before_logging is None or (not _is_before_logging and "logging" in sys.modules):
        come_first_at_forks()
    return _gate


def come_first_at_forks(prepare: Callable[[], None] | None = None) -> None:
    """Have a fork wait here before it takes any lock of the modules that are imported by now.

    What it waits for may need such a lock itself: importing urllib3 needs that of `logging`.

    Args:
        prepare: Is called by each fork from now on when nothing is being imported any more, before
            any of those locks is taken. It may not raise.
    """
    global _is_before_logging  # noqa: PLW0603  what has been registered stays so
    if not hasattr(os, "register_at_fork"):
        return
    logging = sys.modules.get("logging")
    is_there = logging is not None and not getattr(logging.__spec__, "_initializing", False)
    lock = getattr(logging, "_lock", _gate) if is_there else _gate
    for _ in range(_ATTEMPTS):
        # No other thread may be half through a fork, which would give back what it has not taken.
        # One that has taken the other lock may be waiting for the gate: it goes first.
        with _gate:
            if lock.acquire(blocking=False):
                try:
                    _register(prepare)
                    _is_before_logging = is_there
                finally:
                    lock.release()
                return
        if _gate._is_owned():  # type: ignore[attr-defined]  # noqa: SLF001
            break  # it would wait for what this thread does: another time
        sleep(0.001)
    if prepare is not None:
        os.register_at_fork(before=prepare)


def _register(prepare: Callable[[], None] | None) -> None:
    if prepare is not None:
        os.register_at_fork(before=prepare)  # the one that is registered last is called first
    # The lock's own methods: no Ctrl-C can come between a hook and what it is to do.
    os.register_at_fork(
        before=_gate.acquire,
        after_in_parent=_gate.release,
        after_in_child=_gate._at_fork_reinit,  # type: ignore[attr-defined]  # noqa: SLF001
    )
