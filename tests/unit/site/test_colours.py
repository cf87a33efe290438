"""The colours of the frameworks: apart for whoever sees two of three primary colours, and plain on both papers."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

import assay.site
from assay.site.frameworks import looks

STYLE = (Path(assay.site.__file__).with_name("templates") / "style.css").read_text()
Vector = Sequence[float]
# Machado, Oliveira, Fernandes, "A physiologically-based model for simulation of color vision deficiency" (2009): what
# is seen of linear RGB where one kind of cone is missing.
SEEN = {
    "all three": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protanopia": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deuteranopia": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
    "tritanopia": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)),
}
XYZ = ((0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505))
APART = 18.0  # in CIE 1976 L*a*b*; 2.3 is a difference that is just seen


def linear(colour: str) -> list[float]:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    return [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]


def times(matrix: Sequence[Vector], vector: Vector) -> list[float]:
    return [sum(one * other for one, other in zip(row, vector, strict=True)) for row in matrix]


def lab(rgb: Vector) -> tuple[float, float, float]:
    white = (0.9505, 1.0, 1.089)
    x, y, z = (
        one ** (1 / 3) if one > 0.008856 else 7.787 * one + 16 / 116
        for one in (max(part, 0) / most for part, most in zip(times(XYZ, rgb), white, strict=True))
    )
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def contrast(one: str, other: str) -> float:
    """By WCAG 2: from 1 to 21."""
    low, high = sorted(times(XYZ, linear(colour))[1] + 0.05 for colour in (one, other))
    return high / low


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("eyes", SEEN)
def test_no_two_frameworks_are_taken_for_each_other(scheme: str, eyes: str) -> None:
    seen = {name: lab(times(SEEN[eyes], linear(getattr(look, scheme)))) for name, look in looks().items()}
    for one, other in itertools.combinations(seen, 2):
        distance = sum((a - b) ** 2 for a, b in zip(seen[one], seen[other], strict=True)) ** 0.5
        assert distance >= APART, (one, other, round(distance, 1))


def papers() -> dict[str, str]:
    light, dark = re.findall(r"--paper: (#\w{6})", STYLE)[:2]
    return {"light": light, "dark": dark}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_marks_are_seen_on_the_paper(scheme: str) -> None:
    """3 to 1 is what WCAG asks of graphics."""
    for name, look in looks().items():
        assert contrast(getattr(look, scheme), papers()[scheme]) >= 3, name


def test_each_framework_has_a_mark_of_its_own() -> None:
    marks = [look.mark for look in looks().values()]
    assert len(set(marks)) == len(marks)
    assert "ring" not in marks, "that is for those that have none"
