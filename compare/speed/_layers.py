"""The layers of the float64 reference that have no weights, and how layers are put together.

A layer takes an array and gives its output and a function that turns the output's gradient into the input's.
"""

from __future__ import annotations

from typing import Callable

import numpy as np

from speed._networks import HEADS

Pull = Callable[[np.ndarray], np.ndarray]
Layer = Callable[[np.ndarray], tuple[np.ndarray, Pull]]


def chain(*layers: Layer) -> Layer:
    """One layer after the other."""

    def layer(x: np.ndarray) -> tuple[np.ndarray, Pull]:
        pulls = []
        for one in layers:
            x, pull = one(x)
            pulls.append(pull)

        def back(d: np.ndarray) -> np.ndarray:
            for pull in reversed(pulls):
                d = pull(d)
            return d

        return x, back

    return layer


def total(one: Layer, other: Layer) -> Layer:
    """Both layers' outputs, added."""

    def layer(x: np.ndarray) -> tuple[np.ndarray, Pull]:
        (y, pull), (more, pull_more) = one(x), other(x)
        return y + more, lambda d: pull(d) + pull_more(d)

    return layer


def same(x: np.ndarray) -> tuple[np.ndarray, Pull]:
    """The input itself."""
    return x, lambda d: d


def relu(x: np.ndarray) -> tuple[np.ndarray, Pull]:
    """What is above zero."""
    return np.maximum(x, 0), lambda d: d * (x > 0)


def max_pool(x: np.ndarray) -> tuple[np.ndarray, Pull]:
    """The largest of each 2 by 2."""
    batch, channels, height, width = x.shape
    tiles = x.reshape(batch, channels, height // 2, 2, width // 2, 2).transpose(0, 1, 2, 4, 3, 5)
    flat = tiles.reshape(*tiles.shape[:4], 4)
    first = flat.argmax(-1)[..., None] == np.arange(4)  # of equal ones, the first has the gradient

    def pull(d: np.ndarray) -> np.ndarray:
        return (d[..., None] * first).reshape(tiles.shape).transpose(0, 1, 2, 4, 3, 5).reshape(x.shape)

    return flat.max(-1), pull


def flatten(x: np.ndarray) -> tuple[np.ndarray, Pull]:
    """(batch, everything else)."""
    return x.reshape(len(x), -1), lambda d: d.reshape(x.shape)


def mean_over(axes: tuple[int, ...]) -> Layer:
    """The mean over these axes."""

    def layer(x: np.ndarray) -> tuple[np.ndarray, Pull]:
        y = x.mean(axes, keepdims=True)
        return y.squeeze(axes), lambda d: np.broadcast_to(d.reshape(y.shape), x.shape) * (y.size / x.size)

    return layer


def heads(x: np.ndarray) -> tuple[np.ndarray, Pull]:
    """(batch, time, width) -> (batch, heads, time, width / heads)."""
    split = x.reshape(*x.shape[:2], HEADS, -1)
    return split.swapaxes(1, 2), lambda d: d.swapaxes(1, 2).reshape(x.shape)


def joined(x: np.ndarray) -> tuple[np.ndarray, Pull]:
    """The heads side by side again."""
    turned = x.swapaxes(1, 2)
    return turned.reshape(*turned.shape[:2], -1), lambda d: d.reshape(turned.shape).swapaxes(1, 2)


def sigmoid(x: np.ndarray) -> np.ndarray:
    """The logistic function."""
    return 1 / (1 + np.exp(-x))
