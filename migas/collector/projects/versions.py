"""Versions: how one is written, which one is the newest, and which ones should be left behind."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from packaging.version import InvalidVersion, Version

from migas.message import MAX_VERSION_CHARS

if TYPE_CHECKING:
    from collections.abc import Iterable

UNKNOWN = "unknown"
"""What stands in an answer, or in a row, where no version is known."""

NO_VERSIONS = (UNKNOWN, "forbidden")
"""What the official server calls the newest version where it found none, or may not look."""

_SAFE = re.compile(r"[A-Za-z0-9._+-]+")


@dataclass(frozen=True, slots=True)
class Release:
    """What a project's maintainer said about its versions.

    Args:
        latest: The newest version, or `UNKNOWN` when nobody has named one.
        flagged: Versions with known faults, in the order of PEP 440.
    """

    latest: str = UNKNOWN
    flagged: tuple[str, ...] = ()

    @property
    def is_known(self) -> bool:
        """Whether a newest version was named, rather than looked for and not found."""
        return self.latest not in NO_VERSIONS

    @property
    def named(self) -> str:
        """The newest version; empty when nobody has named one."""
        return self.latest if self.is_known else ""

    def flags(self, version: str) -> bool:
        """Whether a version is flagged, however it is spelled (`1.0` is `1.0.0`)."""
        wanted = _comparable(version)
        return any(_comparable(flagged) == wanted for flagged in self.flagged)


def strict_version(text: object) -> str:
    """A version as PEP 440 writes it: `v1.2.3` becomes `1.2.3`.

    Raises:
        ValueError: It is no version in the sense of PEP 440.
    """
    if not isinstance(text, str):
        raise ValueError(f"Invalid version: {text!r}")  # noqa: TRY004  what a scalar parser may raise
    return _normal(text)


def project_answer(release: Release | None) -> dict[str, Any]:
    """What `add_project` answers about a project's versions; None is an unregistered project."""
    if release is None:
        return {"success": False}
    return {
        "bad_versions": list(release.flagged),
        "cached": release.latest != UNKNOWN,
        "latest_version": release.latest,
        "message": "",
        "success": release.is_known,  # as on the official server, which has stored all the same
    }


@lru_cache(maxsize=1024)
def lenient_version(text: str) -> str:
    """A version as far as it can be made sense of.

    Returns:
        The normal form of a PEP 440 version; another text as it is when it has only letters,
        digits and `._+-`; else `UNKNOWN`.
    """
    try:
        return strict_version(text)
    except InvalidVersion:
        return text if _SAFE.fullmatch(text) else UNKNOWN


def stored_version(text: str) -> str:
    """A version cut to the characters that a row holds."""
    return text[:MAX_VERSION_CHARS]


def in_order(versions: set[str]) -> tuple[str, ...]:
    """Versions from the oldest to the newest."""
    return tuple(sorted(versions, key=Version))


@lru_cache(maxsize=1024)
def _normal(text: str) -> str:
    """The normal form of a version; most breadcrumbs have one of a few versions."""
    return str(Version(text))


@lru_cache(maxsize=4096)
def version_order(text: str) -> tuple[bool, Version, str]:
    """A key by which PEP 440's versions come in their order, and after whatever is none."""
    try:
        return True, Version(text), text
    except InvalidVersion:
        return False, Version("0"), text


def newest_first(versions: Iterable[str]) -> list[str]:
    """Different versions against the order of `version_order`.

    To compare two takes longer than most else that is done with them, and a page asks for the order
    of the same ones again and again.
    """
    return list(_newest_first(frozenset(versions)))


@lru_cache(maxsize=16)
def _newest_first(versions: frozenset[str]) -> tuple[str, ...]:
    return tuple(sorted(versions, key=version_order, reverse=True))


def _comparable(text: str) -> Version | str:
    try:
        return Version(text)
    except InvalidVersion:
        return text
