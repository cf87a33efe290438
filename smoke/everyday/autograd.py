"""Autograd. What each function does: ``smoke.everyday``."""

# The functions are documented once, in smoke.everyday, and have one signature in each file.
# ruff: noqa: D103
from __future__ import annotations

import pickle
from pathlib import Path

import autograd.numpy as anp
import numpy as np
from autograd import grad

# Autograd has no format of its own: weights are NumPy's arrays, in whatever holds them.
FORMATS: tuple[str, ...] = ("npz", "pickle")
EXTENSIONS: tuple[str, ...] = ()
CANNOT: dict[str, str] = {}

_INPUTS = np.arange(12.0).reshape(4, 3) / 8


def _loss(weights: dict[str, np.ndarray]) -> float:
    return anp.sum(anp.tanh(anp.dot(_INPUTS, weights["w"]) + weights["b"]) ** 2)


def _trained() -> dict[str, np.ndarray]:
    random = np.random.RandomState(7)
    weights = {"w": random.standard_normal((3, 2)), "b": np.zeros(2)}
    for _ in range(5):
        gradients = grad(_loss)(weights)
        weights = {name: value - 0.05 * gradients[name] for name, value in weights.items()}
    return weights


def _numbers(weights: dict[str, np.ndarray]) -> list[float]:
    gradients = grad(_loss)(weights)
    return [float(one) for name in sorted(weights) for one in gradients[name].ravel()]


def write(name: str, folder: str) -> list[float]:
    weights = _trained()
    path = Path(folder) / "weights"
    if name == "npz":
        np.savez(path.with_suffix(".npz"), **weights)
    else:
        path.with_suffix(".pkl").write_bytes(pickle.dumps(weights))
    return _numbers(weights)


def read(name: str, folder: str) -> list[float]:
    path = Path(folder) / "weights"
    if name == "npz":
        with np.load(path.with_suffix(".npz")) as file:
            return _numbers({one: file[one] for one in file.files})
    return _numbers(pickle.loads(path.with_suffix(".pkl").read_bytes()))


def extend(name: str, folder: str) -> list[float]:  # noqa: ARG001 -- there is nothing to compile
    raise ValueError(f"autograd has no extension {name}")
