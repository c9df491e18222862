"""What the courier's process does: it empties the spool, and it can never hang.

It dies within `STALL_SECONDS` unless it makes progress, and after `LIFE_SECONDS` in any case.
"""

from __future__ import annotations

import os
import signal
import sys
import time

from migas import log, message
from migas.courier.drain import Clock, Drain
from migas.courier.sender import Sender
from migas.host import environment
from migas.settings import permission, places
from migas.spool import Spool, releases
from migas.spool.record import MAX_RECORD_BYTES, InvalidRecordError, as_sent, parse
from migas.spool.servers import Backoff, of_this_user
from migas.transport.answers import NoAnswerError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from migas.spool.record import Record
    from migas.transport.deadlines import Worker

STALL_SECONDS = 60.0
LIFE_SECONDS = 20 * 60.0
ANSWER_SECONDS = 10.0
"""Seconds for one answer; nobody waits for a courier, so it can be patient."""

SPREAD_SECONDS = 30.0
"""Over so many seconds the tasks of an array, which end together, spread their sending."""

_SPREAD_SHARE = 0.3
_NICENESS = 5


class Life:
    """The alarm that ends a courier which hangs; its default action needs no Python.

    It rings after `stall` seconds without progress, and after `life` seconds in any case.
    """

    def __init__(self, stall: float, life: float) -> None:
        self._stall = stall
        self.ends = time.monotonic() + life
        if hasattr(signal, "setitimer"):
            # Both are inherited, and the program may have blocked or ignored it.
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, ())

    def go_on(self) -> None:
        """Put the alarm off: there is progress."""
        if hasattr(signal, "setitimer"):
            left = max(self.ends - time.monotonic(), 0.001)
            signal.setitimer(signal.ITIMER_REAL, min(self._stall, left))


def main(
    arguments: Sequence[str],
    *,
    stall: float = STALL_SECONDS,
    life: float = LIFE_SECONDS,
    worker: Worker | None = None,
) -> int:
    """Be a courier.

    Args:
        arguments: Of `--now` (a person asked), `--stdin` (a record comes through standard input),
            `--until=MOMENT` (of the monotonic clock, at which somebody who waits will kill),
            `--patience=SECONDS` (that the program waits at its end) and `--at-exit` (it waits now).
        stall: Seconds without progress after which this process dies.
        life: Seconds after which it dies in any case.
        worker: A thread that was started ahead, for the first request.

    Returns:
        Always 0: nobody looks.
    """
    if permission.refusal_by_user() is not None:
        return 0
    alarm = Life(stall, life)
    alarm.go_on()
    until, patience = _number(arguments, "--until="), _number(arguments, "--patience=")
    by_hand, is_at_exit = "--now" in arguments, "--at-exit" in arguments
    if not is_at_exit and not by_hand and hasattr(os, "nice"):
        os.nice(_NICENESS)  # the program works, and comes first
    sender = Sender(ANSWER_SECONDS, until, _learn, worker, of_this_user())
    if environment.is_array_task() and not by_hand:
        time.sleep(spread(None if until is None else until - time.monotonic()))
    try:
        if "--stdin" in arguments:
            send_payload(sender, sys.stdin.buffer.read(MAX_RECORD_BYTES))
        clock = Clock()
        drain = drain_for(
            sender, clock=clock, by_hand=by_hand, patience=patience, on_progress=alarm.go_on
        )
        if drain is not None:
            ends = alarm.ends if until is None else min(alarm.ends, until)
            drain.run(clock.now() + ends - time.monotonic())
    except (OSError, RuntimeError) as error:
        log.debug("the courier cannot use the spool: %s", error)
    finally:
        sender.close()
    return 0


def spread(left: float | None) -> float:
    """How many seconds the courier of an array's task waits before it begins, drawn at random.

    Args:
        left: Seconds until somebody who waits for it kills it; None when nobody does.
    """
    import random

    most = SPREAD_SECONDS if left is None else max(left, 0.0) * _SPREAD_SHARE
    return random.uniform(0.0, most)  # noqa: S311  no secret is drawn


def _learn(project: str, answer: dict[str, Any]) -> None:
    try:
        spool = Spool(places.state_folder())
        spool.prepare()
    except (OSError, RuntimeError):
        return  # what lies where others can write is not believed later
    releases.learn(spool.root, project, answer)


def flush(timeout: float, folder: str | None = None) -> tuple[int, int, int]:
    """Empty the spool in this process, for a person who waits.

    Args:
        timeout: Seconds at most.
        folder: The state folder; by default the configured one.

    Returns:
        How many breadcrumbs were delivered, how many refused for good, how many still wait.

    Raises:
        OSError: The spool cannot be used.
        RuntimeError: No home directory is known for this user.
    """
    spool = Spool(folder or places.state_folder())
    if not spool.exists():
        return 0, 0, 0
    spool.prepare()
    sender = Sender(min(ANSWER_SECONDS, timeout), learn=_learn, servers=Backoff(spool.root))
    delivered = refused = 0
    clock = Clock()
    deadline = clock.now() + timeout
    try:
        while True:
            drain = Drain(spool, Backoff(spool.root), sender, clock=clock, by_hand=True)
            held = drain.run(deadline)
            delivered += drain.delivered
            refused += drain.refused
            if held or clock.now() >= deadline:
                break
            time.sleep(0.05)  # another courier holds the lease: it may be done soon
    finally:
        sender.close()
    counts = spool.count()
    return delivered, refused, counts["ready"] + counts["sending"]


def drain_for(sender: Sender, **options: Any) -> Drain | None:
    """What there is to be done, as `Drain` takes it, or None where nothing was ever spooled."""
    spool = Spool(places.state_folder())
    if not spool.exists():
        return None
    spool.prepare()
    return Drain(spool, Backoff(spool.root), sender, **options)


def _number(arguments: Sequence[str], name: str) -> float | None:
    values = [word.removeprefix(name) for word in arguments if word.startswith(name)]
    return float(values[0]) if values else None


def send_payload(sender: Sender, payload: bytes) -> None:
    """Send a record that no disk took; where that fails, the disk gets another chance."""
    try:
        record = parse(payload)
        record["breadcrumb"] = message.fit(record["breadcrumb"])
    except InvalidRecordError as error:
        log.debug("%s", error)
        return
    try:
        sender(record["endpoint"], as_sent(record, time.time()))
    except NoAnswerError as error:
        log.debug("%s: %s", record["endpoint"], error)
        if error.kind != "refused":
            _spool_payload(record)


def _spool_payload(record: Record) -> None:
    try:
        Spool(places.state_folder()).put(record)
    except (OSError, RuntimeError) as error:
        log.debug("a breadcrumb that could not be spooled is lost: %s", error)
