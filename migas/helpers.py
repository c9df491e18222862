"""`track_exit` under the name by which released programs import it."""

from __future__ import annotations

from migas.tracking.exits import track_exit

__all__ = ["track_exit"]
