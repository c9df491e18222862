"""Emptying the spool: what a courier does, and what each answer of a server decides.

Stored: the file goes. Refused for good by a migas server: it goes and is counted. Anything else:
it stays, and the server is left alone for a while.
"""

from __future__ import annotations

import time

from migas import log, recovery
from migas.lease import Lease
from migas.spool import InvalidRecordError, server_key
from migas.transport import Client, NoAnswerError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from migas.backoff import Backoff
    from migas.breadcrumb import Breadcrumb
    from migas.spool import Entry, Record, Spool

    Send = Callable[[str, Breadcrumb], None]

SECOND_AFTER_RUNNING = 1.05
"""Seconds between a session's `R` and its end: a server's times are whole seconds, and of two in
the same second the `R` would win for ever."""

_FAILURES_IN_A_ROW = 2
_PATIENT_SHARE = 0.6


class Clock:
    """The time as a drain sees it; a simulation brings its own."""

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


class Sender:
    """Sends breadcrumbs over one kept connection per server.

    Args:
        timeout: Seconds for each.
        hurry_until: The moment of the monotonic clock at which somebody kills this process. What
            cannot wait for `add_project`'s answer then goes by the REST call, which a server stores
            even when the client is gone.
    """

    def __init__(self, timeout: float, hurry_until: float | None = None) -> None:
        self._timeout = timeout
        self._hurry_until = hurry_until
        self._clients: dict[str, Client] = {}

    def __call__(self, endpoint: str, crumb: Breadcrumb) -> None:
        """Send one.

        Raises:
            NoAnswerError: It is not known to be stored.
        """
        client = self._clients.setdefault(endpoint, Client(endpoint))
        patience = self._timeout
        if self._hurry_until is not None:
            left = self._hurry_until - time.monotonic()
            patience = min(patience, max(left * _PATIENT_SHARE, 0.0))
        try:
            answer = client.add_project(crumb, patience)
        except NoAnswerError as error:
            if error.kind != "timeout" or self._hurry_until is None:
                raise
            client.add_breadcrumb_rest(crumb, self._timeout)
            return
        if not answer["success"]:
            raise NoAnswerError("The server does not know the project", "refused")

    def close(self) -> None:
        """Close all connections."""
        for client in self._clients.values():
            client.close()


class Drain:
    """One courier's work on one spool.

    Args:
        spool: What to empty.
        backoff: Which servers must be left alone.
        send: Sends one breadcrumb, or raises `NoAnswerError`.
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
        self._tried: set[str] = set()
        self._running_sent: dict[str, float] = {}

    def run(self, deadline: float) -> bool:
        """Send what waits until nothing does that may be sent now.

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
                self._lease.release()
            # Whoever came while the lease was held has left again: look once more.
            if self._clock.now() >= deadline or not self._sendable():
                break
        return held

    def _prepare(self) -> None:
        self._spool.give_back_abandoned(dead_owners=self._by_hand)
        recovery.recover(self._spool)
        recovery.erase_marks_without_runs(self._spool)
        for name in self._spool.foreign_names():
            self._spool.set_aside(self._spool.folder("ready", name))
        self._spool.trim()
        self._spool.tidy()
        for endpoint in self._backoff.states():
            if self._backoff.seconds_left(endpoint, by_hand=self._by_hand) > 0:
                self._silenced[server_key(endpoint)] = endpoint

    def _sendable(self) -> list[Entry]:
        return [
            entry
            for entry in self._spool.entries()
            if entry.server not in self._silenced and entry.name not in self._tried
        ]

    def _send_all(self, deadline: float) -> None:
        while entries := self._sendable():
            ended = {entry.session for entry in entries if not entry.is_running}
            for entry in entries:
                if self._clock.now() >= deadline:
                    return
                if entry.server in self._silenced:
                    continue
                self._on_progress()
                self._lease.keep()
                self._tried.add(entry.name)
                self._take(entry, is_over=entry.session in ended)

    def _take(self, entry: Entry, *, is_over: bool) -> None:
        claimed = self._spool.claim(entry.name)
        if claimed is None:
            return
        if entry.is_running and is_over and entry.session != "none":
            self._spool.discard(claimed)  # the end is news enough
            return
        try:
            record = self._spool.read(claimed)
        except FileNotFoundError:
            return
        except InvalidRecordError as error:
            log.debug("%s", error)
            self._spool.set_aside(claimed)
            return
        self._wait_until_distinct(record, entry)
        self._deliver(record, entry, claimed)

    def _wait_until_distinct(self, record: Record, entry: Entry) -> None:
        """An end is never stamped with the second of its `R`; waiting is the courier's part."""
        now = self._clock.now()
        earliest = record.get("not_before", 0.0)
        if not entry.is_running:
            earliest = max(earliest, self._running_sent.get(entry.session, 0.0))
        if 0 < earliest - now <= 2 * SECOND_AFTER_RUNNING:
            self._clock.sleep(earliest - now)

    def _outlast_running(self) -> None:
        """Keep the lease until no other courier could send an end in the second of our last `R`."""
        left = max(self._running_sent.values(), default=0.0) - self._clock.now()
        if 0 < left <= SECOND_AFTER_RUNNING:
            self._clock.sleep(left)

    def _deliver(self, record: Record, entry: Entry, claimed: str) -> None:
        endpoint = record["endpoint"]
        try:
            self._send(endpoint, record["breadcrumb"])
        except NoAnswerError as error:
            log.debug("%s: %s", endpoint, error)
            self._keep_or_drop(entry, claimed, error)
            if error.kind != "refused":
                self._note_failure(endpoint, error)
            return
        self._spool.discard(claimed)
        self.delivered += 1
        if self._failures.pop(endpoint, None) is not None or self.delivered == 1:
            self._backoff.succeeded(endpoint)
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

    def _note_failure(self, endpoint: str, error: NoAnswerError) -> None:
        self._failures[endpoint] = self._failures.get(endpoint, 0) + 1
        self._backoff.failed(endpoint, error.kind, str(error))
        # One breadcrumb that upsets the server must not keep the others waiting.
        if error.kind != "failed" or self._failures[endpoint] >= _FAILURES_IN_A_ROW:
            self._silenced[server_key(endpoint)] = endpoint
