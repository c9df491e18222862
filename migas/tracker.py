"""A door: what programs for newer clients import from `migas.tracker`."""

from __future__ import annotations

from migas.tracking.decorator import Tracker, track
from migas.tracking.exits import track_exit

__all__ = ["Tracker", "track", "track_exit"]
