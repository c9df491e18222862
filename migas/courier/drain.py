"""Emptying the spool: what a courier does, and what each answer of a server decides.

Stored: the file goes. Refused for good by a migas server: it goes and is counted. Anything else:
it stays, and the server is left alone for a while. A server that asks for silence (429) gets it;
who may live that long waits and goes on more slowly.
"""

from __future__ import annotations

import time

from migas import log
from migas.courier import recovery, tidy
from migas.courier.pace import Pace
from migas.spool.lease import Lease
from migas.spool.record import InvalidRecordError, as_sent, server_key
from migas.transport.answers import NoAnswerError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from migas.message import Breadcrumb
    from migas.spool import Spool
    from migas.spool.record import Entry, Record
    from migas.spool.servers import Backoff

    Send = Callable[[str, Breadcrumb], None]

SECOND_AFTER_RUNNING = 1.05
"""Seconds between a session's `R` and its end: a server's times are whole seconds, and of two in
the same second the `R` would win for ever."""

HOLD_SECONDS = 1.0
"""How long an `R` is held back. The end of a run this young overtakes it, and is the only one that
is sent: otherwise whoever waits for the end would wait for the second to be over as well."""

_FAILURES_IN_A_ROW = 2
_STEP_SECONDS = 5.0
_LOOK_SECONDS = 0.03


class Clock:
    """The time as a drain sees it; a simulation brings its own.

    It goes on evenly from its making, also when somebody sets the system's clock meanwhile: by that
    one a deadline of seconds could come hours late.
    """

    def __init__(self) -> None:
        self._began = time.time() - time.monotonic()

    def now(self) -> float:
        """Seconds since the epoch."""
        return self._began + time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


class Drain:
    """One courier's work on one spool.

    Args:
        spool: What to empty.
        backoff: Which servers must be left alone.
        send: Sends one breadcrumb to an endpoint, or raises `NoAnswerError`.
        clock: The time.
        by_hand: A person asked: earlier failures do not count, and what dead couriers had claimed
            is taken at once.
        patience: Seconds that the program waits for its end to be sent; None where it does not. An
            end that would have to wait longer for its `R`'s second to be over is sent in it: better
            than none. Nor is a server's plea for silence outlasted, if somebody waits.
        on_progress: Called before each step that may take long.
    """

    def __init__(
        self,
        spool: Spool,
        backoff: Backoff,
        send: Send,
        *,
        clock: Clock | None = None,
        by_hand: bool = False,
        patience: float | None = None,
        on_progress: Callable[[], None] = lambda: None,
    ) -> None:
        self.delivered = 0
        self.refused = 0
        self._spool = spool
        self._backoff = backoff
        self._send = send
        self._clock = clock or Clock()
        self._by_hand = by_hand
        self._patience = patience
        self._on_progress = on_progress
        self._lease = Lease(spool.root)
        self._silenced: dict[str, str] = {}
        self._failures: dict[str, int] = {}
        self._paces: dict[str, Pace] = {}
        self._unnoted: dict[str, int] = {}
        self._tried: set[str] = set()
        self._running_sent: dict[str, float] = {}
        self._deadline = 0.0
        self._is_stopped = False

    def run(self, deadline: float) -> bool:
        """Send what waits until nothing does that may be sent before the deadline.

        Args:
            deadline: The clock's time at which to stop at the latest.

        Returns:
            Whether this process held the lease at all.
        """
        self._deadline = deadline
        held = False
        while not self._is_stopped and self._lease.acquire():
            held = True
            try:
                self._prepare()
                self._send_all()
                self._outlast_running()
            finally:
                self._note_successes()
                self._lease.release()
            # Whoever came while the lease was held has left again: look once more.
            if self._is_over() or (not self._sendable() and not self._outlast_silence()):
                break
        return held

    def hurry(self, deadline: float) -> None:
        """From another thread: have it stop earlier, at a deadline as `run` takes it."""
        self._deadline = deadline

    def stop(self) -> None:
        """From another thread: have it stop as soon as it can; whoever made it wakes its clock."""
        self._is_stopped = True

    def _is_over(self) -> bool:
        return self._is_stopped or self._clock.now() >= self._deadline

    def _prepare(self) -> None:
        self._on_progress()
        for endpoint in self._backoff.states():
            if self._backoff.seconds_left(endpoint, by_hand=self._by_hand) > 0:
                self._silenced[server_key(endpoint)] = endpoint
        tidy.tidy(self._spool, by_hand=self._by_hand)
        self._on_progress()
        recovery.recover(self._spool, by_hand=self._by_hand, on_progress=self._on_progress)

    def _sendable(self) -> list[Entry]:
        return [
            entry
            for entry in self._spool.entries()
            if entry.server not in self._silenced and entry.name not in self._tried
        ]

    def _send_all(self) -> None:
        """Send what there is, and look again: more may have come, and a held `R` be due."""
        ended: dict[str, int] = {}
        while entries := self._sendable():
            # Oldest first, so this is each session's last end, also when it has left by now.
            ended |= {entry.session: entry.micros for entry in entries if not entry.is_running}
            due = [entry for entry in entries if not self._is_held(entry, ended)]
            for entry in due:
                if self._is_over():
                    return
                if entry.server not in self._silenced:
                    self._on_progress()
                    self._lease.keep()
                    self._tried.add(entry.name)
                    self._send_one(entry, ended)
            if not due:
                # In a folder with very many files a look takes longer: most of the time we sleep.
                pause = _LOOK_SECONDS + len(entries) / 1e5
                if self._clock.now() + pause >= self._deadline or self._is_stopped:
                    return
                self._sleep_until(self._clock.now() + pause)

    def _is_held(self, entry: Entry, ended: dict[str, int]) -> bool:
        """Whether an `R` is so young that its end may overtake it."""
        if not entry.is_running or _is_overtaken(entry, ended) or self._by_hand:
            return False
        return 0.0 <= self._clock.now() - entry.micros / 1e6 < HOLD_SECONDS

    def _send_one(self, entry: Entry, ended: dict[str, int]) -> None:
        claimed = self._spool.claim(entry.name)
        if claimed is None:
            return
        if _is_overtaken(entry, ended):
            self._spool.discard(claimed)
            return
        try:
            record = self._spool.read(claimed)
        except InvalidRecordError as error:
            log.debug("%s", error)
            self._spool.set_aside(claimed)
            return
        except OSError as error:
            log.debug("%s cannot be read now: %s", claimed, error)
            self._spool.give_back(claimed)
            return
        self._wait_until_due(record, entry)
        if self._is_stopped:
            self._return(entry, claimed)
            return
        self._deliver(record, entry, claimed)

    def _wait_until_due(self, record: Record, entry: Entry) -> None:
        """Keep the server's pace, and never have an end stamped with the second of its `R`."""
        now = self._clock.now()
        earliest = now + self._pace(entry.server, record["endpoint"]).seconds_to_wait(now)
        if not entry.is_running:
            running = self._running_sent.get(entry.session, 0.0)
            earliest = max(earliest, running, _near(record.get("not_before", 0.0), now))
            if self._patience is not None:
                earliest = min(earliest, entry.micros / 1e6 + self._patience)
        self._sleep_until(earliest)

    def _outlast_running(self) -> None:
        """Keep the lease until no other courier could send an end in the second of our last `R`."""
        self._sleep_until(_near(max(self._running_sent.values(), default=0.0), self._clock.now()))

    def _outlast_silence(self) -> bool:
        """Wait while servers ask for silence; whether there may be something to send then.

        It is done without the lease: a person may come and flush.
        """
        waiting = {entry.server for entry in self._spool.entries()}
        states = self._backoff.states()
        asked = {
            endpoint: self._backoff.seconds_left(endpoint, by_hand=self._by_hand)
            for server, endpoint in self._silenced.items()
            if server in waiting and states.get(endpoint, {}).get("kind") == "silenced"
        }
        if not asked or self._patience is not None:
            return False
        until = self._clock.now() + min(asked.values())
        patience = Lease(self._spool.root, "patience")  # of many couriers, one stays
        if until >= self._deadline or not patience.acquire():
            return False
        try:
            self._sleep_until(until, patience)
        finally:
            patience.release()
        for endpoint in asked:
            if self._backoff.seconds_left(endpoint, by_hand=self._by_hand) <= 0:
                del self._silenced[server_key(endpoint)]
        self._tried.clear()
        return True

    def _sleep_until(self, moment: float, lease: Lease | None = None) -> None:
        """Wait in steps: who waits on purpose does not hang."""
        while (left := moment - self._clock.now()) > 0 and not self._is_stopped:
            self._on_progress()
            (lease or self._lease).keep()
            self._clock.sleep(min(left, _STEP_SECONDS))

    def _pace(self, server: str, endpoint: str) -> Pace:
        if server not in self._paces:
            self._paces[server] = Pace(self._backoff.recent(endpoint))
        return self._paces[server]

    def _deliver(self, record: Record, entry: Entry, claimed: str) -> None:
        endpoint = record["endpoint"]
        self._pace(entry.server, endpoint).sent(self._clock.now())
        try:
            self._send(endpoint, as_sent(record, self._clock.now()))
        except NoAnswerError as error:
            log.debug("%s: %s", endpoint, error)
            if error.kind == "refused":
                self.refused += 1
                self._spool.discard(claimed)
                self._spool.count_dropped("refused by the server", 1)
                self._backoff.refused(endpoint, str(error))
                return
            if error.kind == "timeout":
                self._note_running(entry)  # it may have been read, and be stored
            self._return(entry, claimed)
            if error.kind != "broken off":
                self._note_failure(entry, endpoint, error)
            return
        self._spool.discard(claimed)
        self.delivered += 1
        self._unnoted[endpoint] = self._unnoted.get(endpoint, 0) + 1
        if self._failures.pop(endpoint, None) is not None:
            self._note_successes()
        self._note_running(entry)

    def _note_running(self, entry: Entry) -> None:
        if entry.is_running:
            self._running_sent[entry.session] = self._clock.now() + SECOND_AFTER_RUNNING

    def _return(self, entry: Entry, claimed: str) -> None:
        if entry.is_running:
            self._spool.discard(claimed)  # sent or dropped, never kept
        else:
            self._spool.give_back(claimed)

    def _note_successes(self) -> None:
        unnoted, self._unnoted = self._unnoted, {}
        for endpoint, number in unnoted.items():
            self._backoff.succeeded(endpoint, number)

    def _note_failure(self, entry: Entry, endpoint: str, error: NoAnswerError) -> None:
        self._note_successes()
        self._failures[endpoint] = self._failures.get(endpoint, 0) + 1
        self._backoff.failed(endpoint, error.kind, str(error), error.retry_after)
        if error.kind == "silenced":
            self._pace(entry.server, endpoint).refused(self._clock.now())
        # One breadcrumb that upsets the server must not keep the others waiting.
        if error.kind != "failed" or self._failures[endpoint] >= _FAILURES_IN_A_ROW:
            self._silenced[server_key(endpoint)] = endpoint


def _is_overtaken(entry: Entry, ended: dict[str, int]) -> bool:
    """Whether it is an `R` whose session's end is known: that is news enough."""
    return entry.is_running and entry.micros <= ended.get(entry.session, -1)


def _near(moment: float, now: float) -> float:
    """A moment of the next two seconds; a clock that was set must not have us wait for years."""
    return moment if moment - now <= 2 * SECOND_AFTER_RUNNING else now
