"""A courier that is there before it is needed: started with a run, for a program that will wait.

At a run's end a courier would first have to start Python, import us and then urllib3, 100 to 250 ms
in all. This one does so while the program works. Then it waits for a word at its standard input,
whose other end the program holds. If that closes without one, the program has gone in another way
than by its end, and what is left of it is for a later courier, as it is without this one.

What it imports costs the program as little as can be: a thread of the lowest priority does it,
while the one that will be waited for keeps its own (on Linux each thread has one).
"""

from __future__ import annotations

import os
import sys
import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_LOWEST_PRIORITY = 19
_STDIN = 0
_STDOUT = 1


def main(arguments: Sequence[str], warm_seconds: float) -> int:
    """Wait for the word, and be a courier then.

    Args:
        arguments: The courier's; the word is more of them.
        warm_seconds: How long to wait. When it never comes there is nothing to send, or the run
            is so long that nobody sees what starting another one costs.

    Returns:
        Always 0: nobody looks.
    """
    threading.Thread(target=_prepare, name="migas-prepare", daemon=True).start()
    word = _word(warm_seconds)
    if word == "":
        return 0
    if word is None:
        # From here on the program sees that this one is gone. What it has just written, taking us
        # for alive, is sent all the same.
        os.dup2(os.open(os.devnull, os.O_RDWR), _STDOUT)
    from migas.courier import main as courier

    return courier.main([*arguments, *(word or "").split()])


def _prepare() -> None:
    """Import all that sending takes."""
    if sys.platform.startswith("linux"):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LOWEST_PRIORITY)

    import migas.courier.main
    import migas.transport.client  # noqa: F401


def _word(seconds: float) -> str | None:
    """The word, an empty one where the other end closed, or None when there was none in time."""
    import select

    is_there = select.select([_STDIN], [], [], seconds)[0]
    return os.read(_STDIN, 256).decode() if is_there else None
