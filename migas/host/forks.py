"""Keeping forks waiting for the moment in which a run's rooms are imported.

A child that is forked while another thread imports a module waits for that module for ever, as soon
as it imports it, too.
"""

from __future__ import annotations

import os

from migas.host.originals import RLock

_gate = RLock()
_is_watching = False


def held_off() -> RLock:
    """What to hold, as a context manager, while no fork may happen in another thread."""
    global _is_watching  # noqa: PLW0603  hooks cannot be removed, so they are installed once
    if not _is_watching:
        _is_watching = True
        come_first()
    return _gate


def come_first() -> None:
    """Have a fork wait here before it takes any lock of the modules that are imported by now.

    What it waits for may need such a lock itself: importing urllib3 needs that of `logging`.
    """
    if hasattr(os, "register_at_fork"):
        # The lock's own methods: no Ctrl-C can come between a hook and what it is to do.
        os.register_at_fork(
            before=_gate.acquire,
            after_in_parent=_gate.release,
            after_in_child=_gate._at_fork_reinit,  # type: ignore[attr-defined]  # noqa: SLF001
        )
