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
from migas.spool.record import InvalidRecordError, server_key
from migas.transport.answers import NoAnswerError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from migas.message.breadcrumb import Breadcrumb
    from migas.spool.record import Entry, Record
    from migas.spool.servers import Backoff
    from migas.spool.spool import Spool

    Send = Callable[[str, Breadcrumb, Callable[[], None]], None]

SECOND_AFTER_RUNNING = 1.05
"""Seconds between a session's `R` and its end: a server's times are whole seconds, and of two in
the same second the `R` would win for ever."""

_FAILURES_IN_A_ROW = 2
_STEP_SECONDS = 5.0


class Clock:
    """The time as a drain sees it; a simulation brings its own."""

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


class Drain:
    """One courier's work on one spool.

    Args:
        spool: What to empty.
        backoff: Which servers must be left alone.
        send: Sends one breadcrumb to an endpoint, or raises `NoAnswerError`; while the server
            thinks it may call its third argument, which prepares the next.
        clock: The time.
        by_hand: A person asked: earlier failures do not count, and what dead couriers had claimed
            is taken at once.
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
        on_progress: Callable[[], None] = lambda: None,
    ) -> None:
        self.delivered = 0
        self.refused = 0
        self._spool = spool
        self._backoff = backoff
        self._send = send
        self._clock = clock or Clock()
        self._by_hand = by_hand
        self._on_progress = on_progress
        self._lease = Lease(spool.root)
        self._silenced: dict[str, str] = {}
        self._failures: dict[str, int] = {}
        self._paces: dict[str, Pace] = {}
        self._unnoted: dict[str, int] = {}
        self._tried: set[str] = set()
        self._ahead: dict[str, tuple[str, Record] | None] = {}
        self._running_sent: dict[str, float] = {}

    def run(self, deadline: float) -> bool:
        """Send what waits until nothing does that may be sent before the deadline.

        Args:
            deadline: The clock's time at which to stop at the latest.

        Returns:
            Whether this process held the lease at all.
        """
        held = False
        while self._lease.acquire():
            held = True
            try:
                self._prepare()
                self._send_all(deadline)
                self._outlast_running()
            finally:
                self._note_successes()
                self._lease.release()
            # Whoever came while the lease was held has left again: look once more.
            if self._clock.now() >= deadline:
                break
            if not self._sendable() and not self._outlast_silence(deadline):
                break
        return held

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

    def _send_all(self, deadline: float) -> None:
        while entries := self._sendable():
            ended = {entry.session for entry in entries if not entry.is_running}
            try:
                for number, entry in enumerate(entries, 1):
                    if entry.server in self._silenced:
                        continue
                    if self._clock.now() >= deadline:
                        return
                    self._on_progress()
                    self._lease.keep()
                    self._tried.add(entry.name)
                    taken = self._take(entry, ended)
                    if taken is not None:
                        claimed, record = taken
                        self._wait_until_due(record, entry)
                        following = entries[number] if number < len(entries) else None
                        self._deliver(record, entry, claimed, lambda: self._look(following, ended))  # noqa: B023  called at once
            finally:
                self._give_back_ahead()

    def _take(self, entry: Entry, ended: set[str]) -> tuple[str, Record] | None:
        """Claim and read an entry; None when there is nothing to send."""
        if entry.name in self._ahead:
            return self._ahead.pop(entry.name)
        claimed = self._spool.claim(entry.name)
        if claimed is None:
            return None
        if entry.is_running and entry.session in ended:
            self._spool.discard(claimed)  # the end is news enough
            return None
        try:
            return claimed, self._spool.read(claimed)
        except InvalidRecordError as error:
            log.debug("%s", error)
            self._spool.set_aside(claimed)
        except OSError as error:
            log.debug("%s cannot be read now: %s", claimed, error)
            self._spool.give_back(claimed)
        return None

    def _look(self, entry: Entry | None, ended: set[str]) -> None:
        """Take the next entry ahead of its turn, in the time in which a server thinks."""
        if entry is not None and entry.server not in self._silenced:
            try:
                self._ahead[entry.name] = self._take(entry, ended)
            except OSError as error:  # not to be mistaken for the connection's failure
                log.debug("the next breadcrumb could not be taken ahead: %s", error)

    def _give_back_ahead(self) -> None:
        for taken in self._ahead.values():
            if taken is not None:
                self._spool.give_back(taken[0])
        self._ahead.clear()

    def _wait_until_due(self, record: Record, entry: Entry) -> None:
        """Keep the server's pace, and never have an end stamped with the second of its `R`."""
        now = self._clock.now()
        earliest = now + self._pace(entry.server, record["endpoint"]).seconds_to_wait(now)
        if not entry.is_running:
            running = self._running_sent.get(entry.session, 0.0)
            earliest = max(earliest, running, _near(record.get("not_before", 0.0), now))
        self._sleep_until(earliest)

    def _outlast_running(self) -> None:
        """Keep the lease until no other courier could send an end in the second of our last `R`."""
        self._sleep_until(_near(max(self._running_sent.values(), default=0.0), self._clock.now()))

    def _outlast_silence(self, deadline: float) -> bool:
        """Wait while servers ask for silence, without the lease: a person may come and flush.

        Returns:
            Whether there may be something to send now.
        """
        waiting = {entry.server for entry in self._spool.entries()}
        asked = {
            endpoint: self._backoff.seconds_left(endpoint, by_hand=self._by_hand)
            for server, endpoint in self._silenced.items()
            if server in waiting and self._is_silent_by_request(endpoint)
        }
        if not asked:
            return False
        until = self._clock.now() + min(asked.values())
        patience = Lease(self._spool.root, "patience")  # of many couriers, one stays
        if until >= deadline or not patience.acquire():
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

    def _is_silent_by_request(self, endpoint: str) -> bool:
        return self._backoff.states().get(endpoint, {}).get("kind") == "silenced"

    def _sleep_until(self, moment: float, lease: Lease | None = None) -> None:
        """Wait in steps: who waits on purpose does not hang."""
        while (left := moment - self._clock.now()) > 0:
            self._on_progress()
            (lease or self._lease).keep()
            self._clock.sleep(min(left, _STEP_SECONDS))

    def _pace(self, server: str, endpoint: str) -> Pace:
        if server not in self._paces:
            self._paces[server] = Pace(self._backoff.recent(endpoint))
        return self._paces[server]

    def _deliver(
        self, record: Record, entry: Entry, claimed: str, meanwhile: Callable[[], None]
    ) -> None:
        endpoint = record["endpoint"]
        self._pace(entry.server, endpoint).sent(self._clock.now())
        try:
            self._send(endpoint, record["breadcrumb"], meanwhile)
        except NoAnswerError as error:
            log.debug("%s: %s", endpoint, error)
            self._keep_or_drop(entry, claimed, error)
            if error.kind == "refused":
                self._backoff.refused(endpoint, str(error))
            else:
                self._note_failure(entry, endpoint, error)
            return
        self._spool.discard(claimed)
        self.delivered += 1
        self._unnoted[endpoint] = self._unnoted.get(endpoint, 0) + 1
        if self._failures.pop(endpoint, None) is not None:
            self._note_successes()
        if entry.is_running:
            self._running_sent[entry.session] = self._clock.now() + SECOND_AFTER_RUNNING

    def _keep_or_drop(self, entry: Entry, claimed: str, error: NoAnswerError) -> None:
        if error.kind == "refused":
            self.refused += 1
            self._spool.discard(claimed)
            self._spool.count_dropped("refused by the server", 1)
        elif entry.is_running:
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


def _near(moment: float, now: float) -> float:
    """A moment of the next two seconds; a clock that was set must not have us wait for years."""
    return moment if moment - now <= 2 * SECOND_AFTER_RUNNING else now
