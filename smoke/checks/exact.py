"""P0 exact: integer products that have one right answer, in any order of summation and in every class.

With |x| <= 64 and K = 256 every partial sum stays below 2^24, so float32 accumulation is exact, and tf32 holds the
inputs. Where a framework gives a float16 or bfloat16 product back in that class the result itself is rounded, so
there |x| <= 1, and no sum passes 256. Convolutions may go through Winograd or FFT: they are compared after rounding.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from smoke import reference
from smoke.checks.context import PRECISIONS, Context
from smoke.report.result import Metric, Result, judged, metric

REMEDY = "The arithmetic is wrong, not imprecise: suspect the BLAS or the cuDNN that is loaded, or the hardware."


def run(_process: str, context: Context) -> Iterator[Result]:
    """A product and a convolution in each class."""
    for precision in PRECISIONS:
        for name, check in (("gemm", gemm), ("conv", conv)):
            check_id = f"P0.{name}.{precision}"
            refused = context.refused("exact", check_id, precision)
            yield refused or judged(check_id, "exact", [check(context, precision)], remedy=REMEDY)


def gemm(context: Context, precision: str) -> Metric:
    """The count of wrong elements of a (64, 256) by (256, 48) product."""
    a, b = integers((64, 256), _largest(precision), 1), integers((256, 48), _largest(precision), 2)
    found = context.framework.matmul(a, b, precision)
    return metric("wrong", wrong(found, a @ b), context.gates["exact"]["wrong"])


def wrong(found: np.ndarray, right: np.ndarray) -> float:
    """How many elements differ; all of them if the shape does."""
    return float(np.sum(found != right)) if found.shape == right.shape else float(right.size)


def conv(context: Context, precision: str) -> Metric:
    """The largest error of a 3x3 convolution of (4, 8, 12, 12) to 8 channels; below 0.5 it rounds right."""
    largest = min(16, _largest(precision))
    x, w = integers((4, 8, 12, 12), largest, 3), integers((8, 8, 3, 3), largest, 4)
    found, right = context.framework.conv2d(x, w, precision), reference.conv(x, w)
    error = float(np.max(np.abs(found - right))) if found.shape == right.shape else float("inf")
    return metric("error", error, context.gates["exact"]["error"], "<")


def integers(shape: tuple[int, ...], largest: int, seed: int) -> np.ndarray:
    """Integers from -largest to largest as float64."""
    return np.random.RandomState(seed).randint(-largest, largest + 1, shape).astype(np.float64)


def _largest(precision: str) -> int:
    return 1 if precision in ("fp16", "bf16") else 64
