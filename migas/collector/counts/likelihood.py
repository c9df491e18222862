"""Where an error happens: how often it meets sessions that have a value, beside any others."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from migas.collector.counts.chance import VERY_CONFIDENT, compared
from migas.collector.counts.frequency import frequent
from migas.collector.counts.outcomes import totals

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from migas.collector.counts.outcomes import Outcomes, VersionOutcomes
    from migas.collector.counts.usage import Facet


class Likelihood(NamedTuple):
    """How often an error meets sessions that have a value, beside how often it meets any.

    `times` is the one rate by the other one, and `verdict` 1 or -1 where it is above or below
    that of the other sessions by more than chance.
    """

    value: str
    failed: int
    sessions: int
    times: float
    verdict: int


def by_kind(
    hit: Iterable[VersionOutcomes],
    everything: Mapping[str, Outcomes],
    shares: Mapping[Facet, Mapping[str, int]],
    all_shares: Mapping[Facet, Mapping[str, int]],
) -> dict[str, list[Likelihood]]:
    """How often an error meets each version, and each value of what sessions ran on.

    Args:
        hit: How the sessions of each day and version ended that failed with it.
        everything: How the sessions of each version ended that could have.
        shares: By kind, how many sessions that failed with it have a value.
        all_shares: The same of all sessions.
    """
    by_version = totals((row.version, row.outcomes) for row in hit)
    versions = [
        {version: of.total for version, of in by.items()} for by in (by_version, everything)
    ]
    met = {"version": likelihoods(*versions)}
    for kind, found in shares.items():
        met[kind] = likelihoods(found, all_shares[kind])
    return met


def likelihoods(failed: Mapping[str, int], sessions: Mapping[str, int]) -> list[Likelihood]:
    """The values that an error meets, most often first, and how often it could have met them."""
    hit, everything = sum(failed.values()), sum(sessions.values())
    found = []
    for value, number in frequent(failed):
        had = max(sessions.get(value, 0), number)  # between two questions some may have come
        times = (number / had) / (hit / everything) if everything else 0.0
        verdict = compared((number, had), (hit - number, everything - had), VERY_CONFIDENT)
        found.append(Likelihood(value, number, had, times, verdict))
    return found
