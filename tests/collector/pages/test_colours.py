"""The colours of the charts, as people see them who see two kinds of light and not three."""

from __future__ import annotations

import re
from itertools import combinations, pairwise
from pathlib import Path

import pytest

import migas

CSS = Path(migas.__file__).parent / "collector/pages/static/page.css"

# Machado, Oliveira and Fernandes (2009), at full severity: linear red, green and blue as seen.
SEEN = {
    "all colours": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "no red": (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    "no green": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
    "no blue": (
        (1.255528, -0.076749, -0.178779),
        (-0.078411, 0.930809, 0.147602),
        (0.004733, 0.691367, 0.303900),
    ),
}

# What touches in a bar, or lies in one chart.
OUTCOMES = list(combinations(("completed", "failed", "suspended", "running"), 2))
STACKED = [*(f"version-{number}" for number in range(5)), "running"]
VERSIONS = list(pairwise(STACKED))
USERS = [("completed", "plain")]


def colours(scheme: str) -> dict[str, str]:
    """The colours of a scheme by their names."""
    light, dark = CSS.read_text("utf-8").split("prefers-color-scheme: dark", 1)
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", light if scheme == "light" else dark))


def lab(colour: str, seen: str) -> tuple[float, float, float]:
    """A colour in CIE L*a*b*, where equal distances look about equally far."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [at / 12.92 if at <= 0.04045 else ((at + 0.055) / 1.055) ** 2.4 for at in parts]
    red, green, blue = (
        min(1.0, max(0.0, sum(a * b for a, b in zip(row, linear, strict=True))))
        for row in SEEN[seen]
    )
    x = (0.4124564 * red + 0.3575761 * green + 0.1804375 * blue) / 0.95047
    y = 0.2126729 * red + 0.7151522 * green + 0.0721750 * blue
    z = (0.0193339 * red + 0.1191920 * green + 0.9503041 * blue) / 1.08883
    x, y, z = (
        at ** (1 / 3) if at > 216 / 24389 else (24389 / 27 * at + 16) / 116 for at in (x, y, z)
    )
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("seen", SEEN)
def test_what_stands_side_by_side_is_told_apart(scheme: str, seen: str) -> None:
    known = colours(scheme)
    for one, other in OUTCOMES + VERSIONS + USERS:
        both = lab(known[one], seen), lab(known[other], seen)
        distance = sum((a - b) ** 2 for a, b in zip(*both, strict=True)) ** 0.5
        assert distance > 15, f"{one} {known[one]} and {other} {known[other]}"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_version_has_the_colour_of_another(scheme: str) -> None:
    known = colours(scheme)
    for one, other in combinations(STACKED, 2):
        both = lab(known[one], "all colours"), lab(known[other], "all colours")
        assert sum((a - b) ** 2 for a, b in zip(*both, strict=True)) ** 0.5 > 20, (one, other)
