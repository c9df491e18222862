"""When this process sends a courier, and how long it waits for one at its end."""

from __future__ import annotations

import os
import time

from migas import host, log
from migas.host import environment
from migas.settings import places, values

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from migas.delivery.courier_thread import CourierThread, Errand
    from migas.delivery.spawn import DispatchedCourier
    from migas.host.threads import Watch
    from migas.settings import Delivery
    from migas.spool import Spool
    from migas.spool.record import Record

COURIER_SECONDS = 10.0
"""A process starts at most one courier in this time, and one more at its end."""

RUNNING_SECONDS = 3.0
"""For so long after an `R` its end may have to wait for the server's second to be over."""

_RUNNING_GRACE = 0.3
_ATTEMPTS = 3  # Ctrl-C may come while a fork waits
_EARLY_SECONDS = 4.0
"""What a courier has whom the program does not wait for yet: to hold an `R`, send it, and go."""

WARM_SECONDS = 15.0
"""For so long a courier waits for a run's end, or for its `R`. Starting another one costs a longer
run nothing that anybody sees, and no process of ours is there for hours."""


class Couriers:
    """The couriers of this process.

    Args:
        watch: Starts the one that must wait a little.
    """

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._pid = os.getpid()
        # Reentrant: a signal's handler may end a run while this very thread holds it.
        self._lock = host.RLock()
        self._attended: list[DispatchedCourier | Errand] = []
        self._warm: DispatchedCourier | None = None
        self._thread: CourierThread | None = None
        self._spent = 0.0
        self._started = float("-inf")
        self._running_at = float("-inf")
        self._is_owed = False
        self._is_exiting = False

    def run_opened(self, mode: Delivery, has_left: Callable[[], bool]) -> None:
        """Have ready what the end of a run takes, where the program will wait for it.

        Args:
            mode: The delivery in force.
            has_left: Says whether earlier runs may have left something to be sent.
        """
        with self._lock:
            kind = _kind_of_way(mode)
            if kind == "thread":
                self._begin_thread(has_left)
            elif kind == "none" or self._is_exiting or os.name != "posix":
                return
            elif _is_inline(mode):
                self._warm_up()

    def _begin_thread(self, has_left: Callable[[], bool]) -> None:
        """Where no courier can be a process, have what earlier runs left sent, once."""
        if self._thread is not None:
            return
        self._ensure_thread()
        if has_left() and self.may_start() and not environment.is_array_task():
            self._attend(self._dispatch(None))
            self._spent = 0.0  # at the end of each run it might not leave a moment for sending

    def _ensure_thread(self) -> None:
        if self._thread is not None:
            return
        # Now rather than when the thread needs it: that may be while the program begins to fork,
        # and then only the second half of what it has done at a fork would be done.
        import logging  # noqa: F401

        # Forks take the lock of `logging`, without which neither urllib3 nor the thread can go on
        # to its end as soon as it has something to say: it is stopped before they do.
        host.come_first_at_forks(self._pause_first)
        with host.forks_held_off():
            from migas.delivery.courier_thread import CourierThread

        self._thread = CourierThread()
        # Also where nothing is sent now: at the end it might be too late to start it.
        self._thread.ensure_running()

    def _warm_up(self) -> None:
        """Start a courier that waits for the end of a run, unless one does."""
        if self._warm is not None and not self._warm.wait(0.0):
            return
        self.dismiss()
        if self.may_start():
            from migas.delivery import spawn

            self._warm = spawn.dispatch(
                spawn.find_way(), patience=_patience(), warm_for=WARM_SECONDS
            )

    def dismiss(self) -> None:
        """End the one that waits for a word: there is nothing for it to do."""
        warm, self._warm = self._warm, None
        if warm is not None:
            warm.kill()

    def ensure_running(self) -> None:
        """Start the thread again after a fork stopped it, where there was one."""
        if self._thread is not None:
            self._thread.ensure_running()

    def pause(self) -> None:
        """Stop the thread before a fork; what interrupts this leaves the rest to the next call."""
        if self._thread is not None:
            self._thread.pause()

    def resume(self) -> None:
        """After a fork: go on with what it has broken off."""
        if self._thread is not None:
            self._thread.resume()

    def _pause_first(self) -> None:
        if os.getpid() != self._pid:
            return  # hooks are inherited, threads and what they held are not
        for _ in range(_ATTEMPTS):
            try:
                self._watch.pause()  # it sends couriers
                self.pause()
                return
            except BaseException as error:  # noqa: BLE001  the interpreter would print it
                log.debug("the threads could not be stopped before a fork: %r", error)

    def is_waited_for(self) -> bool:
        """Whether a courier has only the moment that the program waits for it at its end."""
        return _is_inline(values.delivery()) or self._is_own_courier()

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
        if _kind_of_way() == "none":
            return False
        from migas.spool.servers import Backoff

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
        from migas.spool.lease import Lease

        deadline = time.monotonic() + timeout
        courier = None
        if _kind_of_way() == "process":
            from migas.delivery import spawn

            courier = spawn.dispatch(spawn.find_way(), attended_for=timeout, by_hand=True)
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
            self.dismiss()
            self.ensure_running()  # else nobody does what a fork has put off
            self._wait()

    def leave_to_parent(self) -> None:
        """In a forked child: let go of the parent's."""
        for courier in (*self._attended, self._warm):
            if courier is not None:
                courier.forget()

    def _start_owed(self) -> None:
        with self._lock:
            if self._is_owed:
                self._start(None)

    def _start(self, payload: Record | None) -> bool:
        if not self.may_start(payload):
            return False
        self._is_owed = False
        self._started = time.monotonic()
        courier = self._dispatch(payload)
        if courier is None:
            log.debug("what waits is left to a later courier")
            self._is_owed = not self._is_exiting
        elif self.is_waited_for():
            self._attend(courier)
        return courier is not None

    def _dispatch(self, payload: Record | None) -> DispatchedCourier | Errand | None:
        from migas.spool.record import encode

        text = None if payload is None else encode(payload)
        if self._is_own_courier():
            self._ensure_thread()  # where it is not a run that has something to be sent
            began = time.monotonic()
            courier = None
            if self._thread is not None:
                courier = self._thread.dispatch(text, patience=_patience())
            self._spent += time.monotonic() - began  # on what it had to import
            return courier
        from migas.delivery import spawn

        attended = self.is_waited_for()
        warm = self._warmed(payload) if attended else None
        return warm or spawn.dispatch(
            spawn.find_way(),
            text,
            attended_for=self._seconds() if attended else None,
            patience=_patience() if attended else None,
            at_exit=attended and self._is_exiting,
        )

    def _warmed(self, payload: Record | None) -> DispatchedCourier | None:
        """The one that was ready, with its word given; None where there is none."""
        warm, self._warm = self._warm, None
        if warm is None:
            return None
        if payload is None and warm.say(attended_for=self._seconds(), at_exit=self._is_exiting):
            return warm
        warm.kill()
        return None

    def _is_own_courier(self) -> bool:
        return _kind_of_way() == "thread"

    def _attend(self, courier: DispatchedCourier | Errand | None) -> None:
        self._forget_ended()
        if courier is not None:
            self._attended.append(courier)

    def _forget_ended(self) -> None:
        for courier in [one for one in self._attended if one.wait(0.0)]:
            courier.forget()
            self._attended.remove(courier)

    def _wait(self) -> None:
        """Give each its moment, one for all together, and end it then."""
        deadline = time.monotonic() + self._exit_seconds() - self._spent
        couriers, self._attended = self._attended, []
        for courier in couriers:
            has_ended = False
            try:
                has_ended = courier.wait(deadline - time.monotonic())
            finally:  # also when Ctrl-C says that nobody wants to wait
                if not has_ended:
                    courier.kill()
                courier.forget()

    def _seconds(self) -> float:
        """How long a courier that is started now has, where the program waits at its end."""
        return self._exit_seconds() if self._is_exiting else _EARLY_SECONDS

    def _exit_seconds(self) -> float:
        """How long the program waits at its end, a little longer where an `R` is just sent."""
        is_near = time.monotonic() - self._running_at < RUNNING_SECONDS
        return values.settings().exit_timeout + (_RUNNING_GRACE if is_near else 0.0)


def _patience() -> float:
    return values.settings().exit_timeout + _RUNNING_GRACE / 2


def _is_inline(mode: Delivery) -> bool:
    return mode == "inline" or (mode == "auto" and environment.is_short_lived())


def _kind_of_way(mode: Delivery | None = None) -> str:
    """Whether things leave by a `process`, a `thread` or, as far as this process goes, `none`."""
    mode = mode or values.delivery()
    if mode in ("spool", "log"):
        return "none"  # and nothing is imported that did not come with the run's rooms
    from migas.delivery.spawn import find_way

    return find_way(mode).kind
