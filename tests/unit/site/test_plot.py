"""Interval plots: where marks stand, and that a plot holds whatever it is given."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.compare import Interval
from assay.site import plot
from assay.site.plot import Scale

ratios = st.floats(1e-6, 1e6)


def test_half_and_twice_are_equally_far_from_one() -> None:
    scale = Scale(0.25, 4)
    assert [scale.place(ratio) for ratio in (0.25, 0.5, 1, 2, 4)] == [
        "0.00%",
        "25.00%",
        "50.00%",
        "75.00%",
        "100.00%",
    ]
    assert scale.place(100) == "100.00%"


def test_a_line_has_its_points_its_interval_and_its_mark() -> None:
    drawn = ElementTree.fromstring(plot.strip("torch", Interval(0.5, 1, 2), [0.5, 1.5], Scale(0.25, 4)))
    (span,) = drawn.findall("line[@class='span']")
    assert (span.get("x1"), span.get("x2")) == ("25.00%", "75.00%")
    assert [one.get("cx") for one in drawn.findall("circle[@class='raw']")] == ["25.00%", "64.62%"]
    assert [one.get("x") for one in drawn.findall("svg")] == ["50.00%"]
    assert drawn.get("aria-hidden") == "true", "the text beside it says what it shows"


def test_one_is_always_on_the_scale() -> None:
    for there in ([], [0.2], [3.0], [1.0]):
        scale = Scale.around(there)
        assert scale.low < 1 < scale.high
        assert all(scale.low < one < scale.high for one in there)
        assert 1.0 in scale.ticks()


@given(st.lists(ratios, min_size=1, max_size=30), ratios)
def test_whatever_is_measured_stands_within_the_plot(points: list[float], middle: float) -> None:
    interval = Interval(middle / 2, middle, middle * 2)
    scale = Scale.around([*points, interval.low, interval.high])
    drawn = plot.strip("jax", interval, points, scale) + plot.axis(scale)
    places = [float(one) for one in re.findall(r'="(-?[\d.]+)%"', drawn)]
    assert len(places) > len(points)
    assert all(0 <= one <= 100 for one in places)


@pytest.mark.parametrize("value", [0.0, float("inf")])
def test_a_point_that_has_no_place_is_left_out(value: float) -> None:
    assert 'class="raw"' not in plot.strip("torch", Interval(0.9, 1, 1.1), [value], Scale.around([value]))
