"""When this process sends a courier, and how long it waits for one at its end."""

from __future__ import annotations

import time

from migas import log
from migas.host.originals import RLock
from migas.settings import places, values

TYPE_CHECKING = False
if TYPE_CHECKING:
    from migas.delivery.spawn import DispatchedCourier
    from migas.delivery.timer import Watch
    from migas.spool.record import Record
    from migas.spool.spool import Spool

COURIER_SECONDS = 10.0
"""A process starts at most one courier in this time, and one more at its end."""

RUNNING_SECONDS = 3.0
"""For so long after an `R` its end may have to wait for the server's second to be over."""

_RUNNING_GRACE = 0.3
_EARLY_SECONDS = 4.0
"""What a courier has whom the program does not wait for yet: to hold an `R`, send it, and go."""


class Couriers:
    """The couriers of this process.

    Args:
        watch: Starts the one that must wait a little.
    """

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        # Reentrant: a signal's handler may end a run while this very thread holds it.
        self._lock = RLock()
        self._attended: list[DispatchedCourier] = []
        self._started = float("-inf")
        self._running_at = float("-inf")
        self._is_owed = False
        self._is_exiting = False

    def send(self, payload: Record | None = None) -> bool:
        """Start one now, or a little later when one was started a moment ago.

        Args:
            payload: A record that could not be written down, to be handed over.

        Returns:
            Whether one was started now, and so has what was handed over.
        """
        is_started = False
        with self._lock:
            left = self._started + COURIER_SECONDS - time.monotonic()
            if payload is not None or left <= 0 or self._is_exiting:
                is_started = self._start(payload)
                if self._is_exiting:
                    self._wait()  # whoever ends a run this late has no later moment
            elif not self._is_owed:
                self._is_owed = True
                self._watch.call_later(self, left, self._start_owed)
        return is_started

    def running_was_written(self) -> None:
        """Note that some session's `R` is on its way: its end keeps a second's distance."""
        self._running_at = time.monotonic()

    def may_start(self, payload: Record | None = None) -> bool:
        """Whether one could do anything now: none is started for a server that was unreachable."""
        if values.delivery() == "spool":
            return False  # and nothing is imported that did not come with the run's rooms
        from migas.delivery import spawn
        from migas.spool.servers import Backoff

        if not spawn.can_start():
            return False
        try:
            root = places.state_folder()
        except RuntimeError:
            return True  # what cannot be written down can only be handed over
        # For what no disk took this is the only chance: it respects a plea for silence, no more.
        by_hand = payload is not None
        return Backoff(root).seconds_left(values.settings().endpoint, by_hand=by_hand) <= 0

    def flush(self, spool: Spool, timeout: float) -> bool:
        """Have everything that waits sent now.

        Args:
            spool: Where it waits.
            timeout: Seconds to wait.

        Returns:
            Whether nothing of this user's waits any more.
        """
        from migas.delivery import spawn
        from migas.spool.lease import Lease

        deadline = time.monotonic() + timeout
        courier = None
        if spawn.can_start():
            courier = spawn.dispatch(attended_for=timeout, by_hand=True)
        if courier is not None:
            courier.wait(timeout)
            courier.forget()
        else:
            from migas.courier.main import flush

            flush(timeout, spool.root)
        lease = Lease(spool.root)
        while lease.is_held() and time.monotonic() < deadline:
            time.sleep(0.02)  # another one is at work, and will not stop before the end
        counts = spool.count()
        return not counts["ready"] and not counts["sending"]

    def at_exit(self) -> None:
        """Start the one that is still owed, and give all their moment where they have only that."""
        with self._lock:
            self._is_exiting = True
            if self._is_owed:
                self._start(None)
            self._wait()

    def leave_to_parent(self) -> None:
        """In a forked child: let go of the parent's."""
        for courier in self._attended:
            courier.forget()

    def _start_owed(self) -> None:
        with self._lock:
            if self._is_owed:
                self._start(None)

    def _start(self, payload: Record | None) -> bool:
        if not self.may_start(payload):
            return False
        from migas.delivery import spawn
        from migas.spool.record import encode

        attended = is_waited_for()
        self._is_owed = False
        self._started = time.monotonic()
        seconds = self._exit_seconds() if self._is_exiting else _EARLY_SECONDS
        courier = spawn.dispatch(
            None if payload is None else encode(payload),
            attended_for=seconds if attended else None,
            patience=values.settings().exit_timeout + _RUNNING_GRACE / 2 if attended else None,
            at_exit=attended and self._is_exiting,
        )
        if courier is None:
            log.debug("what waits is left to a later courier")
            self._is_owed = not self._is_exiting
        elif attended:
            self._forget_ended()
            self._attended.append(courier)
        return courier is not None

    def _forget_ended(self) -> None:
        for courier in [one for one in self._attended if one.wait(0.0)]:
            courier.forget()
            self._attended.remove(courier)

    def _wait(self) -> None:
        """Give each its moment, one for all together, and end it then."""
        deadline = time.monotonic() + self._exit_seconds()
        couriers, self._attended = self._attended, []
        for courier in couriers:
            has_ended = False
            try:
                has_ended = courier.wait(deadline - time.monotonic())
            finally:  # also when Ctrl-C says that nobody wants to wait
                if not has_ended:
                    courier.kill()
                courier.forget()

    def _exit_seconds(self) -> float:
        """How long the program waits at its end, a little longer where an `R` is just sent."""
        is_near = time.monotonic() - self._running_at < RUNNING_SECONDS
        return values.settings().exit_timeout + (_RUNNING_GRACE if is_near else 0.0)


def is_waited_for() -> bool:
    """Whether a courier has only the moment that the program waits for it at its end."""
    from migas.host import environment

    mode = values.delivery()
    return mode == "inline" or (mode == "auto" and environment.is_short_lived())
