"""Ratios of paired measurements: an interval, a p-value, and a correction for many of them.

The interval is that of Wilcoxon's signed-rank test, turned round (Hodges and Lehmann, "Estimates of location based
on rank tests", 1963): the log ratios of the blocks are averaged in pairs, each also with itself; the middle is the
median of these averages, and the ends are those that the test does not reject. It is exact where the noise of a log
ratio is symmetric, as it is where both sides have noise of one kind, however heavy its tails are.
``bench/intervals.py`` shows it beside others on tables of known truth.
"""

from __future__ import annotations

import bisect
import functools
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

CONFIDENCE = 0.95
LEAST = 0.03  # a smaller difference is none that anybody would choose a framework by
DECIMALS = 0.005  # half of the second decimal
FEWEST = 6  # blocks: with fewer, no interval of the test has 95 %

K = TypeVar("K")


@dataclass(frozen=True)
class Interval:
    """A ratio's middle, and the ends of its interval of 95 % confidence."""

    low: float
    middle: float
    high: float

    def holds(self, ratio: float) -> bool:
        """Whether a ratio lies in it."""
        return self.low <= ratio <= self.high

    def reads(self, ratio: float) -> bool:
        """Whether a ratio in it is this one to two decimals: of many cells an interval is narrower than that."""
        return self.low <= ratio + DECIMALS and self.high >= ratio - DECIMALS

    def __str__(self) -> str:
        return f"{self.middle:.2f} [{self.low:.2f}, {self.high:.2f}]"


def interval(ratios: Sequence[float]) -> Interval:
    """The interval of the ratio that paired ratios scatter around, one a block; raises `ValueError` for fewer than 6.

    Ratios have to be above 0.
    """
    if len(ratios) < FEWEST:
        raise ValueError(f"{len(ratios)} blocks are too few for an interval, {FEWEST} are needed")
    averages = _averages(ratios, 1.0)
    end = _end(len(ratios))
    low, high = averages[end - 1], averages[-end]
    return Interval(math.exp(low), math.exp(statistics.median(averages)), math.exp(high))


def p_value(ratios: Sequence[float], truth: float = 1.0) -> float:
    """The two-sided p-value of Wilcoxon's signed-rank test that paired ratios scatter around ``truth``.

    It is at most 0.05 exactly where ``truth`` lies outside of `interval`. An average that is ``truth`` itself counts
    for both sides, so that ties make it no smaller.
    """
    averages = _averages(ratios, truth)
    below = bisect.bisect_right(averages, 0.0)
    above = len(averages) - bisect.bisect_left(averages, 0.0)
    return tail(len(ratios), min(below, above))


def tail(blocks: int, fewer: int) -> float:
    """The p-value where ``fewer`` averages lie on the side that has fewer of them."""
    return min(1.0, sum(_ways(blocks)[: fewer + 1]) / 2.0 ** (blocks - 1))


def holm(p_values: Mapping[K, float]) -> dict[K, float]:
    """The p-values of a family, adjusted by Holm's method: below 0.05 for any that is true happens once in twenty."""
    adjusted: dict[K, float] = {}
    largest = 0.0
    for rank, name in enumerate(sorted(p_values, key=lambda one: p_values[one])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[name]))
        adjusted[name] = largest
    return adjusted


def shown(found: Interval, adjusted: float) -> bool:
    """Whether a difference is shown: the interval excludes 1, in the whole family too, and its middle is beyond 3 %.

    Beyond 3 % is above 1.03 or below 1/1.03, so that it is the same from either side.
    """
    return (
        adjusted <= 1 - CONFIDENCE + 1e-12
        and not found.holds(1.0)
        and abs(math.log(found.middle)) > math.log1p(LEAST)
    )


def agree(first: Interval, second: Interval) -> bool:
    """Whether a second measurement confirms a first: its middle lies in the first's interval, or within 3 % of it."""
    return first.holds(second.middle) or abs(math.log(second.middle / first.middle)) <= math.log1p(LEAST)


def _averages(ratios: Sequence[float], truth: float) -> list[float]:
    """Walsh's averages of the log ratios to ``truth``, sorted."""
    logs = [math.log(ratio / truth) for ratio in ratios]
    return sorted((one + other) / 2 for at, one in enumerate(logs) for other in logs[: at + 1])


@functools.cache
def _ways(count: int) -> tuple[int, ...]:
    """In how many ways of signs the ranks 1 to ``count`` that are positive sum to 0, 1, 2 and so on."""
    ways = [1]
    for rank in range(1, count + 1):
        ways = [a + b for a, b in zip([*ways, *[0] * rank], [*[0] * rank, *ways], strict=True)]
    return tuple(ways)


@functools.cache
def _end(count: int) -> int:
    """Which average is the interval's end, counted from 1, from either side: the first that the test lets stand."""
    ways, tail, sums = _ways(count), (1 - CONFIDENCE) / 2 * 2**count, 0
    for at, one in enumerate(ways):
        sums += one
        if sums > tail:
            return at
    raise AssertionError("the ways sum to 2**count")
