"""What is imported for a sending and hardly ever used: it is put off until somebody does use it.

Only for a process of our own. In a program this would be a guest who moves the furniture.
"""

from __future__ import annotations

import re
import sys
from importlib import import_module
from types import ModuleType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

# Whoever imports them there only looks into them in functions that a sending does not call.
_MODULES = (
    "calendar",
    "email.header",
    "hashlib",
    "hmac",
    "importlib.metadata",
    "ipaddress",
    "random",
    "traceback",
)
_TAKEN = {
    "hashlib": ("md5", "sha1", "sha256"),
    "importlib.metadata": ("version",),
    "ipaddress": ("IPv4Address", "IPv6Address"),
}
"""What is taken out of them by name while importing, only to be called some day or to annotate."""

_PATTERNS_OF = ("encodings.idna", "logging", "string", "urllib3.util.url")
"""Who makes regular expressions of which a sending uses few, and uses them by their methods."""

# A server compresses nothing for whom it has not promised to understand that.
_ABSENT = ("brotli", "brotlicffi", "zstandard", "backports.zstd", "compression.zstd")


def put_off() -> None:
    """Have all that is imported from now on find stand-ins, which load the real at their first use.

    That takes a fifth off what a courier needs to be ready.
    """
    for name in _MODULES:
        if name not in sys.modules:
            _put_off(name, _TAKEN.get(name, ()))
    for name in _ABSENT:
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]  # an import of it fails at once
    re.compile = _compile_later


def _put_off(name: str, functions: Sequence[str]) -> None:
    stand_in = ModuleType(name)

    def real(attribute: str) -> Any:
        if attribute == "__path__":  # every `from … import` asks for it
            raise AttributeError(attribute)
        if sys.modules.get(name) is stand_in:
            del sys.modules[name]
        module = import_module(name)
        # Whoever looks a class up here may ask next whether something is one of its objects.
        vars(stand_in).update({function: getattr(module, function) for function in functions})
        return getattr(module, attribute)

    def later(function: str) -> Any:
        def loaded(*values: Any, **named: Any) -> Any:
            return real(function)(*values, **named)

        return loaded

    vars(stand_in).update({function: later(function) for function in functions}, __getattr__=real)
    sys.modules[name] = stand_in
    package, _, child = name.rpartition(".")
    if package:
        setattr(import_module(package), child, stand_in)  # as an import does


_compile = re.compile


def _compile_later(pattern: Any, flags: Any = 0) -> Any:
    is_put_off = sys._getframe(1).f_globals.get("__name__") in _PATTERNS_OF  # noqa: SLF001
    return _Pattern(pattern, flags) if is_put_off else _compile(pattern, flags)


class _Pattern:
    """A regular expression that is compiled when it is used.

    Args:
        said: What `re.compile` got.
    """

    def __init__(self, *said: Any) -> None:
        self._said = said

    def __getattr__(self, name: str) -> Any:
        found = getattr(_compile(*self._said), name)
        setattr(self, name, found)
        return found
