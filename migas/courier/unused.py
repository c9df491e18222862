"""What urllib3 imports and a courier never uses: it is put off until somebody does use it.

Only for a process of our own. In a program this would be a guest who moves the furniture.
"""

from __future__ import annotations

import importlib
import sys
from importlib import import_module
from types import ModuleType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_METADATA = "importlib.metadata"


def put_off() -> None:
    """Have urllib3 find a stand-in for `importlib.metadata`, an eighth of what its import costs.

    It takes `version` from there, to ask for h2's when somebody switches HTTP/2 on.
    """
    if _METADATA in sys.modules:
        return
    stand_in = ModuleType(_METADATA)

    def real(name: str) -> Any:
        if name == "__path__":  # every `from … import` asks for it
            raise AttributeError(name)
        if sys.modules.get(_METADATA) is stand_in:
            del sys.modules[_METADATA]
        return getattr(import_module(_METADATA), name)

    def version(distribution_name: str) -> str:
        return str(real("version")(distribution_name))

    stand_in.__dict__.update(__getattr__=real, version=version)
    sys.modules[_METADATA] = stand_in
    importlib.metadata = stand_in  # as an import sets it
