"""Interval plots as SVG that stands in a page: drawn in the page's colours, as wide as there is room.

Places across are in percent and heights in pixels, so that a plot becomes narrower on a phone and its marks do not.
The scale is logarithmic: half as much and twice as much are equally far from 1.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from markupsafe import Markup

from assay.compare import Interval
from assay.site.marks import shape

MIDDLE, HEIGHT = 16, 32  # pixels
_STEPS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 0.8, 1, 1.25, 2, 5, 10, 20, 50, 100)


@dataclass(frozen=True)
class Scale:
    """From which ratio to which, both above 0."""

    low: float
    high: float

    @classmethod
    def around(cls, ratios: Iterable[float]) -> Scale:
        """A scale with room for all of these, and for 1."""
        there = [1.0, *(one for one in ratios if 0 < one < math.inf)]
        room = max(math.log(max(there) / min(there)) * 0.06, 0.02)
        return cls(min(there) * math.exp(-room), max(there) * math.exp(room))

    def place(self, ratio: float) -> str:
        """Where a ratio stands, in percent from the left."""
        share = math.log(ratio / self.low) / math.log(self.high / self.low)
        return f"{100 * min(max(share, 0.0), 1.0):.2f}%"

    def ticks(self) -> list[float]:
        """The ratios that are written under a plot."""
        inside = [one for one in _STEPS if self.low <= one <= self.high]
        return inside if len(inside) > 1 else [self.low, 1.0, self.high]


def strip(framework: str, interval: Interval, points: Iterable[float], scale: Scale) -> Markup:
    """A line of a plot: the raw points behind, the interval, and the framework's mark at its middle."""
    raw = Markup().join(
        Markup('<circle class="raw" cx="{}" cy="{}" r="2.5"/>').format(scale.place(one), MIDDLE + _aside(number))
        for number, one in enumerate(points)
        if 0 < one < math.inf
    )
    return Markup(
        '<svg class="strip" height="{height}" aria-hidden="true">{grid}{raw}'
        '<line class="span" x1="{low}" x2="{high}" y1="{y}" y2="{y}"/>'
        '<svg x="{middle}" y="{y}" overflow="visible">{mark}</svg></svg>'
    ).format(
        height=HEIGHT,
        grid=_grid(scale),
        raw=raw,
        low=scale.place(interval.low),
        high=scale.place(interval.high),
        middle=scale.place(interval.middle),
        y=MIDDLE,
        mark=shape(framework),
    )


def axis(scale: Scale) -> Markup:
    """What stands under the lines of a plot."""
    texts = Markup().join(
        Markup('<text x="{}" y="14">{}</text>').format(scale.place(one), f"{one:.2g}" if one < 1 else f"{one:.3g}")
        for one in scale.ticks()
    )
    return Markup('<svg class="strip" height="20" aria-hidden="true">{}</svg>').format(texts)


def _grid(scale: Scale) -> Markup:
    lines = [Markup('<line class="{}" x1="{x}" x2="{x}" y1="0" y2="100%"/>')]
    return Markup().join(
        lines[0].format("one" if one == 1 else "tick", x=scale.place(one)) for one in (*scale.ticks(), 1.0)
    )


def _aside(number: int) -> int:
    """How far a point lies from the line, so that equal ones do not hide each other."""
    return (number * 5) % 13 - 6
