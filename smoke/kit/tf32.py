"""What a GPU does to the inputs of a product in tf32, for faults that are put in on purpose."""

from __future__ import annotations

import numpy as np


def rounded(x: np.ndarray) -> np.ndarray:
    """x in float32, rounded to tf32's eleven bits by masking."""
    bits = np.ascontiguousarray(x, np.float32).view(np.int32)
    return ((bits + 0x1000) & -0x2000).view(np.float32)
