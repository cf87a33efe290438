"""Theano. Its functions are compiled when they are made, and kept in the user's folder for the next process."""

from __future__ import annotations

from typing import Any


def imported() -> None:
    """What a first program imports."""


def first_step(rows: Any, targets: Any, rate: float) -> Any:
    """The weights after one step of SGD."""
    import numpy as np
    import theano
    import theano.tensor as T

    x, y = T.fmatrix("x"), T.fmatrix("y")
    weights = theano.shared(np.zeros((3, 1), np.float32))
    loss = T.mean((T.dot(x, weights) - y) ** 2)
    step = theano.function([x, y], loss, updates=[(weights, weights - np.float32(rate) * T.grad(loss, weights))])
    step(rows, targets)
    return weights.get_value()
