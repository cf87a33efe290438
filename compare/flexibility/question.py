"""How flexible is it? Seven tasks on a small network, each exact against NumPy in float64, or "cannot, because".

The network: scores = tanh(x w1) w2; the loss of an example is half the squared distance of its scores to its target,
and that of a batch is the mean over its examples.
"""

from __future__ import annotations

from typing import Any, Callable

import numpy as np

TITLE = "How flexible is it?"
CLAIM = "PyTorch gives more flexibility and low-level control than Keras; Caffe lacks flexibility."
KIND = "facts"
CELLS = {
    "frozen-part": "Train a part of a network and leave the other part alone",
}
APART = False
STEPS, RATE = 5, 0.1


class Problem:
    """Data and weights, float64: x (8, 5), y (8, 3), w1 (5, 4), w2 (4, 3)."""

    def __init__(self, seed: int) -> None:
        random = np.random.RandomState(seed)
        self.x, self.y = random.randn(8, 5), random.randn(8, 3)
        self.w1, self.w2 = random.randn(5, 4) / 2, random.randn(4, 3) / 2
        self.steps, self.rate = STEPS, RATE


def gradients(x: np.ndarray, y: np.ndarray, w1: np.ndarray, w2: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Those of the batch's loss with respect to w1 and w2."""
    h = np.tanh(x @ w1)
    back = (h @ w2 - y) / len(x)
    return x.T @ ((back @ w2.T) * (1 - h * h)), h.T @ back


def _frozen_part(problem: Problem) -> tuple[np.ndarray, ...]:
    w2 = problem.w2
    for _ in range(problem.steps):
        w2 = w2 - problem.rate * gradients(problem.x, problem.y, problem.w1, w2)[1]
    return problem.w1, w2


EXPECTED: dict[str, Callable[[Problem], tuple[np.ndarray, ...]]] = {
    "frozen-part": _frozen_part,
}


def measure(cell: str, function: Callable[..., Any], task: Any) -> dict[str, Any]:
    """The largest relative error of what the function returns, arrays in the order that EXPECTED has them."""
    tolerance = float(getattr(task.module, "TOLERANCE", 1e-12))
    found = function(Problem(task.seed))
    expected = EXPECTED[cell](Problem(task.seed))
    assert len(found) == len(expected), f"{len(found)} arrays, and {len(expected)} are asked for"
    error = max(_error(one, right) for one, right in zip(found, expected))
    assert error <= tolerance, f"it is {error:.1e} from the reference, and {tolerance:g} is allowed"
    return {"values": {"error": error, "tolerance": tolerance}}


def _error(found: Any, right: np.ndarray) -> float:
    found = np.asarray(found, np.float64)
    assert found.shape == right.shape, f"an array of shape {found.shape}, and {right.shape} is asked for"
    return float(np.abs(found - right).max() / np.abs(right).max())
