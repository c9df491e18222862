"""The one thread of a tracked program: it waits, and now and then does a small thing of ours.

Announcing a long run, touching its open record, starting a courier a little later: none of this
may happen in the program's own time. The thread exists only while something is due. It is stopped
and joined before a fork, because a live thread makes `os.fork()` warn on Python 3.12 and later and
could hold a lock that the child needs.
"""

from __future__ import annotations

import time

from migas import log
from migas.host.originals import RLock
from migas.host.threads import OwnThread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_JOIN_SECONDS = 1.0


class Watch:
    """Calls functions when their time comes, in one daemon thread."""

    def __init__(self) -> None:
        self._due: dict[object, tuple[float, Callable[[], None]]] = {}
        # Reentrant: a signal's handler may end a run while this very thread holds it.
        self._lock = RLock()
        self._thread: OwnThread | None = None
        self._wakes_at = float("inf")
        self._is_closed = False

    def call_later(self, key: object, seconds: float, function: Callable[[], None]) -> None:
        """Call a function once, after a while, unless it is cancelled.

        Args:
            key: Names the appointment; a new one of the same key replaces it.
            seconds: From now.
            function: Runs in the thread; what it raises is logged.
        """
        when = time.monotonic() + seconds
        with self._lock:
            self._due[key] = (when, function)
            self._ensure_thread()
            if when < self._wakes_at and self._thread is not None:
                self._thread.wake()

    def cancel(self, key: object) -> None:
        """Forget an appointment; an unknown key is fine."""
        with self._lock:
            self._due.pop(key, None)

    def ensure_running(self) -> None:
        """Start the thread again after a fork stopped it, when something is due."""
        if self._due and self._thread is None:
            with self._lock:
                self._ensure_thread()

    def pause(self) -> bool:
        """Stop the thread and wait until the system counts it no more; whether there was one."""
        thread = self._thread
        if thread is None or thread.is_current():
            return False
        with self._lock:
            self._thread = None
        thread.wake()
        thread.join(_JOIN_SECONDS)
        return True

    def close(self) -> None:
        """Stop for good, at the interpreter's end."""
        self._is_closed = True
        self.pause()

    def _ensure_thread(self) -> None:
        if self._thread is None and not self._is_closed and self._due:
            try:
                self._thread = OwnThread(self._serve)
            except RuntimeError as error:
                # The interpreter is shutting down, or the system has no thread left.
                log.debug("no thread can be started: %s", error)

    def _serve(self, here: OwnThread) -> None:
        while True:
            with self._lock:
                if self._thread is not here:
                    return
                if not self._due:
                    self._thread = None
                    return
                key, (when, function) = min(self._due.items(), key=lambda item: item[1][0])
                left = when - time.monotonic()
                self._wakes_at = when if left > 0 else float("inf")
                if left <= 0:
                    del self._due[key]
            if left > 0:
                here.wait(left)
                continue
            try:
                function()
            except Exception as error:  # noqa: BLE001  the thread must outlive our own mistakes
                log.debug("an appointment failed: %r", error)
