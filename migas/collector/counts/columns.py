"""Figures as the columns of a row: how sessions ended, their rate, and how long they took."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migas.collector.counts.durations import quantiles

if TYPE_CHECKING:
    from collections.abc import Mapping

    from migas.collector.counts.outcomes import Outcomes


def numbers_of(of: Outcomes) -> tuple[int, int, int, int, int]:
    """How many sessions there are, and how many of each outcome."""
    return of.total, of.completed, of.failed, of.suspended, of.running


def rate_of(ended: Outcomes) -> tuple[int, int, float | None, float | None, float | None]:
    """How many ended and completed, and the completion rate with its interval."""
    rate, (low, high) = _rounded(ended.rate), ended.interval or (None, None)
    return ended.ended, ended.completed, rate, _rounded(low), _rounded(high)


def share_of(part: int, whole: int) -> float | None:
    """A share in percent; None of nothing."""
    return round(100 * part / whole, 2) if whole else None


def took(counts: Mapping[int, int]) -> tuple[int, float | None, float | None]:
    """How many runs there are, and within which time half and nine of ten were over.

    Args:
        counts: How many runs lie in which bucket.
    """
    half, most = map(_seconds, quantiles(counts, 0.5, 0.9))
    return sum(counts.values()), half, most


def _seconds(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")


def _rounded(share: float | None) -> float | None:
    return None if share is None else round(share, 2)
