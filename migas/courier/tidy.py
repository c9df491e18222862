"""Putting a spool in order, as each courier does first: what others left behind or planted."""

from __future__ import annotations

import time

from migas.host import process
from migas.spool import layout, record
from migas.spool.record import Claim, Entry, OpenEntry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from migas.spool import Spool

CLAIM_SECONDS = 600.0
"""Seconds after which a claim that nobody finished goes back."""

RUNNING_SECONDS = 600.0
"""Seconds after which nobody is told any more that a run has begun."""

_PARSERS = {
    layout.READY: Entry.parse,
    layout.OPEN: OpenEntry.parse,
    layout.SENDING: Claim.parse,
}


def tidy(spool: Spool, *, by_hand: bool = False) -> None:
    """Set aside what is not ours, give back abandoned claims, keep the caps.

    Where a person asked, by hand, what dead couriers had claimed goes back at once.
    """
    for folder, parse in _PARSERS.items():
        for name in spool.names(folder):
            if not name.startswith(".") and parse(name) is None:
                spool.set_aside(spool.folder(folder, name))
    give_back_abandoned(spool, dead_owners=by_hand)
    _drop_stale_running(spool)
    spool.trim()
    layout.remove_old(spool.root)


def give_back_abandoned(spool: Spool, *, dead_owners: bool) -> None:
    """Put back what couriers claimed and never finished.

    An `R` is not put back: its session's end may have been sent meanwhile, and would be hidden.
    `dead_owners` has nobody wait `CLAIM_SECONDS` where the owner is known to be dead.
    """
    here = record.place_key(process.facts())
    for name in spool.names(layout.SENDING):
        claim = Claim.parse(name)
        if claim is None:
            continue
        # A clock that was set back, or another host's that is ahead, makes an age negative.
        is_old = abs(time.time() - claim.micros / 1e6) >= CLAIM_SECONDS
        is_dead = (
            dead_owners and claim.place == here and not process.is_alive(claim.pid, claim.started)
        )
        if is_old or is_dead:
            path = spool.folder(layout.SENDING, name)
            if Entry(claim.name).is_running:
                spool.discard(path)
            else:
                spool.give_back(path)


def _drop_stale_running(spool: Spool) -> None:
    limit = (time.time() - RUNNING_SECONDS) * 1e6
    for entry in spool.entries():
        if entry.is_running and entry.micros < limit:
            spool.discard(spool.folder(layout.READY, entry.name))
