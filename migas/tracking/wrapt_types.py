"""wrapt's two wrapper types, without the rest of wrapt until somebody asks for it.

`import wrapt` costs a program 90 to 125 ms: it imports asyncio, inspect and importlib.metadata, of
which the types need nothing. They live in its C extension, and that imports in a few milliseconds
once there is a `wrapt` in `sys.modules`. So a module made from wrapt's own spec is put there, which
runs wrapt's own code as soon as anybody looks for a name in it. Whoever imports wrapt later finds
the whole of it, with the very same types.

Where any of this is not as expected, wrapt is imported as everybody does it.
"""

from __future__ import annotations

import os
import sys
from types import ModuleType

from migas import host, log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec
    from typing import Any

_NAME = "wrapt"


class _Deferred(ModuleType):
    """A module whose code runs when a name is looked for that is not there yet."""

    def __getattr__(self, name: str) -> Any:
        # One thread runs it while the others wait, and no fork may leave a child with half of it.
        with host.forks_held_off():
            if self.__class__ is _Deferred and not _is_running:
                _run(self)
        return object.__getattribute__(self, name)

    def __dir__(self) -> list[str]:
        self.__getattr__("__doc__")
        return list(ModuleType.__dir__(self))


_is_running = False


def _run(module: ModuleType) -> None:
    """Run wrapt's own code; what that raises is the importer's, and the next one tries again."""
    global _is_running  # noqa: PLW0603  names that its code looks for meanwhile are not there
    spec = module.__spec__
    if spec is None or spec.loader is None or "__version__" in vars(module):  # reloaded meanwhile
        module.__class__ = ModuleType
        return
    _is_running = True
    try:
        spec.loader.exec_module(module)
    finally:
        _is_running = False
    module.__class__ = ModuleType


def load() -> tuple[Any, Any]:
    """The types of a wrapped function, and of one that was taken from its instance or class."""
    if _NAME not in sys.modules and not os.environ.get("WRAPT_DISABLE_EXTENSIONS"):
        try:
            with host.forks_held_off():
                _defer(host.spec_of(_NAME))
                import wrapt._wrappers as types  # type: ignore[import-untyped]
            return types.FunctionWrapper, types.BoundFunctionWrapper
        except Exception as error:  # noqa: BLE001  whatever is unusual here, wrapt itself may know
            log.debug("wrapt is imported as a whole: %r", error)
            if isinstance(sys.modules.get(_NAME), _Deferred):
                del sys.modules[_NAME]
    import wrapt

    return wrapt.FunctionWrapper, wrapt.BoundFunctionWrapper


def _defer(spec: ModuleSpec) -> None:
    """Put a module whose code has not run where imports look first, unless one is there by now."""
    from _frozen_importlib import module_from_spec  # importlib.util has it, too, and costs more

    module = module_from_spec(spec)
    if type(module) is not ModuleType or not spec.submodule_search_locations:
        raise ImportError(f"{_NAME} comes in an unusual way: {spec!r}")
    module.__class__ = _Deferred
    sys.modules.setdefault(_NAME, module)
