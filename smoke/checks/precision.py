"""P1 observed precision: which class a product was really computed in, whatever class was asked for.

(1 + 2^-k) times 1 over K = 1024 gives 1024 + 2^(10-k) if the inputs keep k bits after the point, and 1024 if not.
Every partial sum fits float32. float16 has tf32's bits and is told from it by its range: 2^17 overflows.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from smoke.checks.context import PRECISIONS, Context
from smoke.report.result import Result, judged, metric

LENGTH = 1024
BITS = (*tuple(range(6, 14)), 30)
REMEDY = "A switch of the framework, or an environment variable, changes the class of its products."


def run(_process: str, context: Context) -> Iterator[Result]:
    """One result a class."""
    for precision in PRECISIONS:
        check_id = "P1.matmul." + precision
        yield context.refused("precision", check_id, precision) or _product(context, check_id, precision)


def _product(context: Context, check_id: str, precision: str) -> Result:
    bits = kept_bits(context.framework, precision)
    name = observed(context.framework, precision)
    return judged(check_id, "precision", [metric("bits", bits)], precision, name, REMEDY)


def observed(framework: Any, precision: str) -> str:
    """The class that a product was computed in, asked for as ``precision``; "unknown" if it is none of them."""
    return name_of(kept_bits(framework, precision), _overflows(framework, precision))


def kept_bits(framework: Any, precision: str) -> int:
    """The largest k of BITS up to which each is kept; 0 if none is."""
    a = np.ones((64, LENGTH))
    for row, k in enumerate(BITS):
        a[row] += 2.0**-k
    found = framework.matmul(a, np.ones((LENGTH, 32)), precision)
    kept = 0
    for row, k in enumerate(BITS):
        if not np.all(found[row] == LENGTH + LENGTH * 2.0**-k):
            break
        kept = k
    return kept


def _overflows(framework: Any, precision: str) -> bool:
    a = np.zeros((64, 64))
    a[:, 0] = 2.0**17
    return not np.all(np.isfinite(framework.matmul(a, np.eye(64), precision)))


def name_of(bits: int, overflows: bool) -> str:
    """The class with this many bits after the point and this range."""
    if overflows:
        return "fp16" if bits == 10 else "unknown"
    return {30: "f64", 13: "f32", 10: "tf32", 7: "bf16"}.get(bits, "unknown")
