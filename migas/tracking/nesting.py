"""Runs inside runs, and who else speaks for one: one process does, the one that opened it.

"Inside" is a matter of context: of the task or the thread, not of time. Workers of a pool and
programs that a tracked program starts for itself stay silent.
"""

from __future__ import annotations

import contextvars
import os
import sys
import time

from migas import host
from migas.host import process
from migas.settings import places
from migas.spool import Spool, layout
from migas.spool.record import InvalidRecordError, OpenEntry, place_key

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Protocol, TypeVar

    class Run(Protocol):
        """What is to be known of a run to say who speaks for it."""

        @property
        def place(self) -> Place:
            """Where it stands."""

        @property
        def session_id(self) -> str:
            """What it is called on the wire."""

        @property
        def project(self) -> str:
            """`owner/repo`."""

        @property
        def version(self) -> str:
            """The project's version."""

        @property
        def is_open(self) -> bool:
            """Whether it has begun and not ended."""

    R = TypeVar("R", bound=Run)


class Place:
    """Where a run stands among the others of its context.

    Args:
        run: The run.

    Attributes:
        parent: The run that it began inside of, or None.
    """

    __slots__ = ("_outer", "_run", "parent")

    def __init__(self, run: Run) -> None:
        self._run: Run | None = run
        self.parent: Run | None = None
        self._outer: Place | None = None

    def begin(self) -> None:
        """Take the run that is current for the parent, and be current from now on."""
        self.parent = parent = current()
        if parent is not None:
            # Runs that overlap without end must not keep all that ever were.
            parent.place.parent = _nearest_open(parent.place.parent)
        self.enter()

    def enter(self) -> None:
        """Make this the current run of the context, as while a generator's body runs."""
        outer = _current.get()
        if outer is not self:
            self._outer = outer
            _current.set(self)

    def leave(self) -> None:
        """Make the run that was current before current again."""
        if _current.get() is self:
            outer, self._outer = self._outer, None
            _current.set(outer)

    def close(self) -> None:
        """Leave for good: whoever still finds this place is inside of what the run was inside of.

        The run itself is let go, so that it needs no collector of cycles when it is done with.
        """
        self.leave()
        self._outer = self._run = None

    def has_speaker(self) -> bool:
        """Whether another run already speaks for what this one would."""
        run, parent = self._run, self.parent
        if run is None:
            return False
        here = run.project, run.version
        while parent is not None:
            if (parent.project, parent.version) == here:
                return True
            parent = _nearest_open(parent.place.parent)
        with host.forks_held_off():
            return is_pool_worker() or _ancestor_speaks_for(run.project)


_current: contextvars.ContextVar[Place | None] = contextvars.ContextVar("migas", default=None)


def current() -> Run | None:
    """The run that this context is inside of, or None."""
    place = _current.get()
    return None if place is None else _nearest_open(place._run or place.parent)  # noqa: SLF001


def innermost(runs: Iterable[R]) -> R | None:
    """The one of some runs that this context is inside of, the innermost if of several."""
    by_place = {run.place: run for run in runs}
    place = _current.get()
    while place is not None and place not in by_place:
        place = place._outer  # noqa: SLF001
    return None if place is None else by_place[place]


def _nearest_open(run: Run | None) -> Run | None:
    """A run or the nearest that it is inside of that is still open: an ended one is no parent."""
    while run is not None and not run.is_open:
        run = run.place.parent
    return run


def is_pool_worker() -> bool:
    """Whether this process is a worker of `multiprocessing`, however it was started."""
    multiprocessing = sys.modules.get("multiprocessing.process")
    return multiprocessing is not None and multiprocessing.parent_process() is not None


_BELIEVED_SECONDS = 0.05
"""How long it is believed that nobody else here has an open run. One that starts us has opened its
own before that; what it says to a program that was there takes longer than from run to run."""

_last_look: tuple[tuple[object, ...], float] = ((), 0.0)


def _ancestor_speaks_for(project: str) -> bool:
    """Whether a program that started this one has an open run of the same project."""
    global _last_look  # noqa: PLW0603  what many runs in a moment believe
    asked = (os.getpid(), *host.variables("MIGAS_STATE_DIR", "XDG_STATE_HOME", "HOME"))
    now = time.monotonic()
    if _last_look[0] == asked and now < _last_look[1]:
        return False
    spool = Spool(places.state_folder())
    # Ten thousand runs may be open in a home that a cluster shares: their names are not read.
    here = f"-{place_key(process.facts())}-"
    names = [name for name in spool.names(layout.OPEN) if here in name]
    if not names:
        _last_look = asked, now + _BELIEVED_SECONDS
        return False
    above = dict(process.ancestors())
    for entry in filter(None, map(OpenEntry.parse, names)):
        if above.get(entry.pid) != entry.started:
            continue
        try:
            record = spool.read(spool.folder(layout.OPEN, entry.name))
        except (OSError, InvalidRecordError):
            continue
        if record["breadcrumb"]["project"] == project:
            return True
    return False
