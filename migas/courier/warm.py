"""A courier that is there before it is needed: started with a run, for a program that will wait.

At a run's end a courier would first have to start Python, import us and then urllib3, 100 to 250 ms
in all. This one does so while the program works. Then it waits for a word at its standard input,
whose other end the program holds. If that closes without one, the program has gone in another way
than by its end, and what is left of it is for a later courier, as it is without this one.

It imports step by step and looks for the word in between. Where the program has but one processor
it sleeps between the steps for a multiple of what they took. A low priority would do the same, but
nobody may raise one again: on a busy machine the program would then wait for it in vain.
"""

from __future__ import annotations

import os
import time
from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from migas.transport.deadlines import Worker

_STEPS = (
    "migas.courier.main",
    "email.parser",
    "ssl",
    "http.client",
    "logging",
    "urllib3.util",
    "urllib3",
    "migas.transport.client",
    "encodings.idna",
)
"""All that sending takes, in parts of some 10 ms, and the rehearsal after them."""

_SLEEP_SHARE = 40.0
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
    deadline = time.monotonic() + warm_seconds
    word, worker = _word_while_importing(), None
    if word is None:
        worker = _rehearse()
        word = _word(deadline - time.monotonic())
    if word == "":
        return 0
    if word is None:
        # From here on the program sees that this one is gone. What it has just written, taking us
        # for alive, is sent all the same.
        os.dup2(os.open(os.devnull, os.O_RDWR), _STDOUT)
    from migas.courier import main as courier

    return courier.main([*arguments, *(word or "").split()], worker=worker)


def _word_while_importing() -> str | None:
    share = 0.0 if _processors() > 1 else _SLEEP_SHARE
    pause = 0.0
    for step in _STEPS:
        word = _word(pause)
        if word is not None:
            return word
        began = time.process_time()
        import_module(step)
        pause = (time.process_time() - began) * share
    return None


def _rehearse() -> Worker | None:
    """Do once what sending takes, as far as that needs neither a breadcrumb nor a server.

    Returns:
        The thread that will ask the server: beside a program that keeps all processors busy a new
        one may have to wait for milliseconds.
    """
    from migas.settings import permission
    from migas.transport import connections
    from migas.transport.deadlines import Worker

    connections.rehearse()
    permission.refusal_by_user()  # it is asked again when it matters, and found out sooner then
    try:
        return Worker()
    except RuntimeError:
        return None  # the system has no thread left now, but maybe then


def _word(seconds: float) -> str | None:
    """The word, an empty one where the other end closed, or None when there was none in time."""
    import select

    is_there = select.select([_STDIN], [], [], max(seconds, 0.0))[0]
    return os.read(_STDIN, 256).decode() if is_there else None


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
