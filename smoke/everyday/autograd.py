"""Autograd, whose arrays are NumPy's, and so are its files. What each function does: ``smoke.everyday``."""

# The functions are documented once, in smoke.everyday, and have one signature in each file.
# ruff: noqa: ARG001, D103
from __future__ import annotations

import pickle
from pathlib import Path

import autograd
import autograd.numpy as anp
import numpy as np

from smoke.frameworks import Cannot

FORMATS: tuple[str, ...] = ("npz", "pickle")
EXTENSIONS: tuple[str, ...] = ()
CANNOT: dict[str, str] = {}

_INPUTS = np.arange(12).reshape(4, 3) / 8


def write(name: str, folder: str) -> list[float]:
    w = np.random.RandomState(1).standard_normal((3, 2))
    w = w - 0.1 * _gradient(w)
    if name == "npz":
        np.savez(Path(folder, "weights.npz"), w=w)
    else:
        Path(folder, "weights.pkl").write_bytes(pickle.dumps(w))
    return _numbers(w)


def read(name: str, folder: str) -> list[float]:
    if name == "npz":
        with np.load(Path(folder, "weights.npz")) as arrays:
            return _numbers(arrays["w"])
    return _numbers(pickle.loads(Path(folder, "weights.pkl").read_bytes()))  # noqa: S301 -- written by this file


def extend(name: str, folder: str) -> list[float]:
    raise Cannot("Autograd is Python alone: there is nothing to compile against")


def _gradient(w: np.ndarray) -> np.ndarray:
    found: np.ndarray = autograd.grad(lambda w: anp.sum(anp.tanh(anp.dot(_INPUTS, w))))(w)
    return found


def _numbers(w: np.ndarray) -> list[float]:
    return [float(one) for one in _gradient(w).ravel()]
