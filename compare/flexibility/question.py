"""How flexible is it? Seven tasks on a small network, each exact against NumPy in float64, or "cannot, because".

The network: scores = tanh(x w1) w2. The loss of an example is half the squared distance of its scores to its target,
and that of a batch is the mean over its examples.
"""

from __future__ import annotations

from typing import Any, Callable

import numpy as np

TITLE = "How flexible is it?"
CLAIM = "PyTorch gives more flexibility and low-level control than Keras; Caffe lacks flexibility."
KIND = "facts"
CELLS = {
    "own-operation": "An operation of one's own, with a gradient of one's own",
    "own-optimizer": "An optimizer of one's own",
    "per-example-gradients": "The gradient of each example's loss",
    "hessian-vector": "The product of the loss's Hessian with a vector",
    "frozen-part": "Train a part of a network and leave the other part alone",
    "changed-gradients": "Change the gradient on its way back, in mid-net",
    "activations": "Read the activations in mid-net",
}
APART = False

Arrays = tuple[np.ndarray, ...]


class Problem:
    """Data and weights, float64, by NumPy's names for shapes: x (8, 5), y (8, 3), w1 (5, 4), w2 (4, 3); v1 and v2 are
    the vector that the Hessian is multiplied with.
    """

    def __init__(self, seed: int) -> None:
        random = np.random.RandomState(seed)
        self.x, self.y = random.randn(8, 5), random.randn(8, 3)
        self.w1, self.w2 = random.randn(5, 4) / 2, random.randn(4, 3) / 2
        self.v1, self.v2 = random.randn(5, 4), random.randn(4, 3)
        self.steps, self.rate, self.momentum = 5, 0.125, 0.9
        self.limit = 0.0625  # of changed-gradients; like the rate, a number that float32 has too: MXNet keeps them so


def gradients(x: np.ndarray, y: np.ndarray, w1: np.ndarray, w2: np.ndarray, limit: float = np.inf) -> Arrays:
    """Those of the batch's loss with respect to w1 and w2; what passes the activations is clipped to the limit."""
    h = np.tanh(x @ w1)
    back = (h @ w2 - y) / len(x)
    return x.T @ (np.clip(back @ w2.T, -limit, limit) * (1 - h * h)), h.T @ back


def _own_operation(problem: Problem) -> Arrays:
    """The sign instead of tanh, as in binarized networks: its gradient is passed where the input is within 1."""
    inside = problem.x @ problem.w1
    scores = np.sign(inside) @ problem.w2
    back = (scores - problem.y) / len(scores)
    return scores, problem.x.T @ ((back @ problem.w2.T) * (np.abs(inside) <= 1))


def _own_optimizer(problem: Problem) -> Arrays:
    """Momentum of gradients that are divided by their length: v = momentum v + g / |g|, w = w - rate v."""
    weights, velocity = [problem.w1, problem.w2], [np.zeros((5, 4)), np.zeros((4, 3))]
    for _ in range(problem.steps):
        for number, gradient in enumerate(gradients(problem.x, problem.y, *weights)):
            velocity[number] = problem.momentum * velocity[number] + gradient / np.sqrt((gradient**2).sum())
        weights = [one - problem.rate * moved for one, moved in zip(weights, velocity)]
    return tuple(weights)


def _per_example_gradients(problem: Problem) -> Arrays:
    """Two arrays, (8, 5, 4) and (8, 4, 3)."""
    each = [gradients(x[None], y[None], problem.w1, problem.w2) for x, y in zip(problem.x, problem.y)]
    return np.stack([one for one, _ in each]), np.stack([two for _, two in each])


def _hessian_vector(problem: Problem) -> Arrays:
    """By Pearlmutter's R-operator: how the gradient changes where the weights move along v."""
    x, w2, n = problem.x, problem.w2, len(problem.x)
    h = np.tanh(x @ problem.w1)
    slope = 1 - h * h
    moved = slope * (x @ problem.v1)
    back = (h @ w2 - problem.y) / n
    moved_back = (moved @ w2 + h @ problem.v2) / n
    through = (moved_back @ w2.T + back @ problem.v2.T) * slope - (back @ w2.T) * 2 * h * moved
    return x.T @ through, moved.T @ back + h.T @ moved_back


def _frozen_part(problem: Problem) -> Arrays:
    w2 = problem.w2
    for _ in range(problem.steps):
        w2 = w2 - problem.rate * gradients(problem.x, problem.y, problem.w1, w2)[1]
    return problem.w1, w2


def _changed_gradients(problem: Problem) -> Arrays:
    return gradients(problem.x, problem.y, problem.w1, problem.w2, problem.limit)


def _activations(problem: Problem) -> Arrays:
    h = np.tanh(problem.x @ problem.w1)
    return h, h @ problem.w2


EXPECTED: dict[str, Callable[[Problem], Arrays]] = {
    "own-operation": _own_operation,
    "own-optimizer": _own_optimizer,
    "per-example-gradients": _per_example_gradients,
    "hessian-vector": _hessian_vector,
    "frozen-part": _frozen_part,
    "changed-gradients": _changed_gradients,
    "activations": _activations,
}


def measure(cell: str, function: Callable[..., Any], task: Any) -> dict[str, Any]:
    """The largest relative error of what the function returns: arrays in the order that EXPECTED has them."""
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
