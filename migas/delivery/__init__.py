"""The one way out: what may leave is composed, written down, and a courier is sent for it.

The user's process opens no socket here. It writes a small file, and starts a process that nobody
waits for, or waits for at most `exit_timeout` seconds where nothing may outlive the program.

How long a program waits at its end: `couriers.py`. When Python calls a delivery: `hooks.py`.
"""

from __future__ import annotations

import os
import sys
import time

from migas import host, log, message
from migas.delivery.couriers import Couriers
from migas.host import environment, process
from migas.host.files import Reserve
from migas.host.threads import Watch
from migas.settings import permission, places, values
from migas.spool import Spool, layout
from migas.spool.marks import Marks
from migas.spool.record import LOST

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from mmap import mmap

    from migas.message import Breadcrumb
    from migas.spool.record import Record

TOUCH_SECONDS = 3600.0
"""How often a run that lasts shows other hosts that it is alive."""

_OOM_SECONDS = 1.0

_UNHEARD_SECONDS = 30 * 24 * 3600.0
"""How far ahead a run is touched that cannot touch its record again for now."""


class Delivery:
    """The delivery of this process; there is one, and a forked child has its own."""

    def __init__(self) -> None:
        self.watch = Watch()
        self._couriers = Couriers(self.watch)
        # Reentrant: a signal's handler may end a run while this very thread holds it.
        self._lock = host.RLock()
        self._spool: Spool | None = None
        self._marks: Marks | None = None
        self._reserve = Reserve()
        self._open: set[str] = set()
        self._has_ended: dict[str, mmap] = {}
        self._last_running: dict[str, float] = {}
        self._held: dict[str, str] = {}
        self._oom_kills: tuple[float, dict[str, int]] = (float("-inf"), {})

    def open_run(self, crumb: Breadcrumb) -> OpenRun:
        """Write down what is sent if nobody hears of a run again, where that can and need be."""
        mode = values.delivery()
        if mode == "log":
            return self.without_record()
        try:
            spool = self._usable_spool()
            path = spool.open(self._open_record(crumb))
        except (OSError, RuntimeError) as error:
            log.debug("a run has no open record: %s", error)
            return self.without_record()
        with self._lock:
            self._reserve.fill(spool.root)
            self._open.add(path)
            self._arm_marks(spool)
        try:
            self._couriers.run_opened(mode, self._has_others)
        except Exception as error:  # noqa: BLE001  a bundle may lack anything
            log.debug("what earlier runs left cannot be sent: %r", error)
        return OpenRun(self, path)

    def without_record(self) -> OpenRun:
        """A run of which nothing is written down before its end."""
        return OpenRun(self, None)

    def dismiss_courier(self) -> None:
        """End the one that was made ready for the end of runs, which now have none to tell of."""
        self._couriers.dismiss()

    def ensure_running(self) -> None:
        """Start again, when something is due, the threads that a fork stopped."""
        self.watch.ensure_running()
        self._couriers.ensure_running()

    def make_room(self) -> None:
        """See that one more file can be opened: a run may end for want of descriptors."""
        self._reserve.spend_if_needed()

    def update(self, path: str, crumb: Breadcrumb, *, is_final: bool) -> None:
        """Replace what an open record says: of a run that goes on, or of its end."""
        try:
            record = self._plain_record(crumb) if is_final else self._open_record(crumb)
            self._usable_spool().replace_open(path, record)
        except (OSError, RuntimeError) as error:
            log.debug("an open record could not be updated: %s", error)

    def end(self, path: str | None, crumb: Breadcrumb) -> None:
        """Put a breadcrumb among what waits, in the place of an open record, and have it sent."""
        if values.delivery() == "log":
            _print(crumb)
            return
        unwritten = self._write(path, crumb)
        is_handed_over = self._couriers.send(unwritten)
        if path is not None:
            if unwritten is not None and is_handed_over:
                self.erase(path)  # it would tell of a run that was lost
            self._closed(path)

    def erase(self, path: str) -> None:
        """Forget an open record: nothing of it stays on disk."""
        try:
            self._usable_spool()
            os.unlink(path)
        except (OSError, RuntimeError) as error:
            log.debug("an open record could not be erased: %s", error)
        self._closed(path)

    def touch(self, path: str, when: float) -> None:
        """Show other hosts that a run is alive, until some time after a moment."""
        try:
            self._usable_spool()
            os.utime(path, (when, when))
        except (OSError, RuntimeError) as error:
            log.debug("an open record could not be touched: %s", error)

    def queue(self, crumb: Breadcrumb) -> None:
        """Write a single breadcrumb among what waits, and see that it is sent."""
        if permission.refusal() is None:
            self.end(None, crumb)

    def announce(self, crumb: Breadcrumb) -> None:
        """Say once that a run goes on; where that cannot be said now, it never is."""
        if permission.refusal() is not None or values.delivery() == "spool":
            return
        if values.delivery() == "log":
            _print(crumb)
        elif self._couriers.may_start():
            self._couriers.send(self._write(None, crumb))

    def running_was_sent(self, session_id: str | None) -> None:
        """Remember that a session's `R` has just left: its end keeps a second's distance."""
        if session_id is not None:
            self._last_running[session_id] = time.time()
            self._couriers.running_was_written()

    def drop_running(self, session_id: str | None) -> None:
        """Drop what still waits to say that a session goes on, once a server has its end.

        Before that it must not: whoever is killed meanwhile would leave nothing that tells of the
        run. What a courier has taken by now is sent.
        """
        if session_id is None or session_id not in self._held:
            return
        try:
            spool, session = self._usable_spool(), session_id.replace("-", "")
            for entry in spool.entries():
                is_meant = entry.is_running and entry.session == session
                if is_meant and (path := spool.claim(entry.name)):
                    spool.discard(path)
        except (OSError, RuntimeError) as error:
            log.debug("what waits cannot be dropped: %s", error)

    def flush(self, timeout: float) -> bool:
        """Have everything that waits sent now.

        Args:
            timeout: Seconds to wait.

        Returns:
            Whether nothing of this user's waits any more.
        """
        if permission.refusal() is not None or values.delivery() == "log":
            return False
        try:
            spool = self._usable_spool()
        except (OSError, RuntimeError) as error:
            log.debug("the spool cannot be used: %s", error)
            return False
        return self._couriers.flush(spool, timeout)

    def at_exit(self) -> None:
        """Send a courier for what still waits, and give it its moment where it has only that."""
        self.watch.close()
        if self._held and self._couriers.is_waited_for() and not self._is_silent():
            # No end will come any more that could overtake them, and somebody waits.
            for path in self._held.values():
                self._usable_spool().hasten(path)
        try:
            self._couriers.at_exit()
        finally:
            if self._marks is not None and not self._open and not self._is_silent():
                self._marks.erase()

    def prepare_fork(self) -> None:
        """Stop our threads; until they run again, nobody can touch the open records."""
        if self._marks is not None:
            self._marks.before_fork()
        if self.watch.pause():
            then = time.time() + _UNHEARD_SECONDS
            for path in list(self._open):
                self.touch(path, then)
        self._couriers.pause()
        self._share_ends()

    def after_fork(self) -> None:
        """In the parent of a fork: go on."""
        if self._marks is not None:
            self._marks.after_fork(in_child=False)
        self._couriers.resume()

    def inherit(self, path: str, parents: Delivery) -> bool:
        """In a forked child whose parent is gone: take over a run, unless it has ended."""
        end = parents._has_ended.get(path)
        if end is None or end[0]:
            return False
        self._has_ended[path] = end
        self._open.add(path)
        return True

    def leave_to_parent(self) -> None:
        """In a forked child: what the parent opened is the parent's."""
        self._reserve.give_up()  # first: the marks need a descriptor
        self._couriers.leave_to_parent()
        if self._marks is not None:
            self._marks.after_fork(in_child=True)

    def _share_ends(self) -> None:
        """Have forked children see, in memory that is theirs, too, whether a run has ended.

        They cannot tell it from the record: a courier that finds the parent gone takes it away.
        """
        unshared = [path for path in list(self._open) if path not in self._has_ended]
        if unshared:
            from mmap import mmap

            self._has_ended.update((path, mmap(-1, 1)) for path in unshared)

    def _write(self, path: str | None, crumb: Breadcrumb) -> Record | None:
        """Put a breadcrumb among what waits.

        Returns:
            None, or the record itself where it cannot be written.
        """
        record = self._record(crumb)
        try:
            spool = self._usable_spool()
            written = spool.put(record) if path is None else spool.finish(path, record)
        except (OSError, RuntimeError) as error:
            log.debug("the spool cannot be used: %s", error)
            return record
        with self._lock:
            session = crumb.get("session_id", "")
            self._held.pop(session, None)
            if crumb.get("status", "R") == "R":
                self._held[session] = written
                self._couriers.running_was_written()
            if self._open:
                self._reserve.fill(spool.root)  # what was given up is free again
        return None

    def _has_others(self) -> bool:
        """Whether there is anything in the spool but this process's open runs."""
        spool = self._usable_spool()
        return bool(spool.names(layout.READY)) or len(spool.open_paths()) > len(self._open)

    def _usable_spool(self) -> Spool:
        if self._spool is None:
            self._spool = Spool(places.state_folder())
        elif self._is_silent():  # by now
            raise places.SilentError(self._spool.root)
        self._spool.prepare()
        return self._spool

    def _is_silent(self) -> bool:
        return self._spool is not None and places.silent(self._spool.root) is not None

    def _plain_record(self, crumb: Breadcrumb) -> Record:
        record: Record = {"endpoint": values.settings().endpoint, "breadcrumb": crumb}
        if "ended_ago" in crumb and crumb.get("status", "R") != "R":
            record["ended"] = time.time()
        return record

    def _record(self, crumb: Breadcrumb) -> Record:
        record = self._plain_record(crumb)
        sent = self._last_running.pop(crumb.get("session_id", ""), None)
        if sent is not None:
            record["not_before"] = sent + 1.05
        return record

    def _open_record(self, crumb: Breadcrumb) -> Record:
        lost: Breadcrumb = {**crumb, "status": "F", "status_desc": LOST}
        record: Record = {
            "endpoint": values.settings().endpoint,
            "breadcrumb": message.fit(lost),
            "process": process.facts(),
            "oom_kills": self._oom_kills_by_now(),
        }
        if scheduler := environment.scheduler():
            record["scheduler"] = scheduler
        return record

    def _oom_kills_by_now(self) -> dict[str, int]:
        """How often the kernel has killed here for want of memory, as of a second ago at most.

        Of many runs in a second none needs it any newer: what was killed a moment before a run that
        was lost was killed with it.
        """
        now = time.monotonic()
        if now - self._oom_kills[0] > _OOM_SECONDS:
            self._oom_kills = now, environment.known(process.oom_kills) or {}
        return self._oom_kills[1]

    def _arm_marks(self, spool: Spool) -> None:
        if self._marks is not None:
            return
        self._marks = Marks(spool.folder(layout.MARKS), process.facts())
        try:
            self._marks.arm()
        except (OSError, ValueError, RuntimeError) as error:
            log.debug("fatal signals will leave no mark: %s", error)

    def _closed(self, path: str) -> None:
        with self._lock:
            self._open.discard(path)
            end = self._has_ended.pop(path, None)
            if end is not None:
                end[0] = 1


class OpenRun:
    """A run that has begun, as delivery sees it: its open record, and what is due meanwhile.

    Args:
        delivery: What wrote the record.
        path: The record's file, or None where there is none.
    """

    def __init__(self, delivery: Delivery, path: str | None) -> None:
        self._delivery = delivery
        self._path = path
        self._touch_later()

    @property
    def has_record(self) -> bool:
        """Whether something is sent if nobody hears of the run again."""
        return self._path is not None

    def announce_later(self, seconds: float, announce: Callable[[], None]) -> None:
        """Have a function called that announces the run, unless it ends before."""
        self._delivery.watch.call_later((id(self), "announce"), seconds, announce)

    def update(self, crumb: Breadcrumb) -> None:
        """Replace what the open record says."""
        if self._path is not None:
            self._delivery.update(self._path, crumb, is_final=False)

    def settle(self, crumb: Breadcrumb) -> None:
        """Have the open record say how the run ended, before the program itself sends it.

        Should the process die between the server's answer and the record's end, the record repeats
        what the server knows instead of calling the run lost.
        """
        if self._path is not None:
            self._delivery.update(self._path, crumb, is_final=True)

    def end(self, crumb: Breadcrumb) -> None:
        """Put the run's end among what waits, and see that it is sent.

        It may be said again when Ctrl-C came in between: the record is the same one.
        """
        self.cancel_appointments()
        self._delivery.end(self._path, crumb)

    def erase(self) -> None:
        """Forget the run: nothing of it stays on disk."""
        self.cancel_appointments()
        path, self._path = self._path, None
        if path is not None:
            self._delivery.erase(path)

    def is_inherited_by(self, heir: Delivery) -> bool:
        """In a forked child whose parent is gone: have this process end it, unless it has ended."""
        if self._path is None or not heir.inherit(self._path, self._delivery):
            return False
        self._delivery = heir
        return True

    def cancel_appointments(self) -> None:
        """Have nothing announced or touched any more."""
        self._delivery.watch.cancel((id(self), "announce"), (id(self), "touch"))

    def _touch_later(self) -> None:
        if self._path is not None:
            self._delivery.watch.call_later((id(self), "touch"), TOUCH_SECONDS, self._touch)

    def _touch(self) -> None:
        """Show other hosts that the run is alive."""
        path = self._path
        if path is not None:
            self._delivery.touch(path, time.time())
            self._touch_later()


def _print(crumb: Breadcrumb) -> None:
    from migas.spool import servers

    text = message.graphql_body(crumb).decode()
    known = servers.of_this_user()
    accepted = known.accepts(values.settings().endpoint) if known else ()
    headers = message.timing_headers(crumb, accepted)
    beside = "".join(f" {name}: {value}" for name, value in headers.items())
    try:
        sys.stderr.write(f"migas would send {text}{beside}\n")
    except Exception as error:  # noqa: BLE001  stderr may be closed or be anything
        log.debug("stderr cannot be written: %s", error)
