"""Ratios and their intervals."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Interval:
    """A ratio's middle, and the ends of its interval of 95 % confidence."""

    low: float
    middle: float
    high: float

    def holds(self, ratio: float) -> bool:
        """Whether a ratio lies in it."""
        return self.low <= ratio <= self.high
