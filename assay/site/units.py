"""Numbers with their units, as a page shows them."""

from __future__ import annotations

from rich.filesize import decimal

from assay.compare import Interval


def size(count: int | None) -> str:
    """Bytes: 1.25 GB."""
    return decimal(count, precision=2) if count else "not known"


def time(seconds: float) -> str:
    """Seconds, in the unit that needs no zeros: 3.21 ms."""
    for unit, factor in (("s", 1.0), ("ms", 1e3), ("µs", 1e6)):
        if seconds * factor >= 1:
            return f"{significant(seconds * factor)} {unit}"
    return f"{significant(seconds * 1e9)} ns"


def ratio(value: float) -> str:
    """A ratio: two decimals, and three places where it is large."""
    return f"{value:.2f}" if value < 10 else significant(value)


def span(interval: Interval) -> str:
    """A ratio with the ends of its interval."""
    return f"{ratio(interval.middle)} ({ratio(interval.low)} to {ratio(interval.high)})"


def significant(value: float) -> str:
    """Three places, and no exponent."""
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
