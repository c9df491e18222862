"""The time that breadcrumbs are stamped with, in the three forms in which it is asked for."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from migas.collector.days import moment

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable


class Clock:
    """The present time."""

    def __init__(self, seconds: Callable[[], float] = time.time) -> None:
        self._seconds = seconds

    def time(self) -> float:
        """The present time, in seconds since 1970."""
        return self._seconds()

    def now(self) -> int:
        """The present second."""
        return int(self._seconds())

    def today(self) -> dt.date:
        """The present day, in UTC."""
        return moment(self._seconds()).date()
