"""What servers told couriers about newer releases, kept for a notice at the end of a later run."""

from __future__ import annotations

import re

from migas.spool import layout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, TypedDict

    class Known(TypedDict):
        """What is known of one project's releases."""

        latest: str
        bad_versions: list[str]


_NO_VERSIONS = ("unknown", "forbidden")  # of a server that found none, or was not let look
_MAX_PROJECTS = 200
_MAX_VERSIONS = 50
_MAX_CHARS = 40
_VERSION = re.compile(r"v?(\d+(?:\.\d+)*)(.*)", re.DOTALL)


def learn(root: str, project: str, answer: Mapping[str, Any]) -> None:
    """Keep what a server's answer to `add_project` says of a project; it is not trusted.

    Args:
        root: The state folder.
        project: `owner/repo`.
        answer: The answer.
    """
    latest, bad = newest_version(answer), answer.get("bad_versions")
    told: Known = {
        "latest": clean(latest) if latest is not None else "",
        "bad_versions": [
            clean(version)
            for version in (bad if isinstance(bad, list) else [])[:_MAX_VERSIONS]
            if isinstance(version, str)
        ],
    }
    everything = layout.read(root, layout.RELEASES)
    if not (told["latest"] or told["bad_versions"]) or everything.get(project) == told:
        return
    everything.pop(project, None)
    everything[project] = told
    layout.write(root, layout.RELEASES, everything, _MAX_PROJECTS)


def newest_version(answer: Mapping[str, Any]) -> str | None:
    """The newest version that an answer to `add_project` names, or None where that is unknown."""
    latest = answer.get("latest_version")
    return latest if isinstance(latest, str) and latest not in _NO_VERSIONS else None


def known(root: str, project: str) -> Known | None:
    """What is known of a project's releases."""
    found = layout.read(root, layout.RELEASES).get(project)
    if not isinstance(found, dict) or not isinstance(found.get("latest"), str):
        return None
    bad = found.get("bad_versions")
    versions = [version for version in bad if isinstance(version, str)] if bad else []
    return {"latest": clean(found["latest"]), "bad_versions": versions}


def is_flagged(known: Known, version: str) -> bool:
    """Whether a version is one of those that the makers warn of."""
    return version.strip().removeprefix("v") in {
        bad.removeprefix("v") for bad in known["bad_versions"]
    }


def is_newer(latest: str, version: str) -> bool:
    """Whether one version is a later release than another, as far as their numbers tell.

    Of the same numbers a plain release is later than what leads up to it (`1.2.0` after `1.2.0rc1`
    and after `1.2.0.dev3`); whatever cannot be compared is not newer.
    """
    ours, theirs = _numbers(version), _numbers(latest)
    if ours is None or theirs is None or not theirs[1]:
        return False
    return theirs > ours


def clean(text: str) -> str:
    """A server's text without what could steer a terminal, and short."""
    return "".join(char for char in text if char.isprintable())[:_MAX_CHARS]


def _numbers(version: str) -> tuple[tuple[int, ...], bool] | None:
    found = _VERSION.fullmatch(version.strip())
    if found is None or "unknown" in found[2]:  # `0+unknown`: built outside of version control
        return None
    numbers = [int(number[:9]) for number in found[1].split(".")]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    is_release = found[2] == "" or found[2].startswith(("+", ".post", "-"))
    return tuple(numbers), is_release
