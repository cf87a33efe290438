"""How the checks of this package say what they found."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

from smoke.report.result import Metric, Result, judged, metric

NO_CUDA = "the image promises no CUDA"
REBUILD = "Build the image again from its lock."
SHOWN = 8


def judge(check: str, wrong: Sequence[str], metrics: Iterable[Metric], remedy: str, family: str = "static") -> Result:
    """A result that passes if nothing is wrong and every metric holds; the reason names what is wrong."""
    result = judged(check, family, [metric("wrong", len(wrong), "0"), *metrics], remedy=remedy)
    if not wrong:
        return result
    more = f"; and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
    return dataclasses.replace(result, reason="; ".join(wrong[:SHOWN]) + more)
