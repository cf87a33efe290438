"""The interval keeps its word on tables whose truth is known, and equal ones are seldom told apart."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from assay.compare.statistics import CONFIDENCE, FEWEST, Interval, agree, holm, interval, p_value, shown

BLOCKS, TABLES, FAMILY, TRUE = 15, 1200, 40, 1.07
Ratios = list[list[float]]


def stalls(random: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    lost = np.log1p(random.uniform(0.05, 0.5, shape))
    return random.normal(0, 0.01, shape) + lost * (random.random(shape) < 1 / 8)


NOISE: dict[str, Callable[[np.random.Generator, tuple[int, int]], np.ndarray]] = {
    "log-normal": lambda random, shape: random.normal(0, 0.03, shape),
    "t, 3 degrees": lambda random, shape: 0.03 * random.standard_t(3, shape),
    "t, 2 degrees": lambda random, shape: 0.03 * random.standard_t(2, shape),
    "stalls": stalls,
}


def tables(noise: str, true: float, count: int) -> Ratios:
    """Paired ratios of processes whose noise is of one kind, in blocks that slow both sides down."""
    random, shape = np.random.default_rng(7), (count, BLOCKS)
    block = random.normal(0, 0.2, shape)
    theirs, ours = NOISE[noise](random, shape) + block, NOISE[noise](random, shape) + block
    return [[true * math.exp(each) for each in row] for row in (theirs - ours).tolist()]


@pytest.mark.parametrize("noise", NOISE)
def test_the_interval_covers_the_truth(noise: str) -> None:
    covered = sum(interval(row).holds(TRUE) for row in tables(noise, TRUE, TABLES)) / TABLES
    assert covered >= 0.93
    assert covered < 0.995, "it is no wider than need be"


@pytest.mark.parametrize("noise", NOISE)
def test_families_of_equal_ones_are_seldom_told_apart(noise: str) -> None:
    rows = tables(noise, 1.0, 200 * FAMILY)
    false = 0
    for at in range(0, len(rows), FAMILY):
        family = rows[at : at + FAMILY]
        adjusted = holm(dict(enumerate(map(p_value, family))))
        least = min(adjusted, key=lambda one: adjusted[one])
        # The interval is asked where the test says so: that is the rule of `shown`.
        false += adjusted[least] <= 0.05 and any(
            shown(interval(row), adjusted[one]) for one, row in enumerate(family) if adjusted[one] <= 0.05
        )
    assert false / 200 <= 0.05


def test_a_difference_of_ten_percent_is_shown() -> None:
    rows = tables("log-normal", 1.10, 100)
    assert sum(shown(interval(row), p_value(row) * FAMILY) for row in rows) >= 95


def test_a_difference_below_three_percent_is_none() -> None:
    steady = [1.02 + 0.0001 * at for at in range(BLOCKS)]
    assert p_value(steady) < 0.001
    assert not shown(interval(steady), p_value(steady))
    assert not shown(interval([1 / one for one in steady]), p_value(steady))
    assert shown(interval([1.04 * one for one in steady]), p_value(steady))
    assert shown(interval([0.94 * one for one in steady]), p_value(steady))
    assert not shown(interval([1.04 * one for one in steady]), 0.06), "not in its family"


RATIOS = st.lists(st.floats(0.01, 100), min_size=FEWEST, max_size=20)


@given(RATIOS, st.floats(0.1, 10))
def test_the_p_value_and_the_interval_say_the_same(ratios: list[float], true: float) -> None:
    found, p = interval(ratios), p_value(ratios, true)
    assert found.low <= found.middle <= found.high
    assert 0 < p <= 1
    if min(abs(math.log(true / end)) for end in (found.low, found.high)) > 1e-9:
        assert (p <= 1 - CONFIDENCE) == (not found.holds(true))


@given(st.lists(st.floats(-3, 3), min_size=FEWEST, max_size=20, unique=True))
def test_the_p_value_is_that_of_the_library(logs: list[float]) -> None:
    sizes = sorted(map(abs, logs))
    if sizes[0] > 1e-6 and min((b - a for a, b in itertools.pairwise(sizes)), default=1) > 1e-6:
        expected = scipy.stats.wilcoxon(logs, method="exact").pvalue
        assert p_value([math.exp(each) for each in logs]) == pytest.approx(expected, rel=1e-9)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_holm_is_that_of_the_book(several: list[float]) -> None:
    """Rejected at 0.05 are the smallest p-values, up to the first that is above 0.05 by the number that are left."""
    adjusted = holm(dict(enumerate(several)))
    order = sorted(range(len(several)), key=lambda one: several[one])
    rejected: set[int] = set()
    for rank, one in enumerate(order):
        if several[one] * (len(several) - rank) > 0.05:
            break
        rejected.add(one)
    assert {one for one, p in adjusted.items() if p <= 0.05} == rejected
    assert all(adjusted[one] >= p for one, p in enumerate(several))


def test_too_few_blocks_have_no_interval() -> None:
    with pytest.raises(ValueError, match="5 blocks are too few"):
        interval([1.0] * 5)


def test_an_interval_is_shown_with_its_ends() -> None:
    assert str(Interval(0.987, 1.0, 1.0123)) == "1.00 [0.99, 1.01]"


def test_a_second_measurement_confirms_the_first_or_not() -> None:
    wide, narrow = Interval(0.9, 1.0, 1.1), Interval(0.999, 1.0, 1.001)
    assert agree(wide, Interval(1.05, 1.09, 1.2))
    assert not agree(wide, Interval(1.05, 1.11, 1.2))
    assert agree(narrow, Interval(1.02, 1.025, 1.03)), "below three percent it is none that counts"
    assert not agree(narrow, Interval(1.02, 1.04, 1.05))


def test_to_two_decimals() -> None:
    assert Interval(1.002, 1.003, 1.004).reads(1.0)
    assert not Interval(1.006, 1.007, 1.008).reads(1.0)
    assert Interval(1.043, 1.044, 1.046).reads(1.05)
    assert not Interval(1.03, 1.04, 1.044).reads(1.05)
