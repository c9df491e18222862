"""The interpreter's own primitives, whatever the program has put in their place.

gevent and eventlet replace threads, locks and all that waits, so that other code of the program's
runs meanwhile, or waits for a signal that we keep from it; and there are tools that watch calls.
They do so inside the modules that a program sees. A second copy of such a module, made from its C
code, is nobody's but ours; eventlet even counts the locks of the first, and complains of ours.
"""

from __future__ import annotations

__all__ = ["RLock", "copy_of", "sleep", "thread"]

from _frozen_importlib import module_from_spec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _thread import RLock
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


thread = copy_of("_thread")
if not TYPE_CHECKING:
    RLock = thread.RLock


def sleep(seconds: float) -> None:
    """Wait, and let nothing of the program's run in this thread meanwhile, but signal handlers."""
    lock = thread.allocate_lock()
    lock.acquire()
    lock.acquire(timeout=max(seconds, 0.0))
