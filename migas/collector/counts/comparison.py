"""Whether the newest version completes less often than the one before it, by more than chance."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from migas.collector.counts.chance import CONFIDENT
from migas.collector.counts.outcomes import completes_more
from migas.collector.projects.versions import newest_first, version_order

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from migas.collector.counts.outcomes import Outcomes

ENOUGH = 30
"""A version of which fewer sessions ended is none to compare another one with."""


class Comparison(NamedTuple):
    """The newest version beside the one before it.

    `verdict` is 1 when the newest completes more often, -1 when it does less often, and 0 when
    chance may explain the difference.
    """

    newest: str
    outcomes: Outcomes
    before: str
    before_outcomes: Outcomes
    verdict: int


def newest_two(
    by_version: Mapping[str, Outcomes], named: str = "", deviations: float = CONFIDENT
) -> Comparison | None:
    """Compare the newest version with the one before it.

    Args:
        by_version: How each version's sessions ended.
        named: The newest version, as the project's maintainer says; without one, or where none of
            its sessions ended, it is the newest of those that others could be compared with.
        deviations: How confident the verdict has to be.

    Returns:
        None when there are no two versions of which enough sessions ended. Versions that are
        none of PEP 440 are left out, and so are pre-releases beside a release.
    """
    known = [name for name in by_version if version_order(name)[0]]
    enough = [name for name in known if by_version[name].ended >= ENOUGH]
    candidates = [named] if named in known and by_version[named].ended else enough
    newest = max(candidates, key=version_order, default=None)
    if newest is None:
        return None
    before = versions_before([newest], enough)[newest]
    if before is None:
        return None
    one, other = by_version[newest], by_version[before]
    return Comparison(newest, one, before, other, completes_more(one, other, deviations))


def versions_before(versions: Iterable[str], others: Iterable[str]) -> dict[str, str | None]:
    """Of each version the newest older one; a pre-release is none before a release.

    Args:
        versions: As PEP 440 has them.
        others: Among which it is looked for; what is no version of PEP 440 is left out.
    """
    orders = map(version_order, newest_first(others))
    older = [(order, name) for is_version, order, name in orders if is_version]
    found: dict[str, str | None] = {}
    for version in versions:
        _, own, _ = version_order(version)
        found[version] = next(
            (
                name
                for order, name in older
                if order < own and (own.is_prerelease or not order.is_prerelease)
            ),
            None,
        )
    return found
