"""What the courier's process does: it empties the spool, and it can never hang.

It dies within `STALL_SECONDS` unless it makes progress, and after `LIFE_SECONDS` in any case.
"""

from __future__ import annotations

import os
import signal
import sys
import time

from migas import breadcrumb, config, log
from migas.backoff import Backoff
from migas.drain import Drain, Sender
from migas.spool import Spool, parse
from migas.transport import NoAnswerError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

STALL_SECONDS = 60
LIFE_SECONDS = 20 * 60
ANSWER_SECONDS = 10.0
"""Seconds for one answer; nobody waits for a courier, so it can be patient."""

_MAX_PAYLOAD_BYTES = 16 * 1024
_NICENESS = 5


def main(arguments: Sequence[str]) -> int:
    """Be a courier.

    Args:
        arguments: Of `--now` (a person asked), `--stdin` (a record comes through standard input)
            and `--attended=SECONDS` (somebody waits that long and then kills).

    Returns:
        Always 0: nobody looks.
    """
    began = time.monotonic()
    attended_for = next(
        (float(word.partition("=")[2]) for word in arguments if word.startswith("--attended=")),
        None,
    )
    if config.refusal(environment_only=True) is not None:
        return 0
    _still_alive()
    if attended_for is None and hasattr(os, "nice"):
        os.nice(_NICENESS)
    sender = Sender(
        ANSWER_SECONDS, hurry_until=None if attended_for is None else began + attended_for
    )
    try:
        if "--stdin" in arguments:
            _send_payload(sender)
        _drain(sender, by_hand="--now" in arguments)
    except (OSError, RuntimeError) as error:
        log.debug("the courier cannot use the spool: %s", error)
    finally:
        sender.close()
    return 0


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
    spool = Spool(folder or config.state_folder())
    if not spool.exists():
        return 0, 0, 0
    spool.prepare()
    sender = Sender(min(ANSWER_SECONDS, timeout))
    delivered = refused = 0
    deadline = time.time() + timeout
    try:
        while True:
            drain = Drain(spool, Backoff(spool.root), sender, by_hand=True)
            held = drain.run(deadline)
            delivered += drain.delivered
            refused += drain.refused
            if held or time.time() >= deadline:
                break
            time.sleep(0.05)  # another courier holds the lease: it may be done soon
    finally:
        sender.close()
    counts = spool.count()
    return delivered, refused, counts["ready"] + counts["sending"]


def _drain(sender: Sender, *, by_hand: bool) -> None:
    spool = Spool(config.state_folder())
    if not spool.exists():
        return
    spool.prepare()
    drain = Drain(spool, Backoff(spool.root), sender, by_hand=by_hand, on_progress=_still_alive)
    drain.run(time.time() + LIFE_SECONDS)


def _send_payload(sender: Sender) -> None:
    """A breadcrumb that no disk took has this one chance."""
    record = parse(sys.stdin.buffer.read(_MAX_PAYLOAD_BYTES))
    try:
        sender(record["endpoint"], breadcrumb.fit(record["breadcrumb"]))
    except NoAnswerError as error:
        log.debug("a breadcrumb that could not be spooled is lost: %s", error)


def _still_alive() -> None:
    """Put off the alarm that ends a courier which hangs; its default action needs no Python."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, STALL_SECONDS)
